// A whole model of seeded random weights, for tests and benchmarks without a download.
#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

namespace sdtorch {

struct InitModelOptions {
  std::string family = "sd1";      ///< of init_model_families()
  std::string size = "tiny";       ///< tiny (some MB, 64×64 pixels), full (the published numbers)
  std::string layout = "folder";   ///< of layout_names
  std::string dtype{};             ///< of the stored weights: fp32, fp16, bf16; empty: fp32, the fp16 variant's fp16
  std::string vocabulary{};        ///< tiny folders': bytes (256 and their word ends), clip; empty: bytes
  std::string only{};              ///< single files: unet or vae alone; empty: a whole model
  uint64_t seed = 0;               ///< of the weights, any; each tensor's depends on it and on its name alone
  bool ema = false;                ///< single files: with moving averages of the U-Net
  std::filesystem::path target{};  ///< the folder or file to be made; it must not exist, or be an empty folder
};

/// All that it knows to write.
std::vector<std::string> init_model_families();

/// Writes the model, or a network that is a part of none, which is there as a whole or not at all. Full models in
/// folders bring the CLIP vocabulary that set-up installed; tiny ones know bytes, those of other languages single
/// characters. Single files bring none, and so embed CLIP's 49408 tokens at any size: a folder with `vocabulary` clip
/// holds the same weights. Throws ErrorKind::usage for a choice that is none, ErrorKind::output where the target is
/// there or cannot be written, ErrorKind::model where the CLIP vocabulary is missing.
void init_model(const InitModelOptions& options);

}  // namespace sdtorch
