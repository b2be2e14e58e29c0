#include "networks/depth_config.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <nlohmann/json.hpp>

#include "networks/transformers_config.hpp"

namespace sdtorch {
namespace {

constexpr int64_t hybrid_stages = 3;
constexpr int64_t hybrid_stride = 16;  // of the backbone's last stage

void ignore_what_changes_no_depth(ConfigReader& reader) {
  reader.only("pruned_heads", nlohmann::json::object());
  reader.only("is_decoder", false);
  reader.only("add_cross_attention", false);
  reader.only_null({"quantization_config"});
  ignore_what_changes_nothing(reader);
}

/// One side's pixels, or two equal ones.
int64_t read_side(ConfigReader& reader, const char* key, int64_t fallback) {
  if (!reader.has(key) || !reader.value(key)->is_array()) return reader.integer(key, fallback);
  const std::vector<int64_t> sides = reader.integers(key, {});
  if (sides.size() != 2 || sides[0] != sides[1]) reader.fail(key, "one integer, or two equal ones");
  return sides[0];
}

/// What the reference makes of no backbone_config at all; keys that are missing from one are BitConfig's defaults.
nlohmann::json usual_backbone() {
  return {{"layer_type", "bottleneck"},
          {"global_padding", "same"},
          {"depths", {3, 4, 9}},
          {"embedding_dynamic_padding", true},
          {"out_features", {"stage1", "stage2", "stage3"}}};
}

void read_stages(ConfigReader& reader, BitConfig& config) {
  config.depths = reader.integers("depths", {3, 4, 6, 3}, {.max = 64});
  if (static_cast<int64_t>(config.depths.size()) != hybrid_stages) {
    reader.fail("depths", fmt::format("{} integers", hybrid_stages));
  }
  config.hidden_sizes = reader.integers("hidden_sizes", {256, 512, 1024, 2048});
  if (config.hidden_sizes.size() < config.depths.size()) {
    reader.fail("hidden_sizes", fmt::format("{} integers or more", hybrid_stages));
  }
  config.hidden_sizes.resize(config.depths.size());
  config.embedding_size = reader.integer("embedding_size", config.embedding_size);
  config.num_groups = reader.integer("num_groups", config.num_groups);
  if (config.embedding_size % config.num_groups != 0) {
    reader.fail("embedding_size", fmt::format("a multiple of num_groups, {}", config.num_groups));
  }
  for (size_t i = 0; i < config.hidden_sizes.size(); ++i) {
    const int64_t size = config.hidden_sizes[i];
    if (size % 8 != 0 || size % config.num_groups != 0 || config.bottleneck(i) % config.num_groups != 0) {
      reader.fail("hidden_sizes", fmt::format("multiples of 8 that, as their quarters, are multiples of num_groups, {}",
                                              config.num_groups));
    }
  }
}

BitConfig read_backbone(const nlohmann::json& json, const std::string& file, int64_t channels,
                        const ReadOptions& options) {
  ConfigReader reader(json, file + ": backbone_config", options);
  BitConfig config;
  read_stages(reader, config);
  config.hidden_act = read_activation(reader, "hidden_act", "relu", transformers_activations);
  config.embedding_dynamic_padding = reader.boolean("embedding_dynamic_padding", false);
  if (reader.integer("num_channels", 3) != channels) reader.fail("num_channels", fmt::format("{}", channels));
  if (reader.text("layer_type", "preactivation") != "bottleneck") reader.fail("layer_type", "only bottleneck");
  const std::string padding = reader.given("global_padding") ? reader.text("global_padding", "") : "";
  if (padding != "same" && padding != "SAME") reader.fail("global_padding", "only same");

  const nlohmann::json stages = {"stage1", "stage2", "stage3"}, indices = {1, 2, 3};
  reader.only("out_features", stages);
  reader.only("out_indices", indices);
  if (!reader.given("out_features") && !reader.given("out_indices")) {
    reader.fail("out_features", "the three stages, stage1, stage2, stage3");
  }
  reader.only("model_type", "bit");
  reader.only("width_factor", 1);
  reader.integer("output_stride", 32, {.min = hybrid_stride});  // a smaller one would dilate the last stage
  reader.ignore({"drop_path_rate", "stage_names"});
  ignore_what_changes_no_depth(reader);
  reader.finish();
  return config;
}

void read_transformer(ConfigReader& reader, DepthConfig& config) {
  config.hidden_size = reader.integer("hidden_size", config.hidden_size);
  config.intermediate_size = reader.integer("intermediate_size", config.intermediate_size);
  config.num_hidden_layers = reader.integer("num_hidden_layers", config.num_hidden_layers, {.max = 1024});
  config.num_attention_heads = reader.integer("num_attention_heads", config.num_attention_heads);
  if (config.hidden_size % config.num_attention_heads != 0) {
    reader.fail("num_attention_heads", fmt::format("a divisor of hidden_size, {}", config.hidden_size));
  }
  config.hidden_act = read_activation(reader, "hidden_act", "gelu", transformers_activations);
  config.layer_norm_eps = reader.positive_number("layer_norm_eps", config.layer_norm_eps);
  config.qkv_bias = reader.boolean("qkv_bias", config.qkv_bias);
}

/// Which layers are seen. The reference takes the key for a set, and a hybrid's first two for the backbone's stages.
void read_taps(ConfigReader& reader, DepthConfig& config) {
  constexpr auto key = "backbone_out_indices";
  const std::vector<int64_t> indices =
      reader.integers(key, {2, 5, 8, 11}, {.min = 0, .max = config.num_hidden_layers - 1});
  config.taps.assign(static_cast<size_t>(config.num_hidden_layers), false);
  for (size_t i = config.backbone_features(); i < indices.size(); ++i) {
    config.taps[static_cast<size_t>(indices[i])] = true;
  }
  const size_t found = config.backbone_features() + static_cast<size_t>(std::ranges::count(config.taps, true));
  if (found != config.neck_hidden_sizes.size()) {
    reader.fail(key,
                fmt::format("different layers, as many as neck_hidden_sizes has, {}", config.neck_hidden_sizes.size()));
  }
}

void read_factors(ConfigReader& reader, DepthConfig& config) {
  constexpr auto key = "reassemble_factors";
  constexpr double most = 64;
  config.reassemble_factors = {4, 2, 1, 0.5};
  if (const nlohmann::json* found = reader.value(key)) {
    if (!found->is_array()) reader.fail(key, "a list of numbers");
    config.reassemble_factors.clear();
    for (const nlohmann::json& item : *found) {
      const double factor = reader.as_number(key, item);
      if (factor <= 0 || factor > most || (factor > 1 && factor != std::floor(factor))) {
        reader.fail_item(key, item, fmt::format("an integer from 1 to {}, or a number between 0 and 1", most));
      }
      config.reassemble_factors.push_back(factor);
    }
  }
  if (config.reassemble_factors.size() != config.neck_hidden_sizes.size()) {
    reader.fail(key, fmt::format("as many numbers as neck_hidden_sizes has, {}", config.neck_hidden_sizes.size()));
  }
}

void read_neck(ConfigReader& reader, DepthConfig& config) {
  const std::string readout = reader.text("readout_type", "project");
  if (readout == "add" && !config.backbone) {
    config.readout = Readout::add;
  } else if (readout == "ignore" && !config.backbone) {
    config.readout = Readout::ignore;
  } else if (readout != "project") {
    reader.fail("readout_type", config.backbone ? "only project, which is_hybrid needs" : "ignore, add or project");
  }
  config.neck_hidden_sizes = reader.integers("neck_hidden_sizes", {96, 192, 384, 768});
  config.fusion_hidden_size = reader.integer("fusion_hidden_size", config.fusion_hidden_size, {.min = 2});
  config.fusion_bias =
      !reader.given("use_bias_in_fusion_residual") || reader.boolean("use_bias_in_fusion_residual", true);
  reader.only("use_batch_norm_in_fusion_residual", false);
  reader.only("add_projection", false);
  reader.only("head_in_index", -1);
  read_taps(reader, config);
  read_factors(reader, config);
}

/// What a hybrid's parts must agree in, where the reference fails or never looks.
void check_hybrid(ConfigReader& reader, const DepthConfig& config) {
  const std::vector<int64_t>& stages = config.backbone->hidden_sizes;
  if (config.patch_size != hybrid_stride) reader.fail("patch_size", fmt::format("{}", hybrid_stride));
  if (config.image_size % hybrid_stride != 0) {
    reader.fail("image_size", fmt::format("a multiple of patch_size, {}", hybrid_stride));
  }
  for (size_t i = 0; i < config.backbone_features(); ++i) {
    if (i >= config.neck_hidden_sizes.size() || config.neck_hidden_sizes[i] != stages[i]) {
      reader.fail("neck_hidden_sizes",
                  fmt::format("the backbone's first two sizes first, {} and {}", stages[0], stages[1]));
    }
  }
  const std::vector<int64_t> shape = reader.integers("backbone_featmap_shape", {1, 1024, 24, 24});
  if (shape.size() != 4 || shape[1] != stages.back()) {
    reader.fail("backbone_featmap_shape", fmt::format("four integers, the second {}", stages.back()));
  }
  reader.only("neck_ignore_stages", {0, 1});
}

}  // namespace

int64_t BitConfig::bottleneck(size_t stage) const {
  constexpr int64_t unit = 8;
  const double quarter = static_cast<double>(hidden_sizes[stage]) / 4;
  const int64_t rounded = std::max(unit, static_cast<int64_t>(quarter + unit / 2.0) / unit * unit);
  return static_cast<double>(rounded) < 0.9 * quarter ? rounded + unit : rounded;
}

DepthConfig DepthConfig::from_json(const nlohmann::json& json, const std::string& file, const ReadOptions& options) {
  constexpr auto backbone_key = "backbone_config";
  ConfigReader reader(json, file, options);
  DepthConfig config;
  config.num_channels = reader.integer("num_channels", config.num_channels);
  config.image_size = read_side(reader, "image_size", config.image_size);
  config.patch_size = read_side(reader, "patch_size", config.patch_size);
  if (config.patch_size > config.image_size) reader.fail("patch_size", "no more than image_size");
  read_transformer(reader, config);
  if (reader.boolean("is_hybrid", false)) {
    const nlohmann::json usual = usual_backbone();
    config.backbone = read_backbone(reader.given(backbone_key) ? *reader.value(backbone_key) : usual, file,
                                    config.num_channels, options);
    read_neck(reader, config);
    check_hybrid(reader, config);
  } else {
    reader.only_null({backbone_key});
    read_neck(reader, config);
    reader.ignore({"backbone_featmap_shape", "neck_ignore_stages"});
  }
  // Other ways to name a backbone.
  reader.only_null({"backbone", "backbone_kwargs"});
  reader.only("use_timm_backbone", false);
  reader.only("use_pretrained_backbone", false);
  // Of training, and of heads other than the depth's.
  reader.ignore({"hidden_dropout_prob", "attention_probs_dropout_prob", "use_auxiliary_head", "auxiliary_loss_weight",
                 "semantic_loss_ignore_index", "semantic_classifier_dropout", "pooler_output_size", "pooler_act"});
  ignore_what_changes_no_depth(reader);
  reader.finish();
  return config;
}

}  // namespace sdtorch
