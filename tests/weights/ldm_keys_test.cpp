#include "weights/ldm_keys.hpp"

#include <ATen/ATen.h>

#include <nlohmann/json.hpp>

#include "io/json.hpp"
#include "support/catch.hpp"
#include "support/errors.hpp"
#include "support/golden.hpp"

using namespace sdtorch;

namespace {

using Names = std::map<std::string, std::string>;

/// The original code's names and diffusers', as diffusers' converter pairs them.
Names golden_names(const std::string& component) {
  return read_json_file(golden_path("weights/ldm_keys.json"), ErrorKind::bug).at(component).get<Names>();
}

/// Each foreign key with its number as its weight.
StateDict numbered(const Names& names, at::IntArrayRef shape) {
  StateDict weights;
  for (const auto& [theirs, ours] : names) {
    weights[theirs] = {at::full(shape, static_cast<double>(weights.size())), "file"};
  }
  return weights;
}

void check_names(const Names& names, const StateDict& theirs, const StateDict& ours) {
  REQUIRE(ours.size() == names.size());
  for (const auto& [foreign, own] : names) {
    INFO(foreign << " → " << own);
    REQUIRE(ours.contains(own));
    CHECK(ours.at(own).tensor.flatten()[0].item<double>() == theirs.at(foreign).tensor.flatten()[0].item<double>());
  }
}

void check_way_back(const Names& names, const std::map<std::string, ForeignTensor>& recipes) {
  CHECK(recipes.size() == names.size());
  for (const auto& [foreign, own] : names) {
    INFO(foreign);
    REQUIRE(recipes.contains(foreign));
    CHECK(recipes.at(foreign).sources == std::vector<std::string>{own});
  }
}

KeySet own_keys(const Names& names) {
  KeySet keys;
  for (const auto& [theirs, ours] : names) keys.insert(ours);
  return keys;
}

}  // namespace

TEST_CASE("a U-Net's keys are those that diffusers' converter gives, there and back", "[weights]") {
  for (const char* component : {"unet_sd1", "unet_sdxl"}) {
    INFO(component);
    const Names names = golden_names(component);
    const StateDict theirs = numbered(names, {1});
    check_names(names, theirs, unet_from_ldm(theirs, "model.diffusion_model."));
    check_way_back(names, unet_to_ldm(own_keys(names)));
  }
}

TEST_CASE("a VAE's keys are those that diffusers' converter gives, its attention as matrices", "[weights]") {
  const Names names = golden_names("vae");
  const StateDict theirs = numbered(names, {1, 1, 1, 1});
  const StateDict ours = vae_from_ldm(theirs, "first_stage_model.");
  check_names(names, theirs, ours);
  CHECK(ours.at("decoder.mid_block.attentions.0.to_q.weight").tensor.dim() == 2);
  CHECK(ours.at("decoder.conv_in.weight").tensor.dim() == 4);
  check_way_back(names, vae_to_ldm(own_keys(names)));
}

TEST_CASE("OpenCLIP's text encoder becomes what diffusers' converter makes of it, and can be made again", "[weights]") {
  StateDict theirs, expected;
  for (const auto& [key, tensor] : load_golden("weights/open_clip")) {
    if (key.starts_with("theirs.")) theirs[key.substr(7)] = {tensor, "file"};
    if (key.starts_with("ours.")) expected[key.substr(5)] = {tensor, "file"};
  }
  const StateDict ours = clip_from_open_clip(theirs, "cond_stage_model.model.", 2);
  REQUIRE(keys_of(ours) == keys_of(expected));
  for (const auto& [key, weight] : ours) {
    INFO(key);
    CHECK(at::equal(weight.tensor, expected.at(key).tensor));
  }
  const auto tensor = [&](const std::string& key) { return ours.at(key).tensor; };
  for (const auto& [key, recipe] : clip_to_open_clip(keys_of(ours))) {
    INFO(key);
    REQUIRE(theirs.contains(key));
    CHECK(at::equal(make_foreign(recipe, tensor), theirs.at(key).tensor));
  }
  CHECK(clip_layers(keys_of(clip_from_open_clip(theirs, "", 1))) == 1);
}

TEST_CASE("keys that no table knows keep their whole name", "[weights]") {
  const StateDict ours = unet_from_ldm(
      {{"input_blocks.0.0.weight", {at::ones(1), "f"}}, {"extra.x", {at::ones(1), "f"}}}, "model.diffusion_model.");
  CHECK(ours.contains("conv_in.weight"));
  CHECK(ours.contains("model.diffusion_model.extra.x"));
  check_error(ErrorKind::model, "occur twice", [] {
    unet_from_ldm(
        {{"time_embed.cond_proj.weight", {at::ones(1), "f"}}, {"time_embedding.cond_proj.weight", {at::ones(1), "f"}}},
        "u.");
  });
}
