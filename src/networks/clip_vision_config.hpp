// What CLIP's image encoder is built from: transformers' config.json, read strictly (see config.hpp).
#pragma once

#include <cstdint>
#include <nlohmann/json_fwd.hpp>
#include <string>

#include "core/read_options.hpp"
#include "nn/activation.hpp"

namespace sdtorch {

/// transformers' CLIPVisionConfig, for CLIPVisionModelWithProjection.
struct ClipVisionConfig {
  int64_t hidden_size = 768;
  int64_t intermediate_size = 3072;
  int64_t projection_dim = 512;  ///< width of a picture's embedding
  int64_t num_hidden_layers = 12;
  int64_t num_attention_heads = 12;  ///< divides hidden_size
  int64_t image_size = 224;          ///< pixels of the picture's side
  int64_t patch_size = 32;           ///< pixels of a token's side
  Activation hidden_act = Activation::quick_gelu;
  double layer_norm_eps = 1e-5;

  /// The patches' and one that stands for the whole picture.
  int64_t tokens() const { return (image_size / patch_size) * (image_size / patch_size) + 1; }

  /// Also of a whole CLIP's config, which holds this one under `vision_config`.
  static ClipVisionConfig from_json(const nlohmann::json& json, const std::string& file,
                                    const ReadOptions& options = {});
};

}  // namespace sdtorch
