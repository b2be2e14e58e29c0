#include "adapters/extract_lora.hpp"

#include <ATen/ATen.h>

#include <cmath>
#include <filesystem>
#include <map>
#include <string>
#include <tuple>
#include <vector>

#include "adapters/lora_file.hpp"
#include "recipes/init_model.hpp"
#include "support/catch.hpp"
#include "support/errors.hpp"
#include "support/golden.hpp"
#include "support/temp_dir.hpp"
#include "weights/weights_file.hpp"

using namespace sdtorch;

namespace {

std::filesystem::path random_model(const TempDir& folder, const std::string& family, uint64_t seed) {
  const std::filesystem::path target = folder / (family + std::to_string(seed));
  init_model({.family = family, .seed = seed, .target = target});
  return target;
}

std::map<std::string, StateDict> weights_to_extract(const std::filesystem::path& model) {
  const auto source = open_model(model);
  std::map<std::string, StateDict> weights;
  for (const char* component : {"unet", "text_encoder", "text_encoder_2"}) {
    if (source->has(component)) weights[component] = source->weights(component);
  }
  return weights;
}

/// `from` with the file put on it at scale 1.
std::map<std::string, StateDict> with_lora(std::map<std::string, StateDict> from, const std::filesystem::path& file) {
  WeightShapes shapes;
  for (auto& [component, weights] : from) {
    for (auto& [key, weight] : weights) {
      shapes[component][key] = weight.tensor.sizes().vec();
      weight.tensor = weight.tensor.to(at::kFloat);
    }
  }
  for (const WeightChange& change : read_lora(file, shapes).changes) {
    at::Tensor& weight = from.at(change.component).at(change.key).tensor;
    weight = weight + change.difference(weight, 1);
  }
  return from;
}

}  // namespace

TEST_CASE("a LoRA of full rank makes of one model the other", "[adapters]") {
  for (const std::string family : {"sd1", "sdxl"}) {
    INFO(family);
    const TempDir folder;
    const auto from = random_model(folder, family, 1), to = random_model(folder, family, 2);
    ExtractLoraOptions options{
        .from = from, .to = to, .output = folder / "lora.safetensors", .rank = 4096, .dtype = at::kFloat};
    extract_lora(options);
    const auto made = with_lora(weights_to_extract(from), options.output);
    const auto wanted = weights_to_extract(to);
    CHECK(wanted.size() == (family == "sdxl" ? 3 : 2));
    for (const auto& [component, weights] : wanted) {
      for (const auto& [key, weight] : weights) {
        INFO(component << " " << key);
        CHECK(relative_error(made.at(component).at(key).tensor, weight.tensor.to(at::kFloat)) < 1e-5);
      }
    }

    options.only_products = true;
    extract_lora(options);
    for (const auto& [key, tensor] : load_weights(options.output).tensors) {
      CHECK((key.ends_with("lora_down.weight") || key.ends_with("lora_up.weight") || key.ends_with(".alpha")));
    }
  }
}

TEST_CASE("what is extracted at a rank is the nearest of that rank, in the type that was asked for", "[adapters]") {
  const std::string matrix = "down_blocks.0.attentions.0.proj_in.weight", conv = "conv_in.weight";
  StateDict from, to;
  for (const auto& [key, shape] :
       std::map<std::string, std::vector<int64_t>>{{matrix, {12, 7}}, {conv, {6, 5, 3, 3}}}) {
    from[key] = {at::randn(shape), "a"};
    to[key] = {from[key].tensor + at::randn(shape), "b"};
  }
  const auto extracted = extract_component(from, to, "lora_unet_", {.rank = 3, .conv_rank = 2, .dtype = at::kHalf});
  CHECK(extracted.size() == 6);
  for (const auto& [name, key, rank] :
       {std::tuple{"lora_unet_down_blocks_0_attentions_0_proj_in", matrix, 3}, {"lora_unet_conv_in", conv, 2}}) {
    INFO(name);
    const at::Tensor down = extracted.at(std::string(name) + ".lora_down.weight");
    const at::Tensor up = extracted.at(std::string(name) + ".lora_up.weight");
    CHECK(down.scalar_type() == at::kHalf);
    CHECK(down.size(0) == rank);
    CHECK(extracted.at(std::string(name) + ".alpha").item<double>() == rank);
    const at::Tensor difference = (to[key].tensor - from[key].tensor).flatten(1).to(at::kDouble);
    const at::Tensor rest = difference - up.to(at::kDouble).flatten(1).mm(down.to(at::kDouble).flatten(1));
    const at::Tensor sizes = std::get<1>(at::linalg_svd(difference));
    const double least = sizes.narrow(0, rank, sizes.size(0) - rank).norm().item<double>();
    CHECK(rest.norm().item<double>() == Approx(least).epsilon(1e-3));
    CHECK(down.dim() == from[key].tensor.dim());
  }
}

TEST_CASE("models that are no pair are refused before anything is written", "[adapters]") {
  const TempDir folder;
  const auto sd1 = random_model(folder, "sd1", 1), sdxl = random_model(folder, "sdxl", 1);
  const auto refused = [&](const std::filesystem::path& from, const std::filesystem::path& to, const char* why) {
    const std::filesystem::path output = folder / "lora.safetensors";
    check_error(ErrorKind::model, why, [&] { extract_lora({.from = from, .to = to, .output = output}); });
    CHECK_FALSE(std::filesystem::exists(output));
  };
  refused(sd1, sdxl, "text_encoder_2: is not there");
  refused(sd1, sd1, "does not differ from");
  StateDict from{{"a.weight", {at::ones({2, 2}), "a"}}}, to{{"a.weight", {at::ones({2, 3}), "b"}}};
  check_error(ErrorKind::model, "b: a.weight: has the shape [2, 3], and [2, 2] in a",
              [&] { extract_component(from, to, "lora_unet_", {}); });
  to["a.weight"].tensor = at::full({2, 2}, std::nan(""));
  check_error(ErrorKind::model, "b: a.weight: has numbers that are not finite",
              [&] { extract_component(from, to, "lora_unet_", {}); });
  from["b.weight"] = {at::ones({2}), "a"};
  check_error(ErrorKind::model, "a: b.weight: the other model has no such tensor", [&] {
    extract_component(from, {{"a.weight", from["a.weight"]}}, "lora_unet_", {});
  });
}
