#include "weights/component_files.hpp"

#include <fmt/format.h>

#include <map>
#include <nlohmann/json.hpp>
#include <string>
#include <string_view>
#include <system_error>
#include <utility>

#include "core/error.hpp"
#include "core/paths.hpp"
#include "core/utf8.hpp"
#include "io/json.hpp"
#include "weights/key_names.hpp"
#include "weights/weights_file.hpp"

namespace sdtorch {
namespace {

namespace fs = std::filesystem;
using nlohmann::json;

/// Where a component's weights may be, the best first. diffusers looks for an index before the single file,
/// transformers after it; both write the variant's name in front of the suffix, and older versions elsewhere.
constexpr std::string_view weight_files[] = {
    "diffusion_pytorch_model.safetensors.index.json",
    "diffusion_pytorch_model.safetensors",
    "model.safetensors",
    "model.safetensors.index.json",
    "diffusion_pytorch_model.bin.index.json",
    "diffusion_pytorch_model.bin",
    "pytorch_model.bin",
    "pytorch_model.bin.index.json",
    "diffusion_pytorch_model.safetensors.index.fp16.json",
    "diffusion_pytorch_model.safetensors.fp16.index.json",
    "diffusion_pytorch_model.fp16.safetensors",
    "model.fp16.safetensors",
    "model.safetensors.index.fp16.json",
    "model.safetensors.fp16.index.json",
    "diffusion_pytorch_model.bin.index.fp16.json",
    "diffusion_pytorch_model.bin.fp16.index.json",
    "diffusion_pytorch_model.fp16.bin",
    "pytorch_model.fp16.bin",
    "pytorch_model.bin.index.fp16.json",
    "pytorch_model.bin.fp16.index.json",
};

/// Links to nothing are there, too: the cache is full of links, and whoever opens one is told that it leads nowhere.
bool is_named(const fs::path& path) {
  std::error_code ignored;
  return fs::exists(fs::symlink_status(path, ignored));
}

bool is_plain_file_name(const std::string& name) {
  return !name.empty() && name != "." && name != ".." && name.find('/') == std::string::npos &&
         name.find('\0') == std::string::npos;
}

/// The one tensor dict of a file: a component is no checkpoint with an optimiser beside it.
StateDict load_file(const fs::path& file) { return load_weights(file).tensors; }

/// {"weight_map": {key: shard, …}}; shards are files beside the index.
StateDict load_sharded(const fs::path& index_file) {
  const json index = read_json_file(index_file, ErrorKind::model);
  const auto map = index.is_object() ? index.find("weight_map") : index.end();
  if (map == index.end() || !map->is_object() || map->empty()) {
    fail(ErrorKind::model, index_file, "weight_map",
         "an object of tensor names and the files that hold them was expected");
  }
  std::map<std::string, StateDict> shards;
  for (const auto& [key, shard] : map->items()) {
    if (!shard.is_string())
      fail(ErrorKind::model, index_file, key, fmt::format("a file name was expected, found {}", shard.type_name()));
    const auto name = shard.get<std::string>();
    if (!is_plain_file_name(name)) {
      fail(ErrorKind::model, index_file, key,
           fmt::format("{:?} is no plain file name; shards lie beside their index", shortened(name, 100)));
    }
    if (!shards.contains(name)) shards.emplace(name, load_file(index_file.parent_path() / name));
    if (!shards.at(name).contains(key)) {
      fail(ErrorKind::model, index_file.parent_path() / name, key,
           fmt::format("missing, and {} places it here", index_file.filename().string()));
    }
  }
  StateDict weights;
  for (auto& [name, shard] : shards) {
    for (auto& [key, value] : shard) {
      const bool added = weights.emplace(key, std::move(value)).second;
      if (!added) fail(ErrorKind::model, index_file.parent_path() / name, key, "another shard has the same tensor");
    }
  }
  return weights;
}

StateDict load_folder(const fs::path& folder) {
  if (!is_folder(folder)) fail(ErrorKind::model, folder, {}, "there is no such folder with a component's weights");
  for (const std::string_view name : weight_files) {
    const fs::path file = folder / name;
    if (!is_named(file)) continue;
    return name.ends_with(".json") ? load_sharded(file) : load_file(file);
  }
  fail(ErrorKind::model, folder, {},
       "no weights here; looked for diffusion_pytorch_model, model and pytorch_model as .safetensors and .bin, whole "
       "or in shards with an index, and for their fp16 variants");
}

}  // namespace

StateDict load_component(const fs::path& folder_or_file) {
  const bool file = is_there(folder_or_file) && !is_folder(folder_or_file);
  StateDict weights = file ? load_file(folder_or_file) : load_folder(folder_or_file);
  if (weights.empty()) fail(ErrorKind::model, folder_or_file, {}, "holds no tensors");
  return with_canonical_keys(std::move(weights));
}

bool has_text_model_prefix(const fs::path& folder) {
  const StateDict weights = load_folder(folder);
  const auto first = weights.lower_bound(text_model_prefix);
  return first != weights.end() && first->first.starts_with(text_model_prefix);
}

}  // namespace sdtorch
