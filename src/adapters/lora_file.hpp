// LoRA files, and the many kinds of adapters that go by that name, as changes of a model's weights.
#pragma once

#include <filesystem>
#include <map>
#include <string>
#include <vector>

#include "adapters/weight_change.hpp"
#include "weights/state_dict.hpp"

namespace sdtorch {

struct LoraOptions {
  /// What has no place in the model, lacks its other half or does not fit is left out with a warning each, instead of
  /// being an error that lists it.
  bool lenient = false;
};

struct LoraFile {
  std::vector<WeightChange> changes{};
  /// Textual-inversion embeddings that came along (`bundle_emb.NAME.…`): name → tensors, keyed as in a file of its own
  /// (`string_to_param.*`, `clip_l`, `clip_g`).
  std::map<std::string, StateDict> embeddings{};
};

/// Reads a file of any weights format, or a folder as PEFT and diffusers write it (`adapter_model`,
/// `pytorch_lora_weights`). Keys may be kohya's, PEFT's, diffusers' old and new, with the blocks named as diffusers or
/// as the original code names them (lora_keys.hpp); the kinds are those of lora_kinds.hpp. The tensors stay mapped: a
/// difference is computed when it is asked for.
/// model: every tensor of the networks, as they name them.
/// Throws ErrorKind::model naming file and keys: all that do not fit at once, or the family that the file was made for
/// where it is not the model's.
LoraFile read_lora(const std::filesystem::path& file, const WeightShapes& model, const LoraOptions& options = {});

}  // namespace sdtorch
