#include "weights/midas_keys.hpp"

#include <ATen/ATen.h>

#include "recipes/init_model.hpp"
#include "support/catch.hpp"
#include "support/errors.hpp"
#include "support/temp_dir.hpp"
#include "weights/component_files.hpp"
#include "weights/model_folder.hpp"
#include "weights/weights_file.hpp"

using namespace sdtorch;

namespace {

constexpr std::string_view prefix = "depth_model.";

/// Of a file, without the prefix.
StateDict midas_weights(const std::filesystem::path& file) {
  StateDict own;
  for (auto& [key, weight] : load_weights(file).tensors) {
    if (key.starts_with(prefix)) own.emplace(key.substr(prefix.size()), weight);
  }
  return own;
}

}  // namespace

// The names were held against transformers' own converter when the table was written.
TEST_CASE("an estimator under MiDaS's names is the same under transformers'", "[weights]") {
  const TempDir temp;
  init_model({.family = "depth", .target = temp / "m"});
  init_model({.family = "depth", .layout = "single", .target = temp / "m.safetensors"});
  const auto theirs = midas_weights(temp / "m.safetensors");
  CHECK(theirs.contains("model.pretrained.model.blocks.3.attn.qkv.bias"));
  CHECK(theirs.contains("model.pretrained.model.patch_embed.backbone.stages.2.blocks.0.downsample.norm.weight"));
  CHECK(theirs.contains("model.pretrained.act_postprocess4.4.weight"));
  CHECK(theirs.contains("model.scratch.refinenet1.resConfUnit2.conv1.bias"));
  CHECK(theirs.contains("model.scratch.output_conv.4.weight"));

  StateDict more = theirs;
  more["model.pretrained.model.head.weight"] = {at::zeros({10, 64}), "f"};
  more["model.pretrained.odd"] = {at::zeros({1}), "f"};
  StateDict ours = depth_estimator_from_midas(more, std::string(prefix));
  CHECK(ours.erase("depth_model.model.pretrained.odd") == 1);
  const StateDict wanted = load_component(temp / "m" / "depth_estimator");
  REQUIRE(keys_of(ours) == keys_of(wanted));
  for (const auto& [key, weight] : wanted) CHECK(at::equal(weight.tensor, ours.at(key).tensor));

  const nlohmann::json config = load_config(temp / "m" / "depth_estimator" / "config.json");
  CHECK(midas_config(theirs, config) == config);
  StateDict cut = theirs;
  cut.erase("model.pretrained.model.pos_embed");
  check_error(ErrorKind::model, "model.pretrained.model.pos_embed", [&] { midas_config(cut, config); });
}
