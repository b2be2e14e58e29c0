// Classifier-free guidance (Ho & Salimans 2022) and its rescaling (Lin et al. 2023).
#pragma once

#include <ATen/ATen.h>

namespace sdtorch {

/// uncond + scale (cond - uncond) (Ho & Salimans 2022, eq. 6). All fp32 [B, 4, h, w].
at::Tensor guide(const at::Tensor& uncond, const at::Tensor& cond, double scale);

/// For phi > 0: guided, mixed with itself scaled to cond's standard deviation over each image (Lin et al. 2023, eq. 15
/// and 16).
at::Tensor rescaled(const at::Tensor& guided, const at::Tensor& cond, double phi);

/// Two clean latents guided at `scale`, but with no wider a range than at `mimic_scale`, as A1111's users know it from
/// the extension sd-dynamic-thresholding at its defaults: each channel of each image, less its mean, is cut at the
/// quantile of its own sizes, or where that is larger, at the largest that mimic_scale gives; then scaled to the
/// latter. After Saharia et al. 2022, section 2.3. quantile: 0…1.
at::Tensor mimicked(const at::Tensor& uncond, const at::Tensor& cond, double scale, double mimic_scale,
                    double quantile);

}  // namespace sdtorch
