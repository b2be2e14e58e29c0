// What steers the network, as a list: each condition is evaluated at every call, and one rule combines the outputs.
#pragma once

#include <ATen/ATen.h>

#include <functional>
#include <optional>
#include <span>
#include <vector>

#include "diffusion/prediction.hpp"
#include "diffusion/sampler.hpp"

namespace sdtorch {

/// What the network sees beside one picture's latent: one row of a batch. k: number of 77-token chunks.
struct Condition {
  at::Tensor context;     ///< compute type [1, 77·k, C]
  at::Tensor pooled{};    ///< SDXL's pooled text, compute type [1, P]
  at::Tensor time_ids{};  ///< SDXL's sizes: original, crop, target or aesthetic score; fp32 [1, n] (Podell et al. 2023)
  at::Tensor extra_channels{};  ///< what the U-Net sees beside the latent: a mask, a masked picture; fp32 [1, c, h, w]
  bool perturbed = false;       ///< its self-attention is (see SelfAttentionHooks); such conditions are the last ones

  /// Of the pictures that prompt, for each IP-Adapter, compute type [1, S, C].
  std::vector<at::Tensor> image_tokens{};
};

/// The condition that holds at a call, nullptr where none does: it is then not evaluated. Most hold at every call. It
/// must give back the same object for as long as the condition is the same, and for all pictures hold at the same
/// calls.
using ChangingCondition = std::function<const Condition*(const DenoiserCall&)>;

/// One that never changes.
ChangingCondition always(Condition condition);

/// Combines the network's outputs for x at a call, one a condition in the list's order, each fp32 [B, 4, h, w],
/// undefined where the condition does not hold, into the one that the sampler sees.
using CombinationRule =
    std::function<at::Tensor(std::span<const at::Tensor> outputs, const at::Tensor& x, const DenoiserCall&)>;

/// The conditions of a batch.
struct Conditions {
  std::vector<std::vector<ChangingCondition>> pictures{};  ///< [picture][condition]: equally many for each picture
  CombinationRule combine{};
  std::optional<size_t> renoised_by{};  ///< CFG++: the condition whose output renews the noise (see ModelOutput)
};

/// The rule for a list of one: its output as it is.
CombinationRule alone();

/// Dynamic thresholding as sd-dynamic-thresholding does it: see mimicked().
struct DynamicThreshold {
  double mimic_scale = 7;  ///< the guidance scale whose range of values is kept
  double quantile = 1;     ///< 0…1: of the values, which of them is brought into that range
  Prediction prediction = Prediction::epsilon;
};

struct GuidanceRule {
  double scale = 1;      ///< see guide()
  double rescale = 0;    ///< likewise
  double pag_scale = 0;  ///< perturbed-attention guidance (Ahn et al. 2024, eq. 15); 0 is none
  std::optional<DynamicThreshold> threshold{};
};

/// Classifier-free guidance for a list of what to lead away from, what to lead to, and, with perturbed attention, the
/// latter perturbed. Where what to lead away from does not hold, what to lead to is taken as it is.
CombinationRule guidance(GuidanceRule rule);

/// A list of one, and with perturbed attention of that one perturbed.
CombinationRule perturbed_guidance(double pag_scale);

/// Two scales for a list of three, neither, the picture alone, picture and text (Brooks et al. 2023,
/// "InstructPix2Pix", eq. 3): e0 + picture (e1 - e0) + text (e2 - e1). Where the first two do not hold: e2.
CombinationRule two_scales(double picture, double text);

}  // namespace sdtorch
