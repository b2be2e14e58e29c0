#include "sdtorch/weights/model_folder.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <span>
#include <string_view>
#include <system_error>
#include <utility>

#include "sdtorch/core/error.hpp"
#include "sdtorch/io/json.hpp"
#include "sdtorch/weights/hub_cache.hpp"
#include "sdtorch/weights/key_names.hpp"
#include "sdtorch/weights/pipeline_kind.hpp"
#include "sdtorch/weights/weights_file.hpp"

namespace sdtorch {
namespace {

namespace fs = std::filesystem;
using nlohmann::json;

constexpr const char* index_name = "model_index.json";

struct ComponentRule {
  const char* name;
  std::span<const std::string_view> classes;  ///< none: the part that reads the component checks its class
  bool needed = true;
};

constexpr std::string_view tokenizer_classes[] = {"CLIPTokenizer", "CLIPTokenizerFast"};
constexpr std::string_view text_encoder_classes[] = {"CLIPTextModel"};
constexpr std::string_view projecting_text_encoder_classes[] = {"CLIPTextModelWithProjection"};
constexpr std::string_view unet_classes[] = {"UNet2DConditionModel"};
constexpr std::string_view vae_classes[] = {"AutoencoderKL"};

constexpr ComponentRule sd_components[] = {
    {"tokenizer", tokenizer_classes},
    {"text_encoder", text_encoder_classes},
    {"unet", unet_classes},
    {"vae", vae_classes},
    {"scheduler", {}},
};

/// A refiner has the second text encoder alone.
constexpr ComponentRule xl_components[] = {
    {.name = "tokenizer", .classes = tokenizer_classes, .needed = false},
    {.name = "text_encoder", .classes = text_encoder_classes, .needed = false},
    {"tokenizer_2", tokenizer_classes},
    {"text_encoder_2", projecting_text_encoder_classes},
    {"unet", unet_classes},
    {"vae", vae_classes},
    {"scheduler", {}},
};

/// Components that may be there and are not used.
constexpr std::string_view unused_components[] = {"safety_checker", "feature_extractor", "image_encoder",
                                                  "depth_estimator"};

// What cannot be looked at (no permission, a name too long) is not there.
bool is_there(const fs::path& path) {
  std::error_code ignored;
  return fs::exists(path, ignored);
}

bool is_folder(const fs::path& path) {
  std::error_code ignored;
  return fs::is_directory(path, ignored);
}

template <class Range>
bool contains(const Range& range, std::string_view value) {
  return std::find(std::begin(range), std::end(range), value) != std::end(range);
}

[[noreturn]] void fail(const fs::path& file, std::string place, std::string reason, std::string hint = {}) {
  throw Error(ErrorKind::model,
              {.file = file.string(), .place = std::move(place), .reason = std::move(reason), .hint = std::move(hint)});
}

/// [library, class], [null, null] for a component that is left out. Anything else is a setting of the pipeline.
bool is_component(const json& entry) { return entry.is_array(); }

std::string class_of(const fs::path& file, const std::string& name, const json& entry) {
  const bool shaped = entry.is_array() && entry.size() == 2;
  if (!shaped || !(entry[1].is_string() || entry[1].is_null())) {
    fail(file, name, "[library, class] was expected");
  }
  return entry[1].is_null() ? std::string() : entry[1].get<std::string>();
}

/// Whether the index names the component: neither leaves it out nor says [null, null].
bool names(const json& index, const std::string& component) {
  const auto entry = index.find(component);
  return entry != index.end() && entry->is_array() && entry->size() == 2 && (*entry)[1].is_string();
}

void check_components(const fs::path& root, const fs::path& file, const json& index, const PipelineKind& pipeline) {
  const auto rules =
      pipeline.xl ? std::span<const ComponentRule>(xl_components) : std::span<const ComponentRule>(sd_components);
  for (const ComponentRule& rule : rules) {
    const auto entry = index.find(rule.name);
    const std::string type = entry == index.end() ? std::string() : class_of(file, rule.name, *entry);
    if (type.empty() && !rule.needed) continue;
    if (type.empty()) fail(file, rule.name, "this component is missing, and text-to-image needs it");
    if (!rule.classes.empty() && !contains(rule.classes, type)) {
      fail(file, rule.name, fmt::format("{} is not supported", type),
           fmt::format("{} is", fmt::join(rule.classes, " or ")));
    }
    if (!is_folder(root / rule.name)) {
      fail(root / rule.name, {}, fmt::format("the folder is missing, and {} names it", index_name));
    }
  }
  for (const auto& [name, entry] : index.items()) {
    const bool known = std::any_of(rules.begin(), rules.end(),
                                   [&, &key = name](const ComponentRule& rule) { return key == rule.name; });
    if (known || !is_component(entry) || contains(unused_components, name)) continue;
    if (const std::string type = class_of(file, name, entry); !type.empty()) {
      fail(file, name, fmt::format("a component that is not supported ({})", type));
    }
  }
}

/// Where a component's weights may be, the best first. diffusers looks for an index before the single file,
/// transformers after it; both write the variant's name in front of the suffix, and older versions elsewhere.
constexpr std::string_view weight_files[] = {
    "diffusion_pytorch_model.safetensors.index.json",
    "diffusion_pytorch_model.safetensors",
    "model.safetensors",
    "model.safetensors.index.json",
    "diffusion_pytorch_model.safetensors.index.fp16.json",
    "diffusion_pytorch_model.safetensors.fp16.index.json",
    "diffusion_pytorch_model.fp16.safetensors",
    "model.fp16.safetensors",
    "model.safetensors.index.fp16.json",
    "model.safetensors.fp16.index.json",
};

bool is_plain_file_name(const std::string& name) {
  return !name.empty() && name != "." && name != ".." && name.find('/') == std::string::npos &&
         name.find('\0') == std::string::npos;
}

/// {"weight_map": {key: shard, …}}; shards are files beside the index.
StateDict load_sharded(const fs::path& index_file) {
  const json index = load_config(index_file);
  const auto map = index.find("weight_map");
  if (map == index.end() || !map->is_object() || map->empty()) {
    fail(index_file, "weight_map", "an object of tensor names and the files that hold them was expected");
  }
  std::map<std::string, StateDict> shards;
  for (const auto& [key, shard] : map->items()) {
    if (!shard.is_string()) fail(index_file, key, fmt::format("a file name was expected, found {}", shard.type_name()));
    const auto name = shard.get<std::string>();
    if (!is_plain_file_name(name)) {
      fail(index_file, key, fmt::format("{:?} is no plain file name; shards lie beside their index", name));
    }
    if (!shards.contains(name)) shards.emplace(name, load_safetensors(index_file.parent_path() / name));
    if (!shards.at(name).contains(key)) {
      fail(index_file.parent_path() / name, key,
           fmt::format("missing, and {} places it here", index_file.filename().string()));
    }
  }
  StateDict weights;
  for (auto& [name, shard] : shards) {
    for (auto& [key, value] : shard) {
      const bool added = weights.emplace(key, std::move(value)).second;
      if (!added) fail(index_file.parent_path() / name, key, "another shard has the same tensor");
    }
  }
  return weights;
}

/// A folder that is there goes before a model of the same name on the hub.
fs::path resolve(const fs::path& folder_or_name) {
  if (is_there(folder_or_name)) return folder_or_name;
  if (const auto cached = find_in_hub_cache(folder_or_name.string())) return *cached;
  std::string reason = "there is no such model folder";
  if (is_hub_name(folder_or_name.string())) {
    reason += fmt::format(", nor a model of this name in {}", hub_cache().string());
  }
  fail(folder_or_name, {}, std::move(reason));
}

StateDict load_folder(const fs::path& folder) {
  if (!is_folder(folder)) fail(folder, {}, "there is no such folder with a component's weights");
  for (const std::string_view name : weight_files) {
    const fs::path file = folder / name;
    if (!is_there(file)) continue;
    return name.ends_with(".json") ? load_sharded(file) : load_safetensors(file);
  }
  std::error_code ignored;
  for (const fs::directory_entry& entry : fs::directory_iterator(folder, ignored)) {
    if (entry.path().extension() == ".bin") {
      fail(entry.path(), {}, "weights in .bin files are not read by this version, and there are no others",
           "convert them to safetensors");
    }
  }
  fail(folder, {}, fmt::format("no weights here; looked for {}", fmt::join(weight_files, ", ")));
}

/// diffusers' name for the file of what is configured and has no weights.
constexpr const char* scheduler_name = "scheduler";

}  // namespace

ModelFolder::ModelFolder(const fs::path& folder_or_name) : root_(resolve(folder_or_name)) {
  const fs::path& root = root_;
  if (!is_folder(root)) {
    fail(root, {}, fmt::format("is a file; a diffusers model folder with {} was expected", index_name));
  }
  const fs::path file = root / index_name;
  if (!is_there(file)) fail(root, {}, fmt::format("is no diffusers model folder: it has no {}", index_name));
  index_ = load_config(file);
  check_components(root, file, index_, pipeline_kind(index_, file.string()));
  const bool encodes = names(index_, "text_encoder"), tokenizes = names(index_, "tokenizer");
  if (encodes != tokenizes) {
    fail(file, encodes ? "tokenizer" : "text_encoder", "this component is missing, and the other is there");
  }
}

bool ModelFolder::has(const std::string& component) const {
  return names(index_, component) && is_folder(root_ / component);
}

std::string ModelFolder::config_place(const std::string& component) const {
  return (root_ / component / (component == scheduler_name ? "scheduler_config.json" : "config.json")).string();
}

json ModelFolder::config(const std::string& component) const { return load_config(config_place(component)); }

json ModelFolder::scheduler() const {
  json config = load_config(config_place(scheduler_name));
  config["_class_name"] = scheduler_class();
  return config;
}

StateDict ModelFolder::weights(const std::string& component) const { return load_component(root_ / component); }

TokenizerPlace ModelFolder::tokenizer(const std::string& component) const { return {.folder = root_ / component}; }

json load_config(const fs::path& file) {
  json config = read_json_file(file, ErrorKind::model);
  if (!config.is_object()) fail(file, {}, fmt::format("a JSON object was expected, found {}", config.type_name()));
  return config;
}

StateDict load_component(const fs::path& folder_or_file) {
  const bool file = is_there(folder_or_file) && !is_folder(folder_or_file);
  StateDict weights = file ? load_weights(folder_or_file).tensors : load_folder(folder_or_file);
  if (weights.empty()) fail(folder_or_file, {}, "holds no tensors");
  return with_canonical_keys(std::move(weights));
}

}  // namespace sdtorch
