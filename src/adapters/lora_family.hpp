// Which family of models a LoRA was made for.
#pragma once

#include <map>
#include <string>

#include "adapters/weight_change.hpp"
#include "weights/state_dict.hpp"

namespace sdtorch {

/// Why the file cannot be for this model, as "made for SDXL; the model is SD1 (…)", told by the shapes and names in
/// either and by the file's metadata; empty where nothing speaks against it. To be asked where a file does not fit.
std::string other_family(const StateDict& lora, const std::map<std::string, std::string>& metadata,
                         const WeightShapes& model);

/// "SD1", "SD2", …; empty where nothing tells.
std::string family_of(const WeightShapes& model);

}  // namespace sdtorch
