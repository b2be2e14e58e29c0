// The whole chain: prompt → context → denoised latent → picture.
#pragma once

#include <ATen/ATen.h>

#include <functional>
#include <string_view>
#include <vector>

#include "diffusion/sampler.hpp"
#include "pipeline/components.hpp"
#include "pipeline/resolve.hpp"

namespace sdtorch {

/// What the chain is doing, in order.
enum class Stage { text, denoise, decode };

/// Watches a picture being made. Each callback may throw to stop it; unset ones cost nothing.
struct Observer {
  std::function<void(Stage)> on_stage{};              ///< as each stage begins
  std::function<void(const SamplerStep&)> on_step{};  ///< after each step
  /// The stages' tensors by the names that `--dump` writes; batch axis first, but for timesteps and sigmas.
  std::function<void(std::string_view name, const at::Tensor&)> on_tensor{};
};

/// Pictures of one call of `generate`.
struct Generated {
  at::Tensor pictures{};           ///< fp32 on the CPU, [B, 3, H, W] in 0…1
  bool vae_again_in_fp32 = false;  ///< see decode
};

/// Draws images first…first+count-1 of the request (image i by seed + i) in one batch. refiner: the model that draws
/// the last steps and decodes, where the request was resolved with one.
/// Throws ErrorKind::input for prompts that are not UTF-8, ErrorKind::non_finite for overflow.
Generated generate(Components& model, const ResolvedRequest& resolved, int64_t first, int64_t count,
                   const Observer& observer = {}, Components* refiner = nullptr);

}  // namespace sdtorch
