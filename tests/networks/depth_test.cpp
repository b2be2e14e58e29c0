#include "networks/depth.hpp"

#include <ATen/core/grad_mode.h>

#include "core/error.hpp"
#include "networks/golden_network.hpp"
#include "support/catch.hpp"
#include "support/golden.hpp"
#include "support/tolerance.hpp"
#include "weights/bind.hpp"

using namespace sdtorch;
using nlohmann::json;

namespace {

GoldenNetwork load_depth(const std::string& name) { return load_golden_network(golden_path("depth"), name); }

Outputs run_depth(const GoldenNetwork& golden, at::ScalarType type, at::Device device) {
  DepthEstimator model(DepthConfig::from_json(golden.config, golden.config_file));
  bind_weights(model, golden.weights, type, device, "depth_estimator");
  return {{"depth", model.forward(golden.inputs.at("picture").to(device, type))}};
}

}  // namespace

TEST_CASE("the depth estimator equals transformers'", "[networks]") {
  for (const char* name : {"depth_hybrid", "depth_hybrid_odd", "depth_vit", "depth_vit_add", "depth_vit_ignore"}) {
    const GoldenNetwork golden = load_depth(name);
    check_exact(golden, run_depth, tolerance::tensor_relative);
    if (golden.outputs.contains("fp16")) check_half_types(golden, run_depth);
  }
}

TEST_CASE("a depth estimator is given pictures of its size", "[networks]") {
  const at::NoGradGuard no_grad;
  DepthEstimator hybrid(DepthConfig::from_json(load_depth("depth_hybrid").config, "config.json"));
  CHECK_THROWS_WITH(hybrid.forward(at::zeros({1, 3, 48, 64})), Catch::Contains("for 48 pixels was given 64×48"));
  const GoldenNetwork golden = load_depth("depth_vit");
  DepthEstimator vit(DepthConfig::from_json(golden.config, "config.json"));
  bind_weights(vit, golden.weights, at::kFloat, at::kCPU, "depth_estimator");
  CHECK(vit.forward(at::zeros({1, 3, 24, 40})).sizes() == at::IntArrayRef({1, 64, 96}));
  CHECK_THROWS_AS(vit.forward(at::zeros({1, 3, 24, 41})), Error);
}

TEST_CASE("missing keys of a depth estimator take the reference's defaults", "[networks]") {
  const auto plain = DepthConfig::from_json(json::object(), "config.json");
  CHECK(plain.neck_hidden_sizes == std::vector<int64_t>{96, 192, 384, 768});
  CHECK(plain.taps[11]);
  CHECK_FALSE(plain.taps[3]);
  CHECK_FALSE(plain.backbone.has_value());

  // As the model of Stable Diffusion 2 for depth says it.
  const json published = {{"is_hybrid", true},
                          {"neck_hidden_sizes", {256, 512, 768, 768}},
                          {"reassemble_factors", {1, 1, 1, 0.5}},
                          {"torch_dtype", "float32"},
                          {"transformers_version", nullptr}};
  const auto hybrid = DepthConfig::from_json(published, "config.json");
  REQUIRE(hybrid.backbone.has_value());
  CHECK(hybrid.backbone->hidden_sizes == std::vector<int64_t>{256, 512, 1024});
  CHECK(hybrid.backbone->depths == std::vector<int64_t>{3, 4, 9});
  CHECK(hybrid.backbone->bottleneck(2) == 256);
  CHECK(hybrid.backbone->embedding_dynamic_padding);
}

TEST_CASE("a depth estimator's config is refused by key", "[networks]") {
  const auto check = [](json config, const char* key, const json& value, const char* reason) {
    INFO(key << ": " << value.dump());
    config[key] = value;
    CHECK_THROWS_WITH(
        DepthConfig::from_json(config, "depth_estimator/config.json"),
        Catch::StartsWith(std::string("depth_estimator/config.json: ") + key + ": ") && Catch::Contains(reason));
  };
  const json vit = load_depth("depth_vit").config, hybrid = load_depth("depth_hybrid").config;
  check(vit, "patch_size", 64, "no more than image_size");
  check(vit, "image_size", {32, 48}, "two equal ones");
  check(vit, "num_attention_heads", 5, "a divisor of hidden_size");
  check(vit, "backbone_out_indices", {0, 1, 2, 4}, "an integer from 0 to 3");
  check(vit, "backbone_out_indices", {0, 1, 1, 2}, "different layers");
  check(vit, "readout_type", "sum", "ignore, add or project");
  check(vit, "reassemble_factors", {4, 2, 1}, "as many numbers");
  check(vit, "reassemble_factors", {4, 2, 1.5, 1}, "an integer from 1");
  check(vit, "reassemble_factors", {4, 2, 1, 0}, "an integer from 1");
  check(vit, "use_batch_norm_in_fusion_residual", true, "not supported");
  check(vit, "add_projection", true, "not supported");
  check(vit, "head_in_index", 2, "not supported");
  check(vit, "backbone_config", {{"model_type", "dinov2"}}, "not supported");
  check(vit, "backbone", "facebook/dinov2-base", "not supported");
  check(vit, "depth_estimation_type", "metric", "unknown key");
  check(hybrid, "readout_type", "add", "which is_hybrid needs");
  check(hybrid, "patch_size", 8, "expected 16");
  check(hybrid, "image_size", 40, "a multiple of patch_size");
  check(hybrid, "neck_hidden_sizes", {24, 24, 20, 12}, "16 and 24");
  check(hybrid, "backbone_featmap_shape", {1, 32, 3, 3}, "the second 40");
  check(hybrid, "neck_ignore_stages", json::array({0}), "not supported");
  check(hybrid, "backbone_config", 3, "a JSON object");
}

TEST_CASE("a depth estimator's backbone is refused by key", "[networks]") {
  const json good = load_depth("depth_hybrid").config;
  const auto check = [&](const char* key, const json& value, const char* reason) {
    INFO(key);
    json config = good;
    config["backbone_config"][key] = value;
    CHECK_THROWS_WITH(
        DepthConfig::from_json(config, "config.json"),
        Catch::StartsWith(std::string("config.json: backbone_config: ") + key + ": ") && Catch::Contains(reason));
  };
  check("model_type", "resnet", "not supported, only");
  check("layer_type", "preactivation", "only bottleneck");
  check("global_padding", nullptr, "only same");
  check("depths", {3, 4}, "3 integers");
  check("hidden_sizes", {16, 24, 36}, "multiples of 8");
  check("embedding_size", 10, "a multiple of num_groups, 4");
  check("out_features", {"stage2", "stage3"}, "not supported");
  check("output_stride", 8, "an integer from 16");
  check("width_factor", 2, "not supported");
  check("num_channels", 1, "expected 3");
  check("stem_type", "same", "unknown key");
}
