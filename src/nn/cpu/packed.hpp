// Weights in oneDNN's own order, packed once: in LibTorch's order oneDNN packs them anew at every call, which costs it
// a twentieth of a large product and a quarter of a small one.
#pragma once

#include <ATen/ATen.h>

#include <mutex>
#include <vector>

namespace sdtorch::cpu {

/// Whether weights of matrices like it are packed: bf16 on a CPU that multiplies it, with oneDNN in LibTorch. In fp32
/// oneDNN's sums round otherwise than MKL's, which the reference takes; pictures would drift apart for a tenth of
/// speed.
bool can_pack_linear(const at::Tensor& weight);

/// weight: as above [out, in] → the same, opaque: only what is below takes it, and to_dense() alone reads it.
at::Tensor pack_linear(const at::Tensor& weight);

/// x: […, in] of the packed weight's type; bias: [out] or undefined → […, out]
at::Tensor packed_linear(const at::Tensor& x, const at::Tensor& packed, const at::Tensor& bias);

/// Whether a convolution's weights are packed, in fp32 too: where their outputs fill oneDNN's largest blocks, and so
/// have one best order whatever the picture's size. weight: [out, in, kernel, kernel]
bool can_pack_convolution(const at::Tensor& weight);

/// weight: as above → the same, opaque, in the order that is best for x of the sizes given [B, in, h, w].
at::Tensor pack_convolution(const at::Tensor& weight, int64_t stride, int64_t padding,
                            at::IntArrayRef sizes = {2, 0, 64, 64});

/// x: [B, in, h, w] of the packed weight's type, channels innermost; bias: [out] or undefined → [B, out, h', w'],
/// channels innermost
at::Tensor packed_convolution(const at::Tensor& x, const at::Tensor& packed, const at::Tensor& bias, int64_t stride,
                              int64_t padding);

/// Whether a small convolution's weights, whose best order depends on the picture's size, are packed for each size.
bool can_pack_by_size(const at::Tensor& weight);

/// Such a weight as it was packed for the last size of picture; threads may share it.
class PackedBySize {
 public:
  /// weight: the same at every call; x's sizes: [B, in, h, w] → opaque
  at::Tensor of(const at::Tensor& weight, int64_t stride, int64_t padding, at::IntArrayRef sizes);

 private:
  std::mutex mutex_;
  std::vector<int64_t> sizes_;
  at::Tensor packed_;
};

}  // namespace sdtorch::cpu
