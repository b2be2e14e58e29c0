// The configuration files of Stable Diffusion 1.5 and 2.1 as they were published, and small models of the same make.
#pragma once

#include <nlohmann/json.hpp>
#include <string_view>

namespace sdtorch {

/// All of a model folder but its weights and its vocabulary, each by the name of the file that it becomes.
struct ModelRecipe {
  nlohmann::json model_index, scheduler, tokenizer_config, special_tokens_map, text_encoder, unet, vae;
};

/// family: sd1, sd2; size: full, tiny. Tiny models have every kind of block that full ones have, narrower and with
/// one layer where there are two, the same VAE factor, and a vocabulary of bytes.
/// Throws ErrorKind::usage for another family or size.
ModelRecipe model_recipe(std::string_view family, std::string_view size);

}  // namespace sdtorch
