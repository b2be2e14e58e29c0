// Configs of networks in a file that has none: the family's published ones, with what shapes and names say in place.
#pragma once

#include <nlohmann/json.hpp>
#include <optional>
#include <string>

#include "weights/state_dict.hpp"

namespace sdtorch {

/// How many heads an attention of C channels has: `heads` of them, or C / `channels`.
struct HeadRule {
  int64_t heads = 0;  ///< 0: by channels
  int64_t channels = 64;
};

/// What SDXL's U-Nets take beside the text.
struct AddedConditions {
  std::optional<int64_t> pooled{};  ///< channels of the pooled text, where a text encoder tells them
  int64_t numbers = 6;              ///< original size, crop, target size; the refiner has a score for the last two
};

// weights: a component's own, under the file's names without their prefix. base: the family's published config.
// Each throws ErrorKind::model naming file and key where a tensor that tells a size is missing or misshapen.

nlohmann::json ldm_unet_config(const StateDict& weights, nlohmann::json base, const HeadRule& rule,
                               const AddedConditions& added);
/// A ControlNet's, under its original names: what shapes tell, and the rest as in the config of the U-Net that it is
/// made for, of which it is a copy. No tensor tells that the residuals are pooled, or the order of the picture's
/// colours.
nlohmann::json ldm_controlnet_config(const StateDict& weights, const nlohmann::json& unet);
nlohmann::json ldm_vae_config(const StateDict& weights, nlohmann::json base);
/// The same of weights under diffusers' names.
nlohmann::json diffusers_vae_config(const StateDict& weights, nlohmann::json base);
/// transformers' CLIPTextModel.
nlohmann::json clip_config(const StateDict& weights, nlohmann::json base);
/// layers: how many of them are used.
nlohmann::json open_clip_config(const StateDict& weights, nlohmann::json base, int64_t layers);

/// A tensor's extent along an axis. Throws ErrorKind::model where it is not there.
int64_t extent_of(const StateDict& weights, const std::string& key, int64_t axis);

}  // namespace sdtorch
