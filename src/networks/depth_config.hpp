// What a depth estimator is built from: transformers' config.json, read strictly (see config.hpp).
#pragma once

#include <cstdint>
#include <nlohmann/json_fwd.hpp>
#include <optional>
#include <string>
#include <vector>

#include "core/read_options.hpp"
#include "nn/activation.hpp"

namespace sdtorch {

/// transformers' BitConfig, as DPT's hybrid has it: bottlenecks, padded as TensorFlow does, without dilation.
struct BitConfig {
  int64_t embedding_size = 64;          ///< channels of the first convolution
  std::vector<int64_t> hidden_sizes{};  ///< channels of each stage
  std::vector<int64_t> depths{};        ///< blocks of each stage
  Activation hidden_act = Activation::relu;
  int64_t num_groups = 32;                 ///< of every norm
  bool embedding_dynamic_padding = false;  ///< zeros around what the first pooling sees

  /// Channels inside a stage's bottlenecks: a quarter, to a multiple of 8 that is not much less.
  int64_t bottleneck(size_t stage) const;
};

/// What becomes of the first token, which stands for the whole picture.
enum class Readout {
  ignore,
  add,     ///< to each of the others
  project  ///< with each of the others to its width
};

/// transformers' DPTConfig, for DPTForDepthEstimation.
struct DepthConfig {
  int64_t num_channels = 3;  ///< of the picture
  int64_t image_size = 384;  ///< pixels of a side
  int64_t patch_size = 16;   ///< pixels of a token's side

  int64_t hidden_size = 768;
  int64_t intermediate_size = 3072;
  int64_t num_hidden_layers = 12;
  int64_t num_attention_heads = 12;  ///< divides hidden_size
  Activation hidden_act = Activation::gelu;
  double layer_norm_eps = 1e-12;
  bool qkv_bias = true;

  std::optional<BitConfig> backbone{};  ///< DPT-Hybrid's: the tokens are made of its last stage
  std::vector<bool> taps{};             ///< for each layer, whether the neck sees its output

  Readout readout = Readout::project;
  std::vector<int64_t> neck_hidden_sizes{};  ///< for each feature, from the finest on
  std::vector<double>
      reassemble_factors{};  ///< likewise: how much finer than the tokens it becomes; 1/n: n times coarser
  int64_t fusion_hidden_size = 256;
  bool fusion_bias = true;  ///< of the fusion's residual units

  /// Features that come from the backbone's stages and not from the transformer.
  size_t backbone_features() const { return backbone ? 2 : 0; }

  static DepthConfig from_json(const nlohmann::json& json, const std::string& file, const ReadOptions& options = {});
};

}  // namespace sdtorch
