// The published models as scripts/goldens/published.py has them: configs, and every tensor's name and shape.
#pragma once

#include <cstdint>
#include <map>
#include <nlohmann/json.hpp>
#include <set>
#include <string>
#include <vector>

#include "weights/families.hpp"
#include "weights/state_dict.hpp"

using Shape = std::vector<int64_t>;
using Shapes = std::map<std::string, Shape>;

/// A network's tensor, and the one of the model's one-file checkpoint that it is made of.
struct PublishedTensor {
  std::string key{};  ///< in the model's folder
  Shape shape{};
  std::string original{};  ///< behind the network's prefix
  Shape original_shape{};
  int64_t third = -1;  ///< of the original's rows; -1: all of it
};

struct PublishedNetwork {
  nlohmann::json config{};
  std::string prefix{};  ///< of its tensors in the checkpoint
  std::vector<PublishedTensor> tensors{};
  Shapes buffers{};  ///< what the folder's file has beside them
};

struct PublishedModel {
  sdtorch::ModelKind kind{};
  std::map<std::string, PublishedNetwork> networks{};  ///< by folder
  Shapes more{};                                       ///< what the checkpoint has beside them
};

/// name: sd1, sd2 (2.1, of 768 pixels), sdxl, sdxl_refiner
PublishedModel published_model(const std::string& name);
inline constexpr const char* published_models[] = {"sd1", "sd2", "sdxl", "sdxl_refiner"};

/// The network's tensors as the pipeline reads them from its folder: under the network's own keys, without what is no
/// weight.
Shapes weights_in_folder(const PublishedNetwork& network);

/// Checks that two lists agree, naming what is missing, unexpected or misshapen.
void check_shapes(const Shapes& found, const Shapes& expected);

/// Checks that what both configs say is the same, but for names, versions and these keys.
void check_agree(const nlohmann::json& config, const nlohmann::json& published,
                 const std::set<std::string>& but_for = {});
