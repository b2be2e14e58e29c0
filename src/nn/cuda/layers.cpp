#include "nn/cuda/layers.hpp"

#include <c10/cuda/CUDAException.h>
#include <c10/cuda/CUDAGuard.h>
#include <c10/cuda/CUDAStream.h>

#include <cmath>

#include "nn/cuda/kernels.hpp"
#include "nn/cuda/tuning.hpp"
#include "nn/recorded.hpp"

namespace sdtorch::cuda {
namespace {

bool is_half(at::ScalarType type) { return type == at::kHalf || type == at::kBFloat16; }

bool is_element(at::ScalarType type) { return type == at::kFloat || is_half(type); }

Element element_of(const at::Tensor& x) {
  if (x.scalar_type() == at::kHalf) return Element::fp16;
  return x.scalar_type() == at::kBFloat16 ? Element::bf16 : Element::fp32;
}

/// Of x's device, on which the kernels are to run: the guard in force sees to that.
void* stream_of(const at::Tensor& x) { return c10::cuda::getCurrentCUDAStream(x.device().index()).stream(); }

bool lies_channels_last(const at::Tensor& x) { return x.dim() == 4 && x.is_contiguous(at::MemoryFormat::ChannelsLast); }

/// A parameter as a kernel takes it: dense and of x's type. Prepared layers' are.
bool fits(const at::Tensor& parameter, const at::Tensor& x) {
  return !parameter.defined() ||
         (parameter.scalar_type() == x.scalar_type() && parameter.is_contiguous() && parameter.device() == x.device());
}

const void* data_of(const at::Tensor& tensor) { return tensor.defined() ? tensor.const_data_ptr() : nullptr; }

at::Tensor of_channels(const at::Tensor& bias) { return bias.view({1, -1, 1, 1}); }

/// x + bias + residual, into x, which nobody else holds and whose channels lie innermost.
at::Tensor add_onto(const at::Tensor& x, const at::Tensor& bias, at::Tensor residual) {
  if (!bias.defined() && !residual.defined()) return x;
  if (residual.defined()) residual = residual.to(x.scalar_type()).contiguous(at::MemoryFormat::ChannelsLast);
  if (!lies_channels_last(x) || !fits(bias, x) || (residual.defined() && residual.sizes() != x.sizes())) {
    const at::Tensor biased = bias.defined() ? x + of_channels(bias) : x;
    return residual.defined() ? biased + residual : biased;
  }
  if (x.numel() == 0) return x;
  const c10::cuda::CUDAGuard guard(x.device());
  launch_add({.type = element_of(x),
              .x = x.const_data_ptr(),
              .bias = data_of(bias),
              .residual = data_of(residual),
              .y = x.mutable_data_ptr(),
              .rows = x.numel() / x.size(1),
              .channels = x.size(1),
              .stream = stream_of(x)});
  C10_CUDA_KERNEL_LAUNCH_CHECK();
  return x;
}

/// A 1×1 convolution as the matrix product that it is.
at::Tensor by_matrix(const at::Tensor& x, const ConvCall& call) {
  const int64_t out = call.weight.size(0), in = call.weight.size(1);
  const at::Tensor rows = x.permute({0, 2, 3, 1}).reshape({-1, in});
  const at::Tensor product = at::linear(rows, call.weight.reshape({out, in}), call.bias);
  return product.view({x.size(0), x.size(2), x.size(3), out}).permute({0, 3, 1, 2});
}

at::Tensor plain_group_norm(at::Tensor x, const NormCall& call) {
  if (call.channel_bias.defined()) x = x + call.channel_bias.view({1, -1, 1, 1});
  if (call.shift.defined()) x = x + call.shift.unsqueeze(-1).unsqueeze(-1);
  at::Tensor y = at::group_norm(x.contiguous(), call.groups, call.weight, call.bias, call.eps);
  return call.activation ? activate(std::move(y), *call.activation) : y;
}

/// Zeros behind each head's numbers, which change no product of theirs.
at::Tensor widened(const at::Tensor& heads, int64_t width) {
  return at::constant_pad_nd(heads, {0, width - heads.size(-1)});
}

}  // namespace

bool takes(const at::Tensor& x) { return x.is_cuda() && tuning().kernels && !recorded(x); }

bool multiplies_fp8(at::Device device) {
  constexpr int hopper = 9;
  int major = 0;
  if (device.is_cuda()) {
    C10_CUDA_CHECK(cudaDeviceGetAttribute(&major, cudaDevAttrComputeCapabilityMajor, device.index()));
  }
  return major >= hopper;
}

at::MemoryFormat format_of_kernels(at::ScalarType type) {
  return is_half(type) ? at::MemoryFormat::ChannelsLast : at::MemoryFormat::Contiguous;
}

at::Tensor conv2d(const at::Tensor& x, const ConvCall& call) {
  if (!is_half(x.scalar_type())) {
    const at::Tensor y = at::conv2d(x, call.weight, call.bias, call.stride, call.padding);
    return call.residual.defined() ? y + call.residual : y;
  }
  if (tuning().autotune) at::globalContext().setBenchmarkCuDNN(true);
  const at::Tensor inner = x.contiguous(at::MemoryFormat::ChannelsLast);
  const bool point = call.weight.size(2) == 1 && call.weight.size(3) == 1 && call.stride == 1 && call.padding == 0;
  if (point && tuning().matrix) return add_onto(by_matrix(inner, call), {}, call.residual);
  return add_onto(at::conv2d(inner, call.weight, {}, call.stride, call.padding), call.bias, call.residual);
}

at::Tensor group_norm(const at::Tensor& x, const NormCall& call) {
  const bool picture = x.dim() == 4 && is_element(x.scalar_type());
  const bool mine = picture && (is_half(x.scalar_type()) || lies_channels_last(x)) && fits(call.weight, x) &&
                    fits(call.bias, x) && fits(call.channel_bias, x) &&
                    (!call.shift.defined() || call.shift.scalar_type() == x.scalar_type()) &&
                    group_norm_takes(x.size(0), x.size(2) * x.size(3), x.size(1));
  if (!mine) return plain_group_norm(x, call);
  const at::Tensor inner = x.contiguous(at::MemoryFormat::ChannelsLast);
  const at::Tensor shift = call.shift.defined() ? call.shift.contiguous() : call.shift;
  at::Tensor y = at::empty_like(inner, at::MemoryFormat::ChannelsLast);
  const c10::cuda::CUDAGuard guard(x.device());
  GroupNormCall norm{.type = element_of(x),
                     .x = inner.const_data_ptr(),
                     .channel_bias = data_of(call.channel_bias),
                     .shift = data_of(shift),
                     .weight = call.weight.const_data_ptr(),
                     .bias = call.bias.const_data_ptr(),
                     .y = y.mutable_data_ptr(),
                     .images = static_cast<int>(x.size(0)),
                     .pixels = static_cast<int>(x.size(2) * x.size(3)),
                     .channels = static_cast<int>(x.size(1)),
                     .groups = static_cast<int>(call.groups),
                     .eps = static_cast<float>(call.eps),
                     .silu = call.activation == Activation::silu,
                     .stream = stream_of(x)};
  const at::Tensor workspace = at::empty({group_norm_workspace(norm)}, x.options().dtype(at::kFloat));
  norm.partial = workspace.mutable_data_ptr<float>();
  launch_group_norm(norm);
  C10_CUDA_KERNEL_LAUNCH_CHECK();
  return call.activation && !norm.silu ? activate(std::move(y), *call.activation) : y;
}

at::Tensor gated_gelu(const at::Tensor& x) {
  const int64_t width = x.size(-1) / 2;
  if (!is_element(x.scalar_type()) || !x.is_contiguous()) {
    const auto halves = x.chunk(2, -1);
    return halves[0] * at::gelu(halves[1]);
  }
  std::vector<int64_t> shape = x.sizes().vec();
  shape.back() = width;
  at::Tensor y = at::empty(shape, x.options());
  if (y.numel() == 0) return y;
  const c10::cuda::CUDAGuard guard(x.device());
  launch_geglu({.type = element_of(x),
                .x = x.const_data_ptr(),
                .y = y.mutable_data_ptr(),
                .rows = y.numel() / width,
                .width = width,
                .stream = stream_of(x)});
  C10_CUDA_KERNEL_LAUNCH_CHECK();
  return y;
}

at::Tensor attention(const at::Tensor& q, const at::Tensor& k, const at::Tensor& v,
                     const std::optional<at::Tensor>& mask, bool causal) {
  const int64_t width = q.size(-1);
  const double scale = 1 / std::sqrt(static_cast<double>(width));
  const bool plain = mask || !is_half(q.scalar_type()) || width % 8 != 0;
  const AttentionKernel kernel = tuning().attention;
  if (!plain && kernel == AttentionKernel::cudnn && width <= 128) {
    return std::get<0>(at::_scaled_dot_product_cudnn_attention(q, k, v, {}, /*compute_log_sumexp=*/false,
                                                               /*dropout_p=*/0.0, causal, false, scale));
  }
  if (!plain && kernel == AttentionKernel::efficient) {
    return std::get<0>(at::_scaled_dot_product_efficient_attention(q, k, v, {}, /*compute_log_sumexp=*/false,
                                                                   /*dropout_p=*/0.0, causal, scale));
  }
  if (!plain && kernel == AttentionKernel::padded && width < 128 && width != 64) {
    const int64_t wide = width < 64 ? 64 : 128;
    return at::scaled_dot_product_attention(widened(q, wide), widened(k, wide), widened(v, wide), {}, 0.0, causal,
                                            scale)
        .narrow(-1, 0, width);
  }
  return at::scaled_dot_product_attention(q, k, v, mask, /*dropout_p=*/0.0, causal);
}

}  // namespace sdtorch::cuda
