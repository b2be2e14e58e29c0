#include "adapters/ip_adapter.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <optional>
#include <string_view>
#include <utility>

#include "core/error.hpp"
#include "core/log.hpp"
#include "core/number.hpp"
#include "weights/ldm_keys.hpp"
#include "weights/recognition.hpp"

namespace sdtorch {
namespace {

constexpr std::string_view projection_prefix = "image_proj.", layers_prefix = "ip_adapter.";
constexpr int64_t plain_tokens = 4, ip_head_width = 64;  // of every such adapter

/// A beginning of a key and what it becomes.
struct IpRename {
  std::string_view from, to;
};

constexpr IpRename plain_names[] = {{"proj.", "image_embeds."}};
constexpr IpRename full_names[] = {{"proj.0.", "ff.net.0.proj."}, {"proj.2.", "ff.net.2."}, {"proj.3.", "norm."}};
/// Of the original resampler's layers: attention, then feed-forward layer. Later files name their parts.
constexpr IpRename plus_layer_names[] = {
    {"0.norm1.", "ln0."},
    {"0.norm2.", "ln1."},
    {"0.to_q.", "attn.to_q."},
    {"0.to_kv.", "attn.to_kv."},
    {"0.to_out.", "attn.to_out.0."},
    {"attn.to_out.weight", "attn.to_out.0.weight"},
    {"1.0.", "ff.0."},
    {"1.1.", "ff.1.net.0.proj."},
    {"1.3.", "ff.1.net.2."},
};

template <size_t count>
std::string with_our_beginning(const std::string& key, const IpRename (&names)[count]) {
  for (const auto& [from, to] : names) {
    if (key.starts_with(from)) return std::string(to) + key.substr(from.size());
  }
  return key;
}

/// `layers.3.` of `layers.3.0.norm1.weight`; empty where the key has no such beginning.
std::string resampler_layer(const std::string& key) {
  constexpr std::string_view layers = "layers.";
  if (!key.starts_with(layers)) return {};
  const size_t dot = key.find('.', layers.size());
  return dot == std::string::npos ? std::string() : key.substr(0, dot + 1);
}

/// What of the weights belongs to the adapter.
struct Halves {
  StateDict projection{}, layers{};
};

Halves halves_of(const StateDict& weights, const std::string& place) {
  Halves halves;
  std::vector<std::string> others;
  for (const auto& [key, weight] : weights) {
    if (key.starts_with(projection_prefix)) {
      halves.projection.emplace(key.substr(projection_prefix.size()), weight);
    } else if (key.starts_with(layers_prefix)) {
      halves.layers.emplace(key.substr(layers_prefix.size()), weight);
    } else {
      others.push_back(key);
    }
  }
  const bool found = !halves.projection.empty() && !halves.layers.empty();
  if (found && !others.empty()) {
    log_warning_once(fmt::format("{}: {} tensors are no part of an IP-Adapter and are passed over, {} the first", place,
                                 others.size(), others.front()));
  }
  return halves;
}

/// Down, up, middle, each by its numbers: the order in which adapters count.
std::vector<int64_t> rank_of(const std::string& key) {
  std::vector<int64_t> rank{key.starts_with("down_blocks.") ? 0 : key.starts_with("up_blocks.") ? 1 : 2};
  for (size_t begin = 0; begin <= key.size();) {
    const size_t dot = std::min(key.find('.', begin), key.size());
    if (const auto number = parse_int(key.substr(begin, dot - begin))) rank.push_back(*number);
    begin = dot + 1;
  }
  return rank;
}

/// A U-Net that diffusers saved with one adapter in it.
Halves halves_of_unet(const StateDict& weights, const std::string& place) {
  constexpr std::string_view projection = "encoder_hid_proj.image_projection_layers.", first = "0.",
                             processor = ".processor.";
  Halves halves;
  std::map<std::vector<int64_t>, StateDict> by_rank;
  for (const auto& [key, weight] : weights) {
    if (key.starts_with(projection)) {
      const std::string own = key.substr(projection.size());
      if (!own.starts_with(first)) fail(ErrorKind::model, place, key, "a U-Net with several IP-Adapters in it");
      halves.projection.emplace(own.substr(first.size()), weight);
    } else if (const size_t at = key.find(processor); at != std::string::npos) {
      const std::string layer = key.substr(at + processor.size());  // to_k_ip.0.weight
      by_rank[rank_of(key.substr(0, at))].emplace(layer.substr(0, layer.find('.')) + ".weight", weight);
    }
  }
  size_t number = 0;
  for (auto& [rank, layers] : by_rank) {
    for (auto& [key, weight] : layers) halves.layers.emplace(fmt::format("{}.{}", 2 * number + 1, key), weight);
    ++number;
  }
  return halves;
}

/// Faces by their recognition, not by their picture: what they see comes from a network that is not here.
void refuse_face_id(const Halves& halves, const std::string& place) {
  const auto has = [&](const char* key) { return halves.projection.contains(key); };
  const bool loras = std::ranges::any_of(
      halves.layers, [](const auto& layer) { return layer.first.find("_lora.") != std::string::npos; });
  const bool own_names = has("proj.0.weight") && !has("proj.3.weight");
  const bool perceiver = has("perceiver_resampler.proj_in.weight");
  const auto rows = [&](const char* key) {
    const at::Tensor& tensor = halves.projection.at(key).tensor;
    return tensor.dim() > 0 ? tensor.size(0) : 0;
  };
  const bool several_tokens =
      has("ff.net.2.weight") && has("norm.weight") && rows("ff.net.2.weight") != rows("norm.weight");
  const bool diffusers_names = has("proj.net.0.proj.weight") || several_tokens;
  if (!loras && !own_names && !perceiver && !diffusers_names) return;
  fail(ErrorKind::model, place, "",
       fmt::format("is an IP-Adapter of the kind FaceID{}, which needs a face's recognition and is not supported",
                   perceiver ? " Plus" : ""),
       "the plus-face and full-face adapters take pictures of faces");
}

/// The tensor's extent along an axis. Throws where it is missing or has another number of axes.
int64_t ip_extent(const StateDict& weights, const std::string& key, int64_t axes, int64_t axis,
                  const std::string& place) {
  const auto found = weights.find(key);
  const std::string name = std::string(projection_prefix) + key;
  if (found == weights.end()) fail(ErrorKind::model, place, name, "missing: this is no whole IP-Adapter");
  const at::Tensor& tensor = found->second.tensor;
  if (tensor.dim() != axes) {
    fail(ErrorKind::model, place, name, fmt::format("has {} axes, where {} were expected", tensor.dim(), axes));
  }
  if (tensor.numel() == 0) fail(ErrorKind::model, place, name, "is empty");
  return tensor.size(axis);
}

/// Sizes that are told by one tensor are held against another that has them, before networks are made of them.
void check_extent(const StateDict& weights, const std::string& key, int64_t axis, int64_t expected,
                  const std::string& place) {
  const int64_t found = ip_extent(weights, key, 2, axis, place);
  if (found == expected) return;
  fail(ErrorKind::model, place, std::string(projection_prefix) + key,
       fmt::format("has {} {}, where {} were expected", found, axis == 0 ? "rows" : "columns", expected));
}

/// Keys and values of original files lie in one tensor, one behind the other.
void add_key_and_value(StateDict& to, const std::string& prefix, const SourcedTensor& both, const std::string& place) {
  if (both.tensor.dim() != 2 || both.tensor.size(0) % 2 != 0) {
    fail(ErrorKind::model, place, std::string(projection_prefix) + prefix + "attn.to_kv.weight",
         "is no matrix of an even number of rows");
  }
  const int64_t half = both.tensor.size(0) / 2;
  to.emplace(prefix + "attn.to_k.weight", SourcedTensor{both.tensor.narrow(0, 0, half), both.file, both.verify});
  to.emplace(prefix + "attn.to_v.weight", SourcedTensor{both.tensor.narrow(0, half, half), both.file, both.verify});
}

StateDict with_plus_names(const StateDict& weights, const std::string& place) {
  StateDict ours;
  for (const auto& [key, weight] : weights) {
    const std::string prefix = resampler_layer(key);
    const std::string name = prefix.empty() ? key : with_our_beginning(key.substr(prefix.size()), plus_layer_names);
    if (name == "attn.to_kv.weight") {
      add_key_and_value(ours, prefix, weight, place);
    } else {
      ours.emplace(prefix + name, weight);
    }
  }
  return ours;
}

template <size_t count>
StateDict with_ip_names(const StateDict& weights, const IpRename (&names)[count]) {
  StateDict ours;
  for (const auto& [key, weight] : weights) ours.emplace(with_our_beginning(key, names), weight);
  return ours;
}

IpProjectionConfig plain_config(const StateDict& weights, const std::string& place) {
  constexpr const char* key = "image_embeds.weight";
  const IpProjectionConfig config{.kind = IpKind::plain,
                                  .seen_width = ip_extent(weights, key, 2, 1, place),
                                  .width = ip_extent(weights, "norm.weight", 1, 0, place),
                                  .tokens = plain_tokens};
  check_extent(weights, key, 0, config.tokens * config.width, place);
  return config;
}

IpProjectionConfig full_config(const StateDict& weights, const std::string& place) {
  const auto of = [&](const char* key, int64_t axis) { return ip_extent(weights, key, 2, axis, place); };
  const IpProjectionConfig config{.kind = IpKind::full,
                                  .seen_width = of("ff.net.0.proj.weight", 1),
                                  .width = of("ff.net.2.weight", 0),
                                  .inner = of("ff.net.0.proj.weight", 0)};
  check_extent(weights, "ff.net.2.weight", 1, config.inner, place);
  return config;
}

IpProjectionConfig plus_config(const StateDict& weights, const std::string& place) {
  const auto of = [&](const char* key, int64_t axis) { return ip_extent(weights, key, 2, axis, place); };
  IpProjectionConfig config{.kind = IpKind::plus,
                            .seen_width = of("proj_in.weight", 1),
                            .width = of("proj_out.weight", 0),
                            .inner = ip_extent(weights, "latents", 3, 2, place),
                            .tokens = ip_extent(weights, "latents", 3, 1, place),
                            .feed_forward = of("layers.0.ff.1.net.0.proj.weight", 0)};
  while (weights.contains(fmt::format("layers.{}.attn.to_q.weight", config.depth))) ++config.depth;
  const int64_t width = of("layers.0.attn.to_q.weight", 0);
  if (width % ip_head_width != 0) {
    fail(ErrorKind::model, place, "image_proj.layers.0.0.to_q.weight",
         fmt::format("{} rows are no multiple of {}, the width of a head", width, ip_head_width));
  }
  config.heads = width / ip_head_width;
  check_extent(weights, "proj_in.weight", 0, config.inner, place);
  check_extent(weights, "proj_out.weight", 1, config.inner, place);
  check_extent(weights, "layers.0.attn.to_q.weight", 1, config.inner, place);
  check_extent(weights, "layers.0.ff.1.net.0.proj.weight", 1, config.inner, place);
  return config;
}

/// By the names that only one kind has.
std::optional<std::pair<StateDict, IpProjectionConfig>> read_ip_projection(const StateDict& weights,
                                                                           const std::string& place) {
  const auto has = [&](const char* key) { return weights.contains(key); };
  std::pair<StateDict, IpProjectionConfig> read;
  if (has("latents")) {
    read.first = with_plus_names(weights, place);
    read.second = plus_config(read.first, place);
  } else if (has("proj.3.weight") || has("ff.net.2.weight")) {
    read.first = with_ip_names(weights, full_names);
    read.second = full_config(read.first, place);
  } else if (has("proj.weight") || has("image_embeds.weight")) {
    read.first = with_ip_names(weights, plain_names);
    read.second = plain_config(read.first, place);
  } else {
    return std::nullopt;
  }
  return read;
}

}  // namespace

IpAdapterFile read_ip_adapter(const StateDict& weights, const std::string& place) {
  Halves halves = halves_of(weights, place);
  if (halves.projection.empty() && halves.layers.empty()) halves = halves_of_unet(weights, place);
  refuse_face_id(halves, place);
  auto projection = read_ip_projection(halves.projection, place);
  if (!projection || halves.layers.empty()) {
    if (projection || !halves.layers.empty()) {
      fail(ErrorKind::model, place, std::string(projection ? layers_prefix : projection_prefix),
           "missing: this is no whole IP-Adapter");
    }
    const std::string kind = kind_of_weights(keys_of(weights));
    fail(ErrorKind::model, place, "", fmt::format("this is {}, no IP-Adapter", kind.empty() ? "nothing known" : kind));
  }
  return {.projection_config = projection->second,
          .projection = std::move(projection->first),
          .layers = std::move(halves.layers)};
}

IpAdapterFile load_ip_adapter(const std::filesystem::path& file, const LoadOptions& options) {
  return read_ip_adapter(load_weights(file, options).tensors, file.string());
}

void require_fit(const IpAdapterFile& adapter, const std::vector<CrossAttentionPlace>& places,
                 const std::string& file) {
  const auto refuse_family = [&](const std::string& key, std::string reason) {
    fail(ErrorKind::model, file, std::string(layers_prefix) + key, std::move(reason),
         "IP-Adapter and model are of different families");
  };
  for (size_t i = 0; i < places.size(); ++i) {
    const CrossAttentionPlace& place = places[i];
    for (const char* layer : {"to_k_ip", "to_v_ip"}) {
      const std::string key = ImageAttentionLayers::key_of(i, layer);
      const auto found = adapter.layers.find(key);
      if (found == adapter.layers.end()) {
        refuse_family(key, fmt::format("missing: the U-Net has {} such layers, the adapter {}", places.size(),
                                       adapter.layers.size() / 2));
      }
      const at::Tensor& weight = found->second.tensor;
      if (weight.dim() == 2 && weight.size(0) == place.inner && weight.size(1) == place.context_width) continue;
      const std::string shape =
          weight.dim() == 2 ? fmt::format("{} by {}", weight.size(0), weight.size(1)) : "no matrix";
      refuse_family(key,
                    fmt::format("is {}, where {} has {} by {}", shape, place.key, place.inner, place.context_width));
    }
  }
  if (adapter.layers.size() > 2 * places.size()) {
    refuse_family(adapter.layers.rbegin()->first, fmt::format("the U-Net has {} such layers, the adapter {}",
                                                              places.size(), adapter.layers.size() / 2));
  }
  const int64_t width = places.empty() ? 0 : places.front().context_width;
  if (adapter.projection_config.width != width) {
    fail(ErrorKind::model, file, std::string(projection_prefix),
         fmt::format("makes tokens of width {}, and the U-Net's context is {} wide", adapter.projection_config.width,
                     width),
         "IP-Adapter and model are of different families");
  }
}

}  // namespace sdtorch
