// The U-Net as a sampler sees it: one output at one noise level, whatever conditions steer it.
#pragma once

#include <cstdint>
#include <functional>
#include <span>

#include "diffusion/sampler.hpp"
#include "pipeline/components.hpp"
#include "pipeline/conditions.hpp"

namespace sdtorch {

/// The rows of one network call. Row i is of picture numbers[i] mod pictures and of condition numbers[i] / pictures.
struct NetworkRows {
  std::span<const int64_t> numbers{};
  int64_t pictures = 0;
  int64_t conditions = 0;
  int64_t call = 0;  ///< 0…: which of the run's calls to the model this is
};

/// Adds to what the U-Net is given: residuals. The input's tensors have the rows in their order.
using Steering = std::function<void(UNetInput& input, const NetworkRows& rows)>;

/// The combined network output for a batch of as many pictures as there are lists of conditions. Evaluates all of them
/// in one call; contexts of several lengths, which one call cannot hold, take one call a length. Computes in the
/// model's type; takes and gives fp32. guidance_scale: for models that take it as an input (time_cond_proj_dim).
/// steering: what changes each U-Net call; may be empty. One denoiser counts the calls of one run.
Model denoiser(const Components& model, Conditions conditions, double guidance_scale, Steering steering = {});

}  // namespace sdtorch
