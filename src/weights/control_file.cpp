#include "weights/control_file.hpp"

#include <fmt/format.h>

#include <cmath>
#include <optional>

#include "core/error.hpp"
#include "weights/ldm_configs.hpp"
#include "weights/ldm_keys.hpp"
#include "weights/recognition.hpp"
#include "weights/weights_file.hpp"

namespace sdtorch {
namespace {

using nlohmann::json;

constexpr std::string_view control_prefix = "control_model.";
constexpr int64_t original_features = 4;  // of every adapter in the original code's layout

/// The tensors under the prefix, without it: a whole model may lie beside its ControlNet. All, where none has it.
StateDict without_prefix(StateDict weights) {
  StateDict own;
  for (auto& [key, weight] : weights) {
    if (key.starts_with(control_prefix)) own.emplace(key.substr(control_prefix.size()), weight);
  }
  return own.empty() ? std::move(weights) : own;
}

ControlFile read_controlnet(StateDict weights, const json& unet, bool foreign) {
  if (foreign) {
    json config = ldm_controlnet_config(weights, unet);
    return {.config = std::move(config), .weights = controlnet_from_ldm(std::move(weights), "")};
  }
  const KeyTable table = controlnet_key_table(keys_of(weights));
  StateDict theirs;
  for (const auto& [key, weight] : weights) theirs.emplace(table.to_theirs(key).value_or(key), weight);
  return {.config = ldm_controlnet_config(theirs, unet), .weights = std::move(weights)};
}

std::string adapter_block1(size_t block, int64_t resnet) {
  return fmt::format("adapter.body.{}.resnets.{}.block1.weight", block, resnet);
}

/// Original names: a light adapter's blocks hold theirs as ours do; a full one's follow upon each other in one list.
StateDict adapter_from_original(StateDict weights, const std::string& place) {
  const bool light = weights.contains("body.0.body.0.block1.weight");
  int64_t blocks = 0;
  while (weights.contains(fmt::format("body.{}.{}", blocks, light ? "in_conv.weight" : "block1.weight"))) ++blocks;
  if (!light && blocks % original_features != 0) {
    fail(ErrorKind::model, place, "body",
         fmt::format("{} residual blocks, where a multiple of {} was expected", blocks, original_features));
  }
  std::vector<KeyPair> pairs{{"conv_in", "adapter.conv_in"}};
  const int64_t each = blocks / original_features;
  for (int64_t i = 0; i < blocks; ++i) {
    const std::string theirs = fmt::format("body.{}", i);
    if (light) {
      pairs.push_back({theirs, fmt::format("adapter.body.{}", i)});
      pairs.push_back({theirs + ".body", fmt::format("adapter.body.{}.resnets", i)});
    } else {
      pairs.push_back({theirs, fmt::format("adapter.body.{}.resnets.{}", i / each, i % each)});
      pairs.push_back({theirs + ".in_conv", fmt::format("adapter.body.{}.in_conv", i / each)});
    }
  }
  const KeyTable table(pairs);
  StateDict ours;
  for (auto& [key, weight] : weights) ours.emplace(table.to_ours(key).value_or(key), weight);
  return ours;
}

/// The side of the squares of pixels whose channels the first layer takes, of pictures in colour or else in grey.
std::optional<std::pair<int64_t, int64_t>> channels_and_side(int64_t inputs) {
  for (const int64_t channels : {3, 1}) {
    const auto side = std::llround(std::sqrt(static_cast<double>(inputs) / static_cast<double>(channels)));
    if (channels * side * side == inputs) return std::pair(channels, static_cast<int64_t>(side));
  }
  return std::nullopt;
}

json adapter_config(const StateDict& weights, const json& unet, const std::string& place) {
  const bool light = weights.contains("adapter.body.0.out_conv.weight");
  const std::string first = light ? "adapter.body.0.in_conv.weight" : "adapter.conv_in.weight";
  const int64_t inputs = extent_of(weights, first, 1);
  const auto picture = channels_and_side(inputs);
  if (!picture) {
    fail(ErrorKind::model, place, first, fmt::format("{} channels are no squares of a picture's pixels", inputs));
  }
  std::vector<int64_t> channels;
  while (weights.contains(adapter_block1(channels.size(), 0))) {
    const size_t block = channels.size();
    channels.push_back(extent_of(
        weights, light ? fmt::format("adapter.body.{}.out_conv.weight", block) : adapter_block1(block, 0), 0));
  }
  if (light && channels.size() > 1) channels.pop_back();
  int64_t resnets = 0;
  while (weights.contains(adapter_block1(0, resnets))) ++resnets;
  const bool xl = unet.value("addition_embed_type", json()) == "text_time";
  return {{"adapter_type", light ? "light_adapter"
                           : xl  ? "full_adapter_xl"
                                 : "full_adapter"},
          {"in_channels", picture->first},
          {"downscale_factor", picture->second},
          {"channels", channels},
          {"num_res_blocks", resnets}};
}

}  // namespace

ControlFile read_control_file(StateDict all, const json& unet, const std::string& place) {
  StateDict weights = without_prefix(std::move(all));
  const auto has = [&](const char* key) { return weights.contains(key); };
  const bool foreign = has("input_hint_block.0.weight");
  if (foreign || has("controlnet_cond_embedding.conv_in.weight")) {
    return read_controlnet(std::move(weights), unet, foreign);
  }
  if (has("body.0.block1.weight") || has("body.0.body.0.block1.weight")) {
    weights = adapter_from_original(std::move(weights), place);
  }
  if (has("adapter.body.0.resnets.0.block1.weight")) {
    json config = adapter_config(weights, unet, place);
    return {.kind = ControlKind::t2i_adapter, .config = std::move(config), .weights = std::move(weights)};
  }
  const std::string kind = kind_of_weights(keys_of(weights));
  fail(ErrorKind::model, place, "",
       fmt::format("this is {}, no ControlNet and no T2I-Adapter", kind.empty() ? "nothing known" : kind));
}

ControlFile load_control_file(const std::filesystem::path& file, const json& unet) {
  return read_control_file(load_weights(file).tensors, unet, file.string());
}

}  // namespace sdtorch
