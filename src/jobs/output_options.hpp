// Where pictures and what is told of them go.
#pragma once

#include <cstdint>
#include <filesystem>
#include <string>

namespace sdtorch {

struct OutputOptions {
  std::filesystem::path output{};      ///< one file, replaced atomically; empty: pictures go to `outdir` by name
  std::filesystem::path outdir{};      ///< made if missing; empty is the current folder
  std::string name{};                  ///< template of names in outdir (see output_names.hpp); empty is the default
  std::filesystem::path save_steps{};  ///< folder for the predicted picture after each step; empty: none
  std::filesystem::path dump{};        ///< .safetensors file for every stage's tensors; empty: none
  int64_t preview_every = 0;           ///< steps from one preview to the next; 0: none
  std::filesystem::path preview{};     ///< their file; empty: preview.png in outdir or beside `output`
};

}  // namespace sdtorch
