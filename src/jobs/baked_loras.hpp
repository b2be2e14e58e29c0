// LoRAs that go into a model's weights for good.
#pragma once

#include <string>
#include <vector>

#include "adapters/lora_file.hpp"

namespace sdtorch {

/// A LoRA and how strongly it acts, the same at every step.
struct BakedLora {
  LoraFile file{};
  double unet = 1, text_encoder = 1;
};

/// texts: FILE[:W[:TE_W]], as `--lora` takes them; model: the shapes that the files are held against.
/// Throws ErrorKind::usage naming the flag, and as read_lora. Embeddings that a file brings along are warned of: a
/// model has no place for them.
std::vector<BakedLora> read_baked_loras(const std::vector<std::string>& texts, const WeightShapes& model, bool lenient);

}  // namespace sdtorch
