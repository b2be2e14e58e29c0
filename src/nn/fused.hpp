// Several layers in a row that cost fewer memory passes together.
#pragma once

#include <ATen/ATen.h>

#include <optional>

#include "nn/activation.hpp"
#include "nn/conv.hpp"
#include "nn/norm.hpp"

namespace sdtorch {

/// activation(norm(conv(x) + shift)). x: [B, in, h, w], let go before the norm if the caller moved it in; shift:
/// [B, out], or undefined → [B, out, h', w']
at::Tensor normed_conv(const Conv2d& conv, const GroupNorm& norm, at::Tensor x, const at::Tensor& shift,
                       std::optional<Activation> activation);

/// conv(x) + residual. x: [B, in, h, w]; residual: [B, out, h', w']
at::Tensor conv_onto(const Conv2d& conv, const at::Tensor& x, const at::Tensor& residual);

}  // namespace sdtorch
