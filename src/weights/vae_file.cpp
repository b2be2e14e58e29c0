#include "weights/vae_file.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <optional>
#include <system_error>
#include <utility>
#include <vector>

#include "core/error.hpp"
#include "core/paths.hpp"
#include "core/suggest.hpp"
#include "io/json.hpp"
#include "weights/key_names.hpp"
#include "weights/ldm_keys.hpp"
#include "weights/model_path.hpp"
#include "weights/recognition.hpp"

namespace sdtorch {
namespace {

namespace fs = std::filesystem;
using nlohmann::json;

constexpr std::string_view supported_class = "AutoencoderKL";

/// What a file of diffusers' names, which are those of every VAE's decoder, may have in front of them.
constexpr std::array<std::string_view, 3> prefixes = {"", "vae.", "first_stage_model."};

struct FoundVae {
  StateDict weights{};               ///< under diffusers' names
  std::optional<ModelKind> whole{};  ///< the file is this model's
};

std::optional<StateDict> with_diffusers_names(const StateDict& tensors) {
  for (const std::string_view prefix : prefixes) {
    const std::string probe = std::string(prefix) + "decoder.up_blocks.";
    const auto first = tensors.lower_bound(probe);
    if (first == tensors.end() || !first->first.starts_with(probe)) continue;
    StateDict weights;
    for (const auto& [key, weight] : tensors) {
      if (key.starts_with(prefix)) weights.emplace(key.substr(prefix.size()), weight);
    }
    return with_canonical_keys(std::move(weights));
  }
  return std::nullopt;
}

[[noreturn]] void refuse_as_vae(const fs::path& file, const StateDict& tensors) {
  const std::string kind = kind_of_weights(keys_of(tensors));
  const bool tiny = kind.find("TAESD") != std::string::npos;
  fail(ErrorKind::model, file, {},
       kind.empty() ? "its tensors are of no VAE known here"
                    : fmt::format("is {}, {}", kind, tiny ? "not a whole VAE" : "no VAE that is supported"),
       tiny ? "give it with --taesd" : "an AutoencoderKL is, under diffusers' names or the original code's");
}

FoundVae find_in(const fs::path& file) {
  WeightsFile whole = load_weights(file, {.verify = false});  // its bytes are checked when they are used
  Recognition found = recognize(whole, file);
  if (const auto vae = found.parts.find("vae"); vae != found.parts.end()) {
    FoundVae of_part{.weights = vae_from_ldm(std::move(vae->second.weights), vae->second.prefix)};
    if (found.family) of_part.whole = found.kind();
    return of_part;
  }
  if (auto weights = with_diffusers_names(whole.tensors)) return {.weights = std::move(*weights)};
  load_weights(file);  // of a file that is damaged that is the news
  refuse_as_vae(file, whole.tensors);
}

/// The config beside the file, where it is a VAE's.
std::optional<VaeFileConfig> config_beside(const fs::path& file) {
  const fs::path beside = file.parent_path() / "config.json";
  if (!is_there(beside)) return std::nullopt;
  json config = read_json_file(beside, ErrorKind::model);
  if (!config.is_object() || config.value("_class_name", json()) != supported_class) return std::nullopt;
  return VaeFileConfig{.config = std::move(config), .place = beside.string()};
}

/// A weights file, or a folder of a network or a model.
bool may_hold_weights(const fs::path& path) {
  constexpr std::array<std::string_view, 5> endings = {".safetensors", ".pt", ".pth", ".ckpt", ".bin"};
  if (is_folder(path)) return is_there(path / "config.json") || is_there(path / "model_index.json");
  return std::ranges::find(endings, path.extension().string()) != endings.end();
}

}  // namespace

VaeFileConfig vae_file_config(const fs::path& file, const json& config) {
  const FoundVae found = find_in(file);
  VaeFileConfig said = config_beside(file).value_or(VaeFileConfig{.config = config, .place = file.string()});
  said.config = diffusers_vae_config(found.weights, std::move(said.config));
  if (found.whole) said.config["scaling_factor"] = published_config(*found.whole, "vae").at("scaling_factor");
  return said;
}

StateDict load_vae_file(const fs::path& file) {
  StateDict weights = find_in(file).weights;
  verify_checksums(weights);
  return weights;
}

void check_vae_class(const json& config, const std::string& place) {
  const json name = config.is_object() ? config.value("_class_name", json()) : json();
  if (!name.is_string() || name == supported_class) return;
  const auto is = [&](const char* reason, const char* hint) {
    fail(ErrorKind::model, place, "_class_name", fmt::format("{} {}", name.get<std::string>(), reason), hint);
  };
  if (name == "ConsistencyDecoderVAE") {
    is("is not supported: the consistency decoder draws the picture by a network of its own", "AutoencoderKL is");
  }
  if (name == "AutoencoderTiny") is("is no whole VAE", "give it with --taesd");
  is("is not supported", "AutoencoderKL is");
}

fs::path find_vae(const std::string& flag, const fs::path& path) {
  if (path.empty()) refuse(flag, "is empty");
  try {
    return find_model(path);
  } catch (const Error&) {
    if (is_there(path)) throw;
  }
  std::vector<std::string> beside;
  std::error_code ignored;
  const fs::path folder = path.has_parent_path() ? path.parent_path() : fs::path(".");
  for (fs::directory_iterator entry(folder, ignored), end; !ignored && entry != end; entry.increment(ignored)) {
    if (may_hold_weights(entry->path())) beside.push_back(entry->path().filename().string());
  }
  std::ranges::sort(beside);
  refuse(flag, fmt::format("{}: no such file or folder", path.string()),
         beside.empty() ? std::string() : did_you_mean(path.filename().string(), beside));
}

}  // namespace sdtorch
