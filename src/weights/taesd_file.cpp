#include "weights/taesd_file.hpp"

#include <fmt/format.h>

#include <charconv>
#include <map>
#include <optional>
#include <string_view>
#include <utility>
#include <vector>

#include "core/error.hpp"
#include "core/paths.hpp"
#include "io/json.hpp"
#include "weights/component_files.hpp"
#include "weights/ldm_configs.hpp"
#include "weights/ldm_keys.hpp"
#include "weights/model_folder.hpp"
#include "weights/recognition.hpp"
#include "weights/weights_file.hpp"

namespace sdtorch {
namespace {

namespace fs = std::filesystem;
using nlohmann::json;

constexpr std::string_view tiny_class = "AutoencoderTiny";

/// One half's tensors: by the layer's number, then by the key inside it.
using Layers = std::map<int64_t, StateDict>;

struct HalfRule {
  std::string_view prefix, half;
};

/// The first that fits a key counts.
constexpr HalfRule half_rules[] = {
    {"decoder.layers.", "decoder"}, {"encoder.layers.", "encoder"}, {"taesd_decoder.", "decoder"},
    {"taesd_encoder.", "encoder"},  {"decoder.", "decoder"},        {"encoder.", "encoder"},
};

/// `12.conv.0.weight` → 12 and `conv.0.weight`; nothing where there is no number in front.
std::optional<std::pair<int64_t, std::string>> numbered(std::string_view key) {
  int64_t number = 0;
  constexpr int64_t most_layers = 1000;
  const auto [end, error] = std::from_chars(key.data(), key.data() + key.size(), number);
  if (error != std::errc() || end == key.data() + key.size() || *end != '.' || number < 0 || number > most_layers) {
    return std::nullopt;
  }
  return std::pair(number, std::string(end + 1, key.data() + key.size()));
}

[[noreturn]] void refuse_as_taesd(const fs::path& file, const StateDict& weights) {
  const std::string kind = kind_of_weights(keys_of(weights));
  const bool vae = kind.find("VAE") != std::string::npos;
  fail(ErrorKind::model, file, {},
       kind.empty() ? "its tensors are of no tiny autoencoder (TAESD)"
                    : fmt::format("is {}, no tiny autoencoder (TAESD)", kind),
       vae ? "give it with --vae" : "");
}

/// Both halves, each numbered as diffusers numbers it.
std::map<std::string_view, Layers> halves_of(const StateDict& weights, const fs::path& file) {
  std::map<std::string_view, Layers> halves;
  const bool bare_encoder = weights.contains("0.weight") && weights.contains("1.conv.0.weight");
  for (const auto& [key, weight] : weights) {
    if (key == "vae_scale" || key == "vae_shift") continue;  // ComfyUI's, which undo its own scaling
    std::string_view half = bare_encoder ? "encoder" : "decoder", rest = key;
    for (const HalfRule& rule : half_rules) {
      if (!key.starts_with(rule.prefix)) continue;
      half = rule.half;
      rest.remove_prefix(rule.prefix.size());
      break;
    }
    auto place = numbered(rest);
    if (!place) refuse_as_taesd(file, weights);
    halves[half][place->first].emplace(std::move(place->second), weight);
  }
  // Its own code keeps latents in bounds by a layer; in diffusers' that is none.
  if (const auto decoder = halves.find("decoder"); decoder != halves.end() && !decoder->second.contains(0)) {
    Layers moved;
    for (auto& [number, layer] : decoder->second) moved.emplace(number - 1, std::move(layer));
    decoder->second = std::move(moved);
  }
  return halves;
}

/// How many blocks each stage has: between layers that are convolutions alone.
std::vector<int64_t> blocks_of(const Layers& layers) {
  std::vector<int64_t> stages;
  int64_t blocks = 0;
  for (const auto& [number, layer] : layers) {
    if (number == 0) continue;
    if (layer.contains("conv.0.weight")) {
      ++blocks;
    } else {
      stages.push_back(std::exchange(blocks, 0));
    }
  }
  return stages;
}

json config_of(const std::map<std::string_view, Layers>& halves, json config) {
  for (const auto& [name, layers] : halves) {
    const std::string half(name);
    if (!layers.contains(0)) continue;
    const std::vector<int64_t> stages = blocks_of(layers);
    const int64_t channels = extent_of(layers.at(0), "weight", 0);
    config["num_" + half + "_blocks"] = stages;
    config[half + "_block_out_channels"] = std::vector<int64_t>(stages.size(), channels);
    if (half == "decoder") config["latent_channels"] = extent_of(layers.at(0), "weight", 1);
  }
  return config;
}

}  // namespace

TaesdFile read_taesd(const fs::path& path, bool verify) {
  const bool folder = is_folder(path);
  const fs::path config_file = (folder ? path : path.parent_path()) / "config.json";
  TaesdFile read{.config = json::object(), .place = path.string()};
  if (folder || is_there(config_file)) {
    json config = load_config(config_file);
    const json name = config.value("_class_name", json());
    if (name == tiny_class || (folder && name.is_null())) {
      read.config = std::move(config);
      read.place = config_file.string();
    } else if (folder) {
      fail(ErrorKind::model, config_file, "_class_name",
           fmt::format("AutoencoderTiny was expected, found {}", name.dump()),
           name == "AutoencoderKL" ? "give it with --vae" : "");
    }
  }
  const StateDict weights = folder ? load_component(path) : load_weights(path, {.verify = verify}).tensors;
  const auto halves = halves_of(weights, path);
  if (!halves.contains("decoder")) {
    fail(ErrorKind::model, path, {}, "is the encoder of a tiny autoencoder (TAESD) alone, which decodes nothing",
         "taesd_decoder is the file that does");
  }
  read.config = config_of(halves, std::move(read.config));
  for (const auto& [half, layers] : halves) {
    for (const auto& [number, layer] : layers) {
      for (const auto& [key, weight] : layer) {
        read.weights.emplace(fmt::format("{}.layers.{}.{}", half, number, key), weight);
      }
    }
  }
  return read;
}

}  // namespace sdtorch
