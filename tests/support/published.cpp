#include "support/published.hpp"

#include <fstream>
#include <sstream>

#include "io/json.hpp"
#include "support/catch.hpp"
#include "support/golden.hpp"
#include "weights/key_names.hpp"

using namespace sdtorch;
using nlohmann::json;

namespace {

/// 320x4x3x3
Shape parse_shape(const std::string& text) {
  Shape shape;
  std::istringstream stream(text);
  for (std::string extent; std::getline(stream, extent, 'x');) shape.push_back(std::stoll(extent));
  return shape;
}

std::vector<PublishedTensor> read_tensors(const std::string& name) {
  std::ifstream file(golden_path("published/" + name + ".keys"));
  std::vector<PublishedTensor> tensors;
  PublishedTensor tensor;
  for (std::string shape, original_shape, third;
       file >> tensor.key >> shape >> tensor.original >> original_shape >> third;) {
    tensor.shape = parse_shape(shape);
    tensor.original_shape = parse_shape(original_shape);
    tensor.third = third == "-" ? -1 : std::stoll(third);
    tensors.push_back(tensor);
  }
  REQUIRE_FALSE(tensors.empty());
  return tensors;
}

ModelKind kind_of(const std::string& name) {
  if (name == "sd2") return {.family = Family::sd2, .prediction = "v_prediction"};
  if (name == "sdxl") return {.family = Family::sdxl};
  return {.family = name == "sdxl_refiner" ? Family::sdxl_refiner : Family::sd1};
}

}  // namespace

PublishedModel published_model(const std::string& name) {
  const json golden = read_json_file(golden_path("published/models.json"), ErrorKind::bug).at(name);
  PublishedModel model{.kind = kind_of(name), .more = golden.at("more").get<Shapes>()};
  for (const auto& [folder, network] : golden.at("networks").items()) {
    model.networks[folder] = {.config = network.at("config"),
                              .prefix = network.at("prefix"),
                              .tensors = read_tensors(network.at("tensors")),
                              .buffers = network.at("buffers").get<Shapes>()};
  }
  return model;
}

Shapes weights_in_folder(const PublishedNetwork& network) {
  StateDict weights;
  const at::Tensor number = at::zeros({});
  for (const PublishedTensor& tensor : network.tensors) weights[tensor.key] = {number.expand(tensor.shape), "file"};
  for (const auto& [key, shape] : network.buffers) weights[key] = {number.expand(shape), "file"};
  Shapes shapes;
  for (const auto& [key, weight] : with_canonical_keys(std::move(weights))) {
    if (!is_no_weight(key)) shapes[key] = weight.tensor.sizes().vec();
  }
  return shapes;
}

void check_shapes(const Shapes& found, const Shapes& expected) {
  CHECK(found.size() == expected.size());
  for (const auto& [key, shape] : expected) {
    INFO("missing or misshapen: " << key);
    const auto at = found.find(key);
    CHECK((at != found.end() && at->second == shape));
  }
  for (const auto& [key, shape] : found) {
    INFO("unexpected: " << key);
    CHECK(expected.contains(key));
  }
}

void check_agree(const json& config, const json& published, const std::set<std::string>& but_for) {
  for (const auto& [key, value] : config.items()) {
    INFO(key);
    if (key.starts_with('_') || !published.contains(key) || but_for.contains(key)) continue;
    CHECK(value == published.at(key));
  }
}
