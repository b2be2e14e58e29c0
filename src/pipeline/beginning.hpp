// What a batch begins with: noise, pictures, or pictures of which a part is repainted.
#pragma once

#include <ATen/ATen.h>

#include <span>

#include "diffusion/noise.hpp"
#include "diffusion/start.hpp"
#include "pipeline/components.hpp"
#include "pipeline/resolve.hpp"
#include "sdtorch/pipeline.hpp"

namespace sdtorch {

/// Keeps what is not repainted at the noise level of the rest, as diffusers does with models that see no mask:
/// x becomes mask x + (1 - mask) (x0 noised), after each step and, at its end's level, within one of two calls.
/// Without a mask it leaves x alone.
class Blend {
 public:
  Blend() = default;
  /// x0, noise: fp32 [B, 4, h, w]; mask: fp32 [B, 1, h, w], 1 is repainted.
  Blend(const SamplingPlan& plan, at::Tensor x0, at::Tensor noise, at::Tensor mask);

  at::Tensor after_step(const SamplerStep& step) const;
  at::Tensor within_step(const at::Tensor& x, double sigma) const;

 private:
  SamplingPlan plan_{};
  at::Tensor x0_{}, noise_{}, mask_{};
};

struct Beginning {
  Start start{};
  Blend blend{};
  /// What the U-Net sees beside the latent, fp32 [B, c, h, w]: the mask and the masked picture's latent, the depth, or,
  /// where it follows instructions, the picture's latent.
  at::Tensor extra_channels{};
};

/// Draws from each picture's generator in diffusers' order: the picture's latent, the noise, the masked picture's.
Beginning begin_batch(const Components& model, std::span<const ResolvedRequest> batch, Noise& noise,
                      const Observer& observer);

/// The drawn pictures, fp32 [B, 3, H, W] in 0…1, with their own pixels where the mask is black, and a mixture where it
/// is grey; of those requests that ask for it.
at::Tensor keep_unmasked(std::span<const ResolvedRequest> batch, const at::Tensor& drawn);

}  // namespace sdtorch
