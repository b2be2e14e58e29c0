// A component's folder as diffusers and transformers write it: config.json and the weights, in one file or several.
#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

#include "weights/component_plan.hpp"

namespace sdtorch {

struct ComponentLayout {
  std::string variant{};    ///< in the files' names: `fp16`
  bool checkpoint = false;  ///< `.bin`, PyTorch's format
  int64_t most_bytes = 0;   ///< of a shard's tensors (a larger tensor has a shard to itself); 0: all in one file
};

/// Which tensors go into which shard, in the order of their keys, each as full as it gets.
std::vector<TensorPlans> cut_into_shards(const TensorPlans& tensors, int64_t most_bytes);

/// Shards and their index: `model-00001-of-00002.safetensors`, `model.safetensors.index.json`.
void save_shards(const std::filesystem::path& folder, const std::string& stem, const std::vector<TensorPlans>& shards,
                 const MakeTensor& make);

/// What the files of a component are called: transformers' are `model`, diffusers' `diffusion_pytorch_model`.
std::string stem_of(const std::string& component);

/// A new folder with nothing in it but config.json. Throws ErrorKind::output.
void start_component(const std::filesystem::path& folder, const nlohmann::json& config);

/// Writes the folder with its config and its weights. Throws ErrorKind::output.
void write_component(const std::filesystem::path& folder, const ComponentPlan& plan, const ComponentLayout& layout);

/// A PyTorch checkpoint of the tensors, below the key `root` where that is not empty.
void save_checkpoint(const std::filesystem::path& file, const TensorPlans& plans, const MakeTensor& make,
                     const std::string& root);

/// A JSON file as diffusers writes it, indented by two spaces.
void write_json(const std::filesystem::path& file, const nlohmann::json& value);

/// What libraries look for before they read a file of weights.
const std::map<std::string, std::string>& pytorch_metadata();

}  // namespace sdtorch
