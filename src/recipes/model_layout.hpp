// How init-model lays a model out: as a diffusers folder of this or that make, or as one file.
#pragma once

#include <array>
#include <filesystem>
#include <string_view>
#include <vector>

#include "weights/component_plan.hpp"
#include "weights/families.hpp"

namespace sdtorch {

inline constexpr std::array<std::string_view, 6> layout_names = {
    "folder",   ///< diffusers' and transformers' usual files
    "variant",  ///< the same with `fp16` in the files' names
    "sharded",  ///< weights in two files and an index
    "bin",      ///< weights as PyTorch checkpoints
    "single",   ///< one .safetensors file in the original code's layout
    "ckpt"      ///< the same as a PyTorch checkpoint
};

bool is_single_file(std::string_view layout);

/// Writes the folder with its config and its weights. layout: one of the folders'.
void write_component(const std::filesystem::path& folder, const ComponentPlan& plan, std::string_view layout);

struct SingleFileOptions {
  bool checkpoint = false;  ///< PyTorch's format
  bool ema = false;         ///< moving averages (copies here) of the U-Net beside it
  bool marked = false;      ///< the marks `v_pred` and `ztsnr`
};

/// Writes one component that is no part of a model, replacing the file: a ControlNet by the original code's names under
/// `control_model.`, others by their own.
void write_part_file(const std::filesystem::path& file, const ComponentPlan& plan, bool checkpoint);

/// Writes the components into one file, replacing it. A VAE alone stands there without a prefix, as published ones do.
void write_single_file(const std::filesystem::path& file, const std::vector<ComponentPlan>& plans, Family family,
                       const SingleFileOptions& options);

}  // namespace sdtorch
