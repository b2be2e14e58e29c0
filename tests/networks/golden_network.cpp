#include "networks/golden_network.hpp"

#include <ATen/core/grad_mode.h>

#include <fstream>
#include <string_view>

#include "networks/clip_text.hpp"
#include "networks/unet.hpp"
#include "networks/vae.hpp"
#include "support/catch.hpp"
#include "support/golden.hpp"
#include "support/tolerance.hpp"
#include "weights/bind.hpp"
#include "weights/key_names.hpp"

using namespace sdtorch;

namespace {

/// The rest of `text` after `prefix`, or nothing.
std::string after(std::string_view text, std::string_view prefix) {
  return text.starts_with(prefix) ? std::string(text.substr(prefix.size())) : std::string();
}

at::Tensor input(const GoldenNetwork& golden, const std::string& name, at::ScalarType type, at::Device device) {
  return golden.inputs.at(name).to(device, type);
}

}  // namespace

GoldenNetwork load_golden_network(const std::string& name) {
  return load_golden_network(golden_path("networks"), name);
}

GoldenNetwork load_golden_network(const std::filesystem::path& folder, const std::string& name) {
  GoldenNetwork golden;
  golden.config_file = (folder / (name + ".json")).string();
  std::ifstream file(golden.config_file);
  golden.config = nlohmann::json::parse(file);
  for (const auto& [key, value] : load_safetensors(folder / (name + ".safetensors"))) {
    if (const std::string weight = after(key, "weight."); !weight.empty()) golden.weights[weight] = value;
    if (const std::string input = after(key, "input."); !input.empty()) golden.inputs[input] = value.tensor;
    if (const std::string output = after(key, "output."); !output.empty()) {
      const size_t dot = output.find('.');
      golden.outputs[output.substr(0, dot)][output.substr(dot + 1)] = value.tensor;
    }
  }
  return golden;
}

GoldenNetwork load_steered_unet(const std::string& name) {
  std::ifstream file(golden_path("control/unets.json"));
  const std::string unet = nlohmann::json::parse(file).at(name);
  return load_golden_network(golden_path(unet.starts_with("unet_xl") ? "families" : "networks"), unet);
}

Outputs run_clip(const GoldenNetwork& golden, at::ScalarType type, at::Device device) {
  ClipTextModel model(ClipTextConfig::from_json(golden.config, golden.config_file));
  sdtorch::bind_weights(model, golden.weights, type, device, "text_encoder");
  return {{"hidden", model.forward(input(golden, "tokens", at::kLong, device))}};
}

Outputs run_projecting_clip(const GoldenNetwork& golden, at::ScalarType type, at::Device device) {
  ClipTextModel model(ClipTextConfig::from_json(golden.config, golden.config_file, {.projection = true}));
  sdtorch::bind_weights(model, sdtorch::with_canonical_keys(golden.weights), type, device, "text_encoder_2");
  const ClipTextStates states = model.encode(input(golden, "tokens", at::kLong, device));
  return {{"penultimate", states.penultimate}, {"pooled", states.pooled}};
}

Outputs run_unet(const GoldenNetwork& golden, at::ScalarType type, at::Device device) {
  UNet2DConditionModel model(UNetConfig::from_json(golden.config, golden.config_file));
  sdtorch::bind_weights(model, golden.weights, type, device, "unet");
  const auto given = [&](const std::string& name, at::ScalarType as) {
    return golden.inputs.contains(name) ? input(golden, name, as, device) : at::Tensor();
  };
  UNetInput call{.sample = input(golden, "sample", type, device),
                 .timestep = input(golden, "timestep", at::kFloat, device),
                 .context = input(golden, "context", type, device),
                 .pooled = given("pooled", at::kFloat),
                 .time_ids = given("time_ids", at::kFloat),
                 .guidance = given("guidance", at::kFloat),
                 .extra_channels = given("extra_channels", type),
                 .mid_residual = given("mid_residual", type)};
  for (size_t i = 0; golden.inputs.contains("down_residual." + std::to_string(i)); ++i) {
    call.down_residuals.push_back(input(golden, "down_residual." + std::to_string(i), type, device));
  }
  return {{"sample", model.forward(call)}};
}

Outputs run_vae(const GoldenNetwork& golden, at::ScalarType type, at::Device device) {
  AutoencoderKL model(VaeConfig::from_json(golden.config, golden.config_file));
  sdtorch::bind_weights(model, golden.weights, type, device, "vae");
  const LatentDistribution latent = model.encode(input(golden, "picture", type, device));
  return {{"picture", model.decode(input(golden, "latent", type, device))},
          {"mean", latent.mean},
          {"logvar", latent.logvar}};
}

void check_exact(const GoldenNetwork& golden, RunNetwork run, double tolerance, at::Device device) {
  const at::NoGradGuard no_grad;
  const Outputs actual = run(golden, at::kFloat, device);
  REQUIRE(actual.size() == golden.outputs.at("fp32").size());
  for (const auto& [name, expected] : golden.outputs.at("fp32")) {
    INFO(golden.config_file << " " << name);
    CHECK(relative_error(actual.at(name), expected) <= tolerance);
  }
}

void check_half_types(const GoldenNetwork& golden, RunNetwork run, at::Device device) {
  const at::NoGradGuard no_grad;
  const std::map<std::string, at::ScalarType> types{{"bf16", at::kBFloat16}, {"fp16", at::kHalf}};
  for (const auto& [type_name, type] : types) {
    const Outputs actual = run(golden, type, device);
    for (const auto& [name, exact] : golden.outputs.at("fp32")) {
      INFO(golden.config_file << " " << name << " " << type_name);
      CHECK(actual.at(name).scalar_type() == type);
      const double reference_loss = relative_error(golden.outputs.at(type_name).at(name), exact);
      CHECK(relative_error(actual.at(name), exact) <= tolerance::half_type_factor * reference_loss);
    }
  }
}
