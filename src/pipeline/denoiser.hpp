// The U-Net as a sampler sees it: one output at one noise level, whatever conditions steer it.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "diffusion/sampler.hpp"
#include "pipeline/components.hpp"
#include "pipeline/conditions.hpp"
#include "pipeline/hypernetworks.hpp"
#include "pipeline/shortcuts.hpp"

namespace sdtorch {

/// The rows of one network call. Row i is of picture numbers[i] mod pictures and of condition numbers[i] / pictures.
struct NetworkRows {
  std::span<const int64_t> numbers{};
  int64_t pictures = 0;
  int64_t conditions = 0;  ///< of the list, whether or not they hold at this call
  int64_t call = 0;        ///< see DenoiserCall
};

/// Adds to what the U-Net is given: residuals. The input's tensors have the rows in their order.
using Steering = std::function<void(UNetInput& input, const NetworkRows& rows)>;

/// What belongs to a denoiser beside its conditions.
struct DenoiserOptions {
  Prediction prediction = Prediction::epsilon;  ///< what the network predicts
  double guidance_scale = 1;                    ///< for models that take it as an input (time_cond_proj_dim)
  Steering steering{};                          ///< changes each U-Net call; may be empty
  std::vector<std::string> perturbed{};         ///< self-attention layers, in the rows of a perturbed condition
  double sag_scale = 0;                         ///< of self-attention guidance; 0 is none
  std::optional<FreeU> freeu{};
  Shortcuts shortcuts{};
  std::vector<WeightedHypernetwork> hypernetworks{};  ///< applied one after the other
  std::vector<double> image_scales{};                 ///< of the model's IP-Adapters; empty: no picture prompts
  bool weights_stay = true;                           ///< the U-Net's are the same at all calls
};

/// The combined network output for a batch of as many pictures as there are lists of conditions. Evaluates all of them
/// in one call; contexts of several lengths, which one call cannot hold, take one call a length, and self-attention
/// guidance one more. Computes in the model's type; takes and gives fp32.
Model denoiser(const Components& model, Conditions conditions, DenoiserOptions options = {});

}  // namespace sdtorch
