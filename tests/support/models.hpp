// Whole models compared: their files, and what they draw.
#pragma once

#include <filesystem>
#include <map>
#include <string>

#include "support/catch.hpp"
#include "support/drawing.hpp"
#include "weights/state_dict.hpp"

/// Every tensor of a folder's .safetensors files by its path and key, "unet/conv_in.weight"; shards are one.
inline std::map<std::string, at::Tensor> stored_tensors(const std::filesystem::path& folder) {
  std::map<std::string, at::Tensor> tensors;
  for (const auto& entry : std::filesystem::recursive_directory_iterator(folder)) {
    if (entry.path().extension() != ".safetensors") continue;
    const std::string component = entry.path().parent_path().filename().string();
    for (const auto& [key, weight] : sdtorch::load_safetensors(entry.path())) {
      tensors[component + "/" + key] = weight.tensor;
    }
  }
  return tensors;
}

/// Names, types, shapes and bits.
inline void check_same_tensors(const std::map<std::string, at::Tensor>& a, const std::map<std::string, at::Tensor>& b) {
  for (const auto& [key, tensor] : b) CHECK(a.contains(key));
  for (const auto& [key, tensor] : a) {
    INFO(key);
    REQUIRE(b.contains(key));
    CHECK(tensor.scalar_type() == b.at(key).scalar_type());
    CHECK(at::equal(tensor, b.at(key)));
  }
}

/// One picture, as a tensor.
inline at::Tensor drawn_with(const std::filesystem::path& model, const sdtorch::Request& request) {
  return draw_tensors(networks_of(sdtorch::describe_model(model.string(), "")), request).pictures;
}
