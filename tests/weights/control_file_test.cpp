#include "weights/control_file.hpp"

#include <ATen/core/grad_mode.h>
#include <fmt/format.h>

#include "io/json.hpp"
#include "networks/golden_network.hpp"
#include "networks/t2i_adapter.hpp"
#include "support/catch.hpp"
#include "support/errors.hpp"
#include "support/golden.hpp"
#include "support/temp_dir.hpp"
#include "support/tolerance.hpp"
#include "weights/bind.hpp"
#include "weights/ldm_keys.hpp"

using namespace sdtorch;
using nlohmann::json;

namespace {

GoldenNetwork load_control(const std::string& name) { return load_golden_network(golden_path("control"), name); }

/// A ControlNet's golden under the original code's names.
std::map<std::string, at::Tensor> original_names(const StateDict& weights, const std::string& prefix) {
  std::map<std::string, at::Tensor> theirs;
  for (const auto& [key, recipe] : controlnet_to_ldm(keys_of(weights))) {
    theirs[prefix + key] = make_foreign(recipe, [&](const std::string& own) { return weights.at(own).tensor; });
  }
  return theirs;
}

/// Checks what the file's network makes of the golden's inputs.
void check_controlnet(const ControlFile& file, const GoldenNetwork& golden) {
  const at::NoGradGuard no_grad;
  REQUIRE(file.kind == ControlKind::controlnet);
  ControlNet net(ControlNetConfig::from_json(file.config, "file"));
  bind_weights(net, file.weights, at::kFloat, at::kCPU, "controlnet");
  const auto given = [&](const char* name) {
    return golden.inputs.contains(name) ? golden.inputs.at(name) : at::Tensor();
  };
  const UNetInput call{.sample = given("sample"),
                       .timestep = given("timestep"),
                       .context = given("context"),
                       .pooled = given("pooled"),
                       .time_ids = given("time_ids")};
  const auto residuals =
      net.forward(call, net.embed(given("picture")), net.weights(ControlMode::balanced, 0.7));  // as the golden's
  CHECK(relative_error(residuals.mid, golden.outputs.at("fp32").at("mid")) <= tolerance::tensor_relative);
}

void check_adapter(const ControlFile& file, const GoldenNetwork& golden) {
  const at::NoGradGuard no_grad;
  REQUIRE(file.kind == ControlKind::t2i_adapter);
  for (const auto& [key, value] : file.config.items()) {
    INFO(key);
    CHECK(golden.config.at(key) == value);
  }
  T2IAdapter net(T2IAdapterConfig::from_json(file.config, "file"));
  bind_weights(net, file.weights, at::kFloat, at::kCPU, "adapter");
  const auto features = net.forward(golden.inputs.at("picture"));
  for (size_t i = 0; i < features.size(); ++i) {
    CHECK(relative_error(features[i], golden.outputs.at("fp32").at(fmt::format("feature.{}", i))) <=
          tolerance::tensor_relative);
  }
}

/// `adapter.body.A.resnets.B.C` → `body.(A·each + B).C`, or `body.A.body.B.C` of a light one.
StateDict original_adapter(const GoldenNetwork& golden) {
  const int64_t each = golden.config.at("num_res_blocks");
  const bool light = golden.config.at("adapter_type") == "light_adapter";
  StateDict theirs;
  for (const auto& [key, weight] : golden.weights) {
    std::string name = key.substr(std::string("adapter.").size());
    int block = 0, resnet = 0, used = 0;
    if (std::sscanf(name.c_str(), "body.%d.resnets.%d.%n", &block, &resnet, &used) == 2) {
      const std::string rest = name.substr(static_cast<size_t>(used));
      name = light ? fmt::format("body.{}.body.{}.{}", block, resnet, rest)
                   : fmt::format("body.{}.{}", block * each + resnet, rest);
    } else if (std::sscanf(name.c_str(), "body.%d.%n", &block, &used) == 1 && !light) {
      name = fmt::format("body.{}.{}", block * each, name.substr(static_cast<size_t>(used)));
    }
    theirs[name] = weight;
  }
  return theirs;
}

}  // namespace

TEST_CASE("a ControlNet's keys are those that diffusers' converter gives, there and back", "[weights]") {
  const json golden = read_json_file(golden_path("control/ldm_keys.json"), ErrorKind::bug);
  for (const char* family : {"sd1", "sdxl"}) {
    std::map<std::string, std::string> names = golden.at(family);
    if (family == std::string("sdxl")) {  // the converter drops what SDXL takes beside the text
      for (const char* end : {"weight", "bias"}) {
        names[fmt::format("label_emb.0.0.{}", end)] = fmt::format("add_embedding.linear_1.{}", end);
        names[fmt::format("label_emb.0.2.{}", end)] = fmt::format("add_embedding.linear_2.{}", end);
      }
    }
    StateDict theirs;
    for (const auto& [foreign, own] : names) theirs[foreign] = {at::full({1}, static_cast<double>(theirs.size())), "f"};
    const StateDict ours = controlnet_from_ldm(theirs, "control_model.");
    REQUIRE(ours.size() == names.size());
    const auto recipes = controlnet_to_ldm(keys_of(ours));
    for (const auto& [foreign, own] : names) {
      INFO(foreign << " → " << own);
      REQUIRE(ours.contains(own));
      CHECK(at::equal(ours.at(own).tensor, theirs.at(foreign).tensor));
      CHECK(recipes.at(foreign).sources == std::vector<std::string>{own});
    }
  }
}

TEST_CASE("a ControlNet in one file gives the reference's numbers, by original names and by diffusers'", "[weights]") {
  const TempDir folder;
  for (const char* name : {"controlnet_sd1", "controlnet_sd2", "controlnet_xl"}) {
    INFO(name);
    const GoldenNetwork golden = load_control(name);
    const json unet = load_steered_unet(name).config;
    for (const char* prefix : {"control_model.", ""}) {
      auto theirs = original_names(golden.weights, prefix);
      if (*prefix != 0) theirs["model.diffusion_model.out.2.weight"] = at::ones({1});  // of the model beside it
      save_safetensors(folder / "original.safetensors", theirs);
      ControlFile file = load_control_file(folder / "original.safetensors", unet);
      if (golden.config.at("controlnet_conditioning_channel_order") == "bgr") {  // which no tensor tells
        CHECK_FALSE(file.config.contains("controlnet_conditioning_channel_order"));
        file.config["controlnet_conditioning_channel_order"] = "bgr";
      }
      check_controlnet(file, golden);
    }
    ControlFile file = read_control_file(golden.weights, unet, "file");
    file.config["controlnet_conditioning_channel_order"] = golden.config.at("controlnet_conditioning_channel_order");
    check_controlnet(file, golden);
  }
}

TEST_CASE("a T2I-Adapter in one file gives the reference's numbers, by original names and by diffusers'", "[weights]") {
  for (const char* name : {"adapter_sd1", "adapter_xl", "adapter_light"}) {
    INFO(name);
    const GoldenNetwork golden = load_control(name);
    const json unet = load_steered_unet(name).config;
    check_adapter(read_control_file(golden.weights, unet, "file"), golden);
    const bool four_features = golden.config.at("channels").size() == 4;  // as all have in that layout
    if (four_features || golden.config.at("adapter_type") == "light_adapter") {
      check_adapter(read_control_file(original_adapter(golden), unet, "file"), golden);
    }
  }
}

TEST_CASE("a ControlNet for other levels than the U-Net's is told as it is", "[weights]") {
  const GoldenNetwork golden = load_control("controlnet_sd1");
  const json unet = load_steered_unet("controlnet_xl").config;
  json two_levels = unet;
  two_levels["attention_head_dim"] = {2, 3};
  const ControlFile file = read_control_file(golden.weights, two_levels, "file");
  const auto config = ControlNetConfig::from_json(file.config, "file");
  CHECK_FALSE(config.unet.added.has_value());
  check_error(ErrorKind::model, "file: block_out_channels",
              [&] { require_fit(config, UNetConfig::from_json(unet, "unet"), 8, "file"); });
}

TEST_CASE("a file that steers nothing is called what it is", "[weights]") {
  const auto check = [](const StateDict& weights, const char* message) {
    check_error(ErrorKind::model, message, [&] { read_control_file(weights, json::object(), "net.safetensors"); });
  };
  const auto weight = [](at::IntArrayRef shape) { return SourcedTensor{at::ones(shape), "net.safetensors"}; };
  check({{"lora_unet_x.lora_down.weight", weight({1})}},
        "net.safetensors: this is a LoRA (kohya's names), no ControlNet and no T2I-Adapter");
  check({{"lllite_unet_x.depth1.0.weight", weight({1})}}, "this is a ControlNet-LLLite (kohya's)");
  check({{"x", weight({1})}}, "this is nothing known");
  check({{"input_hint_block.0.weight", weight({1})}}, "net.safetensors: input_blocks");
  check({{"body.0.block1.weight", weight({1})}}, "body: 1 residual blocks, where a multiple of 4");
  check({{"adapter.body.0.resnets.0.block1.weight", weight({4, 4, 3, 3})}},
        "net.safetensors: adapter.conv_in.weight: missing");
  check({{"adapter.body.0.resnets.0.block1.weight", weight({4, 4, 3, 3})},
         {"adapter.conv_in.weight", weight({4, 7, 3, 3})}},
        "7 channels are no squares");
}
