// Classifier-free guidance (Ho & Salimans 2022) and its rescaling (Lin et al. 2023).
#pragma once

#include <ATen/ATen.h>

namespace sdtorch {

/// uncond + scale (cond - uncond) (Ho & Salimans 2022, eq. 6), then, for rescale phi > 0, mixed with itself
/// scaled to cond's standard deviation over each image (Lin et al. 2023, eq. 15 and 16). All fp32 [B, 4, h, w].
at::Tensor guide(const at::Tensor& uncond, const at::Tensor& cond, double scale, double rescale);

}  // namespace sdtorch
