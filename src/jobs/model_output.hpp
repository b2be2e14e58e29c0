// A model written to disk: as a diffusers folder or as one file in the original code's layout.
#pragma once

#include <cstdint>
#include <filesystem>
#include <string>

#include "io/staged_output.hpp"
#include "jobs/model_plan.hpp"

namespace sdtorch {

struct ModelTarget {
  std::filesystem::path target{};  ///< a `.safetensors` file, or a folder
  bool force = false;              ///< replaces a file, or a model's folder, that is there
  bool pruned = false;             ///< without what no picture is drawn with
  int64_t most_bytes = 0;          ///< folders: of a weights file; 0: one file a component
};

/// Whether the target is a single file, told by its suffix. Throws ErrorKind::usage naming OUT for other files'
/// suffixes.
bool is_single_file(const ModelTarget& output);

/// Throws ErrorKind::output where the target is there and may not be replaced, before anything is done.
void check_target(const ModelTarget& output);

/// The target as an absolute path, links to it followed.
std::filesystem::path target_of(const ModelTarget& output);

/// Writes the model as a whole or not at all: a folder with its index, configs, scheduler and tokenizers, or one file
/// that keeps them (kept_model.hpp), with a tokenizer of its own beside it where it has one.
/// Throws ErrorKind::output, and ErrorKind::model for a network that has no place in a single file.
void write_model(const ModelPlan& model, const ModelTarget& output);

}  // namespace sdtorch
