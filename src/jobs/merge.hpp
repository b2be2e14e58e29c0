// `sdtorch merge`: arithmetic on the weights of models, and adapters baked into them.
#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include "jobs/model_output.hpp"
#include "jobs/model_plan.hpp"

namespace sdtorch {

struct MergeOptions {
  ModelInput input{};                           ///< A: its configs, tokenizers and scheduler go along
  std::vector<std::filesystem::path> others{};  ///< B, C
  std::string mode{};  ///< weighted-sum: (1 - w) A + w B; add-difference: A + w (B - C); empty: by how many there are
  std::string weights{};             ///< w: see MergeWeights
  std::vector<std::string> loras{};  ///< FILE[:W[:TE_W]]
  bool lora_lenient = false;         ///< keys of a LoRA that find no place are warnings
  std::string dtype = "keep";        ///< as of ConvertOptions; keep: each of A's weights' own
  ModelTarget output{};
};

/// Computes in fp32, tensor by tensor, and rounds once. A key that one of the others lacks stays A's, and those that
/// only one side has are listed in warnings. A model that takes more than its latent (a mask, a picture) is merged with
/// one that does not, if it is A: what the other has no channels for stays A's, as in A1111.
/// Throws ErrorKind::usage for choices that do not go together, ErrorKind::model naming the models and shapes where
/// they are of different families or sizes, and what plan_model, read_lora and write_model do.
void merge_models(const MergeOptions& options);

}  // namespace sdtorch
