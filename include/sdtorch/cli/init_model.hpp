// `sdtorch init-model`: a whole model of seeded random weights, for tests and benchmarks without a download.
#pragma once

#include <cstdint>
#include <filesystem>
#include <string>

namespace sdtorch {

struct InitModelOptions {
  std::string family = "sd1";      ///< sd1 (Stable Diffusion 1.5's configuration), sd2 (2.1's: v-prediction)
  std::string size = "tiny";       ///< tiny (3 MB, 64×64 pixels), full (the published numbers)
  std::string dtype = "fp32";      ///< of the stored weights: fp32, fp16, bf16
  uint64_t seed = 0;               ///< of the weights, any
  std::filesystem::path folder{};  ///< to be made; it must not exist, or be empty
};

/// Writes the folder, which is there as a whole or not at all. Full models bring the CLIP vocabulary that set-up
/// installed.
/// Throws ErrorKind::usage for a choice that is none, ErrorKind::output where the folder has contents or cannot be
/// written, ErrorKind::model where the CLIP vocabulary is missing.
void init_model(const InitModelOptions& options);

/// The sub-command: the same, then the folder's path on stdout. Returns the exit code, 0.
int init_model_command(const InitModelOptions& options);

}  // namespace sdtorch
