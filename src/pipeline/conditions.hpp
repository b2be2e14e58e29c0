// What steers the network, as a list: each condition is evaluated at every call, and one rule combines the outputs.
#pragma once

#include <ATen/ATen.h>

#include <functional>
#include <span>
#include <vector>

#include "diffusion/sampler.hpp"

namespace sdtorch {

/// What the network sees beside one picture's latent: one row of a batch. k: number of 77-token chunks.
struct Condition {
  at::Tensor context;     ///< compute type [1, 77·k, C]
  at::Tensor pooled{};    ///< SDXL's pooled text, compute type [1, P]
  at::Tensor time_ids{};  ///< SDXL's sizes: original, crop, target or aesthetic score; fp32 [1, n] (Podell et al. 2023)
  at::Tensor extra_channels{};  ///< what the U-Net sees beside the latent: a mask, a masked picture; fp32 [1, c, h, w]
};

/// The condition that holds at a call. Most hold at every one; prompt editing or a guidance interval gives another from
/// some step on. It must give back the same object for as long as the condition is the same.
using ChangingCondition = std::function<const Condition&(const DenoiserCall&)>;

/// One that never changes.
ChangingCondition always(Condition condition);

/// Combines the network's outputs at a call, one a condition in the list's order, each fp32 [B, 4, h, w], into the one
/// that the sampler sees.
using CombinationRule = std::function<at::Tensor(std::span<const at::Tensor> outputs, const DenoiserCall&)>;

/// The conditions of a batch.
struct Conditions {
  std::vector<std::vector<ChangingCondition>> pictures{};  ///< [picture][condition]: equally many for each picture
  CombinationRule combine{};
};

/// The rule for a list of one: its output as it is.
CombinationRule alone();

/// Classifier-free guidance for a list of two, what to lead away from and what to lead to; scale, rescale: see guide().
CombinationRule guidance(double scale, double rescale);

/// Composition of several prompts, each with a scale of its own: what to lead away from, then a condition a scale
/// (Liu et al. 2022, "Compositional Visual Generation", eq. 11): e0 + Σ scale_i (e_i - e0). A negative one leads away.
CombinationRule composition(std::vector<double> scales);

/// Two scales for a list of three, neither, the picture alone, picture and text (Brooks et al. 2023,
/// "InstructPix2Pix", eq. 3): e0 + picture (e1 - e0) + text (e2 - e1).
CombinationRule two_scales(double picture, double text);

}  // namespace sdtorch
