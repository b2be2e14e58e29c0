// The parts of AltDiffusion and Japanese Stable Diffusion that Stable Diffusion 1.5 has otherwise.
#pragma once

#include <nlohmann/json.hpp>
#include <string_view>

namespace sdtorch {

/// Each file by the name that it has; the other components are Stable Diffusion 1.5's.
struct MultilingualRecipe {
  nlohmann::json model_index_changes, text_encoder, tokenizer_config, tokenizer;
};

/// Whether multilingual_recipe knows the family: alt, alt-m18, japanese.
bool is_multilingual(std::string_view family);

/// The vocabulary, `tokenizer`, is one of single characters of several scripts whether tiny or full: the published ones
/// come with their models. A full text encoder has their many ids all the same.
/// clip_text_encoder: Stable Diffusion 1.5's, tiny or full, which Japanese Stable Diffusion changes in its ids alone.
MultilingualRecipe multilingual_recipe(std::string_view family, bool tiny, const nlohmann::json& clip_text_encoder);

}  // namespace sdtorch
