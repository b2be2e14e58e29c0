#include "weights/ldm_keys.hpp"

#include <fmt/format.h>

#include <array>
#include <utility>

#include "core/error.hpp"
#include "weights/mapped_tensor.hpp"

namespace sdtorch {
namespace {

constexpr std::pair<const char*, const char*> open_clip_parts[] = {
    {"positional_embedding", "embeddings.position_embedding.weight"},
    {"token_embedding", "embeddings.token_embedding"},
    {"ln_final", "final_layer_norm"},
};

constexpr std::pair<const char*, const char*> open_clip_layer_parts[] = {
    {"ln_1", "layer_norm1"}, {"ln_2", "layer_norm2"},   {"attn.out_proj", "self_attn.out_proj"},
    {"mlp.c_fc", "mlp.fc1"}, {"mlp.c_proj", "mlp.fc2"},
};

/// As they are joined in OpenCLIP's `attn.in_proj_weight` and `attn.in_proj_bias`.
constexpr std::array<const char*, 3> joined_projections = {"self_attn.q_proj", "self_attn.k_proj", "self_attn.v_proj"};

constexpr const char* open_clip_projection = "text_projection";    // [in, out]
constexpr const char* clip_projection = "text_projection.weight";  // [out, in]
constexpr const char* open_clip_layer = "transformer.resblocks.";
constexpr const char* clip_layer = "encoder.layers.";

KeyTable open_clip_table(int64_t layers) {
  std::vector<KeyPair> pairs;
  for (const auto& [theirs, ours] : open_clip_parts) pairs.push_back({theirs, ours});
  pairs.push_back({clip_projection, clip_projection});  // as some converters write it
  for (int64_t i = 0; i < layers; ++i) {
    for (const auto& [theirs, ours] : open_clip_layer_parts) {
      pairs.push_back(
          {fmt::format("{}{}.{}", open_clip_layer, i, theirs), fmt::format("{}{}.{}", clip_layer, i, ours)});
    }
  }
  return KeyTable(pairs);
}

/// The number after `start`, or -1.
int64_t layer_of(std::string_view key, std::string_view start) {
  constexpr size_t most_digits = 6;
  if (!key.starts_with(start)) return -1;
  key.remove_prefix(start.size());
  const size_t digits = key.find_first_not_of("0123456789");
  if (digits == 0 || digits == std::string_view::npos || digits > most_digits) return -1;
  return std::stoll(std::string(key.substr(0, digits)));
}

int64_t count_layers(const KeySet& keys, const char* start, const char* mark) {
  int64_t layers = 0;
  while (keys.contains(fmt::format("{}{}.{}", start, layers, mark))) ++layers;
  return layers;
}

class Renaming {
 public:
  Renaming(const KeyTable& table, const std::string& prefix) : table_(table), prefix_(prefix) {}

  void add(const std::string& key, SourcedTensor weight) {
    const std::optional<std::string> name = table_.to_ours(key);
    put(name ? *name : prefix_ + key, std::move(weight));
  }

  void put(const std::string& name, SourcedTensor weight) {
    const std::string file = weight.file;
    if (renamed_.emplace(name, std::move(weight)).second) return;
    throw Error(ErrorKind::model,
                {.file = file, .place = prefix_, .reason = fmt::format("the weights of {} occur twice", name)});
  }

  StateDict take() { return std::move(renamed_); }

 private:
  const KeyTable& table_;
  const std::string& prefix_;
  StateDict renamed_{};
};

StateDict renamed(StateDict weights, const KeyTable& table, const std::string& prefix) {
  Renaming renaming(table, prefix);
  for (auto& [key, weight] : weights) renaming.add(key, std::move(weight));
  return renaming.take();
}

/// The fused projection's three parts, or the tensor as it is where it cannot be cut, for its shape to be reported.
void split_projection(Renaming& renaming, const std::string& layer, const char* suffix, const SourcedTensor& joined) {
  constexpr auto parts = static_cast<int64_t>(joined_projections.size());
  const bool whole = joined.tensor.dim() >= 1 && joined.tensor.size(0) % parts == 0;
  for (int64_t i = 0; i < parts; ++i) {
    const int64_t rows = whole ? joined.tensor.size(0) / parts : 0;
    renaming.put(layer + joined_projections.at(static_cast<size_t>(i)) + suffix,
                 {whole ? joined.tensor.narrow(0, i * rows, rows) : joined.tensor, joined.file});
  }
}

std::string foreign_name(const KeyTable& table, const std::string& key) {
  const std::optional<std::string> name = table.to_theirs(key);
  if (!name) throw Error(ErrorKind::bug, {.place = key, .reason = "a weight without a foreign name"});
  return *name;
}

/// Where only names differ.
std::map<std::string, ForeignTensor> foreign_names(const KeyTable& table, const KeySet& keys) {
  std::map<std::string, ForeignTensor> recipes;
  for (const std::string& key : keys) recipes[foreign_name(table, key)] = {.sources = {key}};
  return recipes;
}

}  // namespace

KeySet keys_of(const StateDict& weights) {
  KeySet keys;
  for (const auto& [key, weight] : weights) keys.insert(keys.end(), key);
  return keys;
}

int64_t open_clip_layers(const KeySet& keys) { return count_layers(keys, open_clip_layer, "ln_1.weight"); }

int64_t clip_layers(const KeySet& keys) { return count_layers(keys, clip_layer, "layer_norm1.weight"); }

StateDict unet_from_ldm(StateDict weights, const std::string& prefix) {
  const KeyTable table = unet_key_table(ldm_unet_layout(keys_of(weights)));
  return renamed(std::move(weights), table, prefix);
}

StateDict controlnet_from_ldm(StateDict weights, const std::string& prefix) {
  const KeyTable table = controlnet_key_table(keys_of(weights));
  return renamed(std::move(weights), table, prefix);
}

StateDict vae_from_ldm(StateDict weights, const std::string& prefix) {
  const KeyTable table = vae_key_table(ldm_vae_layout(keys_of(weights)));
  Renaming renaming(table, prefix);
  for (auto& [key, weight] : weights) {
    const at::Tensor& tensor = weight.tensor;
    const bool attention = key.find(".mid.attn_1.") != std::string::npos;
    if (attention && tensor.dim() == 4 && tensor.size(2) == 1 && tensor.size(3) == 1) weight.tensor = tensor.flatten(1);
    renaming.add(key, std::move(weight));
  }
  return renaming.take();
}

StateDict clip_from_open_clip(StateDict weights, const std::string& prefix, int64_t layers) {
  const KeyTable table = open_clip_table(layers);
  Renaming renaming(table, prefix);
  for (auto& [key, weight] : weights) {
    const int64_t layer = layer_of(key, open_clip_layer);
    if (layer >= layers || key == "logit_scale" || key == "attn_mask") continue;
    const std::string ours = fmt::format("{}{}.", clip_layer, layer);
    if (layer >= 0 && key.ends_with(".attn.in_proj_weight")) {
      split_projection(renaming, ours, ".weight", weight);
    } else if (layer >= 0 && key.ends_with(".attn.in_proj_bias")) {
      split_projection(renaming, ours, ".bias", weight);
    } else if (key == open_clip_projection) {
      if (weight.tensor.dim() == 2) weight.tensor = weight.tensor.t();
      renaming.put(clip_projection, std::move(weight));
    } else {
      renaming.add(key, std::move(weight));
    }
  }
  return renaming.take();
}

std::map<std::string, ForeignTensor> unet_to_ldm(const KeySet& keys) {
  return foreign_names(unet_key_table(diffusers_unet_layout(keys)), keys);
}

std::map<std::string, ForeignTensor> controlnet_to_ldm(const KeySet& keys) {
  return foreign_names(controlnet_key_table(keys), keys);
}

std::map<std::string, ForeignTensor> vae_to_ldm(const KeySet& keys) {
  const KeyTable table = vae_key_table(diffusers_vae_layout(keys));
  std::map<std::string, ForeignTensor> recipes;
  for (const std::string& key : keys) {
    const bool projection = key.find("attentions.0.to_") != std::string::npos && key.ends_with(".weight");
    recipes[foreign_name(table, key)] = {
        .sources = {key}, .shape = projection ? ForeignTensor::Shape::convolution : ForeignTensor::Shape::same};
  }
  return recipes;
}

std::map<std::string, ForeignTensor> clip_to_open_clip(const KeySet& keys) {
  const KeyTable table = open_clip_table(clip_layers(keys));
  std::map<std::string, ForeignTensor> recipes;
  for (const std::string& key : keys) {
    const size_t query = key.find(joined_projections[0]);
    if (key == clip_projection) {
      recipes[open_clip_projection] = {.sources = {key}, .shape = ForeignTensor::Shape::transposed};
    } else if (query != std::string::npos) {
      const std::string layer = key.substr(0, query);
      const std::string suffix = key.substr(query + std::string_view(joined_projections[0]).size());
      ForeignTensor joined;
      for (const char* part : joined_projections) joined.sources.push_back(layer + part + suffix);
      recipes[fmt::format("{}{}.attn.in_proj_{}", open_clip_layer, layer_of(key, clip_layer), suffix.substr(1))] =
          joined;
    } else if (key.find(joined_projections[1]) == std::string::npos &&
               key.find(joined_projections[2]) == std::string::npos) {
      recipes[foreign_name(table, key)] = {.sources = {key}};
    }
  }
  return recipes;
}

at::Tensor make_foreign(const ForeignTensor& recipe, const std::function<at::Tensor(const std::string&)>& tensor) {
  std::vector<at::Tensor> parts;
  for (const std::string& source : recipe.sources) parts.push_back(tensor(source));
  at::Tensor joined = parts.front();
  if (parts.size() > 1) {
    joined = at::cat(parts);
    for (const at::Tensor& part : parts) release_pages(part);
  }
  switch (recipe.shape) {
    case ForeignTensor::Shape::transposed:
      return joined.t().contiguous();
    case ForeignTensor::Shape::convolution:
      return joined.unsqueeze(-1).unsqueeze(-1);
    case ForeignTensor::Shape::same:
      break;
  }
  return joined;
}

}  // namespace sdtorch
