// The configuration files of the families as they were published, and small models of the same make.
#pragma once

#include <map>
#include <nlohmann/json.hpp>
#include <string>
#include <string_view>
#include <vector>

#include "weights/families.hpp"

namespace sdtorch {

/// All of a model folder but its weights and its vocabulary.
struct ModelRecipe {
  ModelKind kind{};
  nlohmann::json model_index, scheduler, unet, vae;
  nlohmann::json depth_estimator{}, depth_preparation{};  ///< of models for depth to image; else null
  std::map<std::string, nlohmann::json> text_encoders{};  ///< by folder
  std::map<std::string, nlohmann::json> tokenizers{};     ///< tokenizer_config.json, by folder
  std::map<std::string, nlohmann::json> vocabularies{};   ///< tokenizer.json, by folder; without one it is CLIP's
};

/// The families that init-model writes: sd1, sd2 (2.1: v), sd2-base (epsilon), …
std::vector<std::string> recipe_families();

/// family: of recipe_families(); size: full, tiny. Tiny models have every kind of block that full ones have, narrower,
/// with one layer where there are two and fewer resolutions, the same VAE factor, and keep what their family's names
/// and shapes cannot tell: heads, channels a head, 32 groups. vocabulary: how many tokens a tiny model knows, start and
/// end being the last two.
/// Throws ErrorKind::usage for another family or size.
ModelRecipe model_recipe(std::string_view family, std::string_view size, int64_t vocabulary = 49408);

}  // namespace sdtorch
