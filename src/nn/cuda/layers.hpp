// The layers on a GPU. Each leaf layer asks takes(), and hands over; everywhere else nothing of this is compiled in.
#pragma once

#include <ATen/ATen.h>

#include <optional>

#include "nn/activation.hpp"

namespace sdtorch::cuda {

/// Whether the functions below are for x: on a GPU, in a build with kernels, and with no gradients to record.
/// Where they are not, they must not be called.
bool takes(const at::Tensor& x);

/// Whether the device multiplies 8-bit floats with a scale a row: compute capability 9.0 and above.
bool multiplies_fp8(at::Device device);

/// The order that a convolution's weight lies in: channels innermost for fp16 and bf16, which tensor cores multiply so.
at::MemoryFormat format_of_kernels(at::ScalarType type);

struct ConvCall {
  const at::Tensor& weight;  ///< [out, in, k, k]
  const at::Tensor& bias;    ///< [out], or undefined
  int64_t stride = 1, padding = 0;
  at::Tensor residual{};  ///< [B, out, h', w'], added; undefined: none
};

/// x: [B, in, h, w] → [B, out, h', w'], for fp16 and bf16 with the channels innermost
at::Tensor conv2d(const at::Tensor& x, const ConvCall& call);

struct NormCall {
  int64_t groups = 1;
  const at::Tensor& weight;  ///< [C]
  const at::Tensor& bias;    ///< [C]
  double eps = 0;
  std::optional<Activation> activation{};
  at::Tensor channel_bias{};  ///< [C], added to x first; undefined: nothing
  at::Tensor shift{};         ///< [B, C], likewise
};

/// x: [B, C, …] → the same shape, for fp16 and bf16 pictures with the channels innermost
at::Tensor group_norm(const at::Tensor& x, const NormCall& call);

/// x: […, 2 n] → […, n]: the first half times GELU of the second
at::Tensor gated_gelu(const at::Tensor& x);

/// q: [B, heads, L, d]; k, v: [B, heads, S, d] → [B, heads, L, d]; mask: bool [B, 1, 1, S] or none
at::Tensor attention(const at::Tensor& q, const at::Tensor& k, const at::Tensor& v,
                     const std::optional<at::Tensor>& mask, bool causal);

}  // namespace sdtorch::cuda
