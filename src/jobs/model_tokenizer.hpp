// A model's tokenizer on its way into other files.
#pragma once

#include <filesystem>
#include <string>

#include "jobs/model_plan.hpp"

namespace sdtorch {

/// Writes tokenizer's folder (component: tokenizer, tokenizer_2): the files of the model's own, or CLIP's vocabulary
/// with the family's settings where the model is a single file.
void write_tokenizer(const std::filesystem::path& folder, const ModelPlan& model, const std::string& component);

/// Whether a single file of the model needs no tokenizer beside it: its own reads every text as the CLIP vocabulary
/// that set-up installs does, which readers of single files have.
bool is_clip_tokenizer(const ModelPlan& model, const std::string& component);

/// The tokenizers of the model's text encoders.
std::vector<std::string> tokenizers_of(const ModelPlan& model);

}  // namespace sdtorch
