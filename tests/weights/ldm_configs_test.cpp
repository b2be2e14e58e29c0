// Configs that a file's names and shapes tell, held to diffusers' own U-Nets of every arrangement of blocks.
#include "weights/ldm_configs.hpp"

#include <fmt/format.h>

#include "networks/config.hpp"
#include "networks/golden_network.hpp"
#include "support/catch.hpp"
#include "support/errors.hpp"
#include "support/tolerance.hpp"
#include "weights/ldm_keys.hpp"

using namespace sdtorch;

namespace {

constexpr const char* told_by_names_and_shapes[] = {"block_out_channels",
                                                    "layers_per_block",
                                                    "down_block_types",
                                                    "up_block_types",
                                                    "mid_block_type",
                                                    "transformer_layers_per_block",
                                                    "reverse_transformer_layers_per_block",
                                                    "only_cross_attention",
                                                    "cross_attention_dim",
                                                    "use_linear_projection",
                                                    "in_channels",
                                                    "out_channels",
                                                    "time_embedding_dim",
                                                    "conv_in_kernel",
                                                    "conv_out_kernel",
                                                    "resnet_time_scale_shift"};

/// A golden's weights under the original code's names.
StateDict in_ldm_names(const StateDict& weights) {
  StateDict foreign;
  for (const auto& [key, recipe] : unet_to_ldm(keys_of(weights))) {
    foreign[key] = {make_foreign(recipe, [&](const std::string& own) { return weights.at(own).tensor; }), "f"};
  }
  return foreign;
}

/// Blocks of keys alone, as ldm_unet_layout counts them: one letter a block, its transformer's depth after it.
StateDict unet_of(const UNetLayout& layout) {
  StateDict weights;
  const auto add = [&](const std::string& key, at::IntArrayRef shape) { weights[key] = {at::zeros(shape), "f"}; };
  const auto transformer = [&](const std::string& block, int64_t depth) {
    if (depth != UNetLayout::none) add(block + ".proj_in.weight", {64, 64});
    for (int64_t i = 0; i < depth; ++i) add(fmt::format("{}.transformer_blocks.{}.norm1.weight", block, i), {64});
  };
  for (const bool down : {true, false}) {
    const auto& levels = down ? layout.down : layout.up;
    size_t block = down ? 1 : 0;
    for (size_t level = 0; level < levels.size(); ++level) {
      for (const int64_t depth : levels[level]) {
        const std::string name = fmt::format("{}_blocks.{}", down ? "input" : "output", block++);
        for (const char* part : {"in_layers.2", "out_layers.3"}) add(fmt::format("{}.0.{}.weight", name, part), {64});
        transformer(name + ".1", depth);
      }
      if (level + 1 == levels.size()) continue;
      if (down) add(fmt::format("input_blocks.{}.0.op.weight", block++), {64});
      const bool attends = !levels[level].empty() && levels[level].back() != UNetLayout::none;
      if (!down) add(fmt::format("output_blocks.{}.{}.conv.weight", block - 1, attends ? 2 : 1), {64});
    }
  }
  if (layout.has_middle) add("middle_block.0.in_layers.2.weight", {64});
  transformer("middle_block.1", layout.middle_transformer);
  add("input_blocks.0.0.weight", {64, 4, 3, 3});
  add("out.2.weight", {4, 64, 3, 3});
  add("time_embed.0.weight", {256, 64});
  add("input_blocks.1.0.emb_layers.1.weight", {64, 256});
  return weights;
}

nlohmann::json config_of(const UNetLayout& layout) {
  return ldm_unet_config(unet_of(layout), nlohmann::json::object(), {}, {});
}

}  // namespace

TEST_CASE("diffusers' U-Nets give the reference's numbers when their config is told by original names", "[weights]") {
  for (const char* name : {"unet_sd1", "unet_sd2", "unet_odd_size", "unet_plain_mid", "unet_asymmetric"}) {
    INFO(name);
    GoldenNetwork golden = load_golden_network(name);
    const StateDict foreign = in_ldm_names(golden.weights);
    nlohmann::json base = golden.config;
    for (const char* key : told_by_names_and_shapes) base.erase(key);
    const nlohmann::json heads = base.at("attention_head_dim");
    golden.config = ldm_unet_config(foreign, std::move(base), {.heads = 1}, {});
    golden.config["attention_head_dim"] = heads;
    golden.weights = unet_from_ldm(foreign, "");
    check_exact(golden, run_unet, tolerance::tensor_relative);
  }
}

TEST_CASE("a config says a U-Net's transformers in the shortest form that holds them", "[weights]") {
  constexpr int64_t none = UNetLayout::none;
  const auto depths = [](const UNetLayout& layout) {
    const nlohmann::json config = config_of(layout);
    return std::pair(config.at("transformer_layers_per_block"),
                     config.value("reverse_transformer_layers_per_block", nlohmann::json()));
  };
  using nlohmann::json;
  CHECK(depths({.down = {{1, 1}, {none, none}},
                .up = {{none, none, none}, {1, 1, 1}},
                .has_middle = true,
                .middle_transformer = 1}) == std::pair(json(1), json()));
  CHECK(depths({.down = {{none}, {2}}, .up = {{2, 2}, {none, none}}, .has_middle = true, .middle_transformer = 2}) ==
        std::pair(json({1, 2}), json()));
  // SSD-1B
  CHECK(depths({.down = {{none, none}, {2, 2}, {4, 4}},
                .up = {{4, 4, 10}, {2, 1, 1}, {none, none, none}},
                .has_middle = true}) == std::pair(json({1, 2, 4}), json::parse("[[4, 4, 10], [2, 1, 1], 1]")));
  // The middle as deep as nothing else.
  CHECK(depths({.down = {{1}, {none}}, .up = {{2, 2}, {1, 1}}, .has_middle = true, .middle_transformer = 5}) ==
        std::pair(json({1, 5}), json({2, 1})));
  CHECK(config_of({.down = {{1}}, .up = {{1, 1}}})["mid_block_type"].is_null());
  CHECK(config_of({.down = {{1}}, .up = {{1, 1}}, .has_middle = true})["mid_block_type"] == "UNetMidBlock2D");
}

TEST_CASE("U-Nets of blocks that no config holds are refused by name", "[weights]") {
  constexpr int64_t none = UNetLayout::none;
  struct Case {
    UNetLayout layout;
    const char* message;
  };
  const Case cases[] = {
      {{.down = {{1}, {1}}, .up = {{1, 1}}}, "2 levels down and 1 up"},
      {{.down = {{1}}, .up = {{1}}}, "level 0 has 1 residual blocks down and 1 up"},
      {{.down = {{1, none}}, .up = {{1, 1, 1}}}, "input_blocks: some residual blocks of level 0 have a transformer"},
      {{.down = {{1}}, .up = {{1, none}}}, "output_blocks: some residual blocks of level 0 have a transformer"},
      {{.down = {{2}}, .up = {{2, 2}}, .has_middle = true, .middle_transformer = 3},
       "middle_block.1: a transformer of 3 blocks after a level with 2"},
  };
  for (const Case& c : cases) check_error(ErrorKind::model, c.message, [&] { config_of(c.layout); });
}
