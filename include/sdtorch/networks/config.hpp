// What the networks are built from: config.json of each component, read strictly.
#pragma once

#include <cstdint>
#include <nlohmann/json_fwd.hpp>
#include <string>
#include <vector>

namespace sdtorch {

struct ClipTextConfig {
  int64_t hidden_size = 0;              ///< C of the context
  int64_t max_position_embeddings = 77;

  /// file: for messages. Throws ErrorKind::model naming a missing, misshapen or unsupported key.
  static ClipTextConfig from_json(const nlohmann::json& json, const std::string& file);
};

struct UNetConfig {
  int64_t sample_size = 64;  ///< latent pixels of the model's own size
  int64_t in_channels = 4;
  int64_t out_channels = 4;
  int64_t cross_attention_dim = 0;  ///< C of the context

  static UNetConfig from_json(const nlohmann::json& json, const std::string& file);
};

struct VaeConfig {
  int64_t latent_channels = 4;
  double scaling_factor = 0.18215;
  double shift_factor = 0;
  bool force_upcast = true;

  /// Pixels a latent pixel stands for along each axis: 2^(blocks - 1).
  int64_t factor() const;

  static VaeConfig from_json(const nlohmann::json& json, const std::string& file);
};

}  // namespace sdtorch
