#include "adapters/lora_keys.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <set>
#include <utility>
#include <vector>

#include "weights/key_table.hpp"
#include "weights/ldm_keys.hpp"

namespace sdtorch {
namespace {

/// An ending of a key, and what it says that the tensor is. The first that fits a layer of the model counts.
struct PartSpelling {
  std::string_view ending, part;
};

constexpr PartSpelling part_spellings[] = {
    {".lora_down.weight", "lora_down"},
    {".lora_A.weight", "lora_down"},
    {".lora.down.weight", "lora_down"},
    {".lora_linear_layer.down.weight", "lora_down"},
    {"_lora.down.weight", "lora_down"},
    {".lora_up.weight", "lora_up"},
    {".lora_B.weight", "lora_up"},
    {".lora.up.weight", "lora_up"},
    {".lora_linear_layer.up.weight", "lora_up"},
    {"_lora.up.weight", "lora_up"},
    {".lora_mid.weight", "lora_mid"},
    {".lora.mid.weight", "lora_mid"},
    {".lora_B.bias", "lora_bias"},
    {".lora_up.bias", "lora_bias"},
    {".lora_embedding_A", "lora_embedding_down"},
    {".lora_embedding_B", "lora_embedding_up"},
    {".alpha", "alpha"},
    {".lora.alpha", "alpha"},
    {".lora_linear_layer.alpha", "alpha"},
    {"_lora.alpha", "alpha"},
    {".scale", "scale"},
    {".scalar", "scalar"},
    {".dora_scale", "dora_scale"},
    {".lora_magnitude_vector", "magnitude"},
    {".lora_magnitude_vector.weight", "magnitude"},
    {".hada_w1_a", "hada_w1_a"},
    {".hada_w1_b", "hada_w1_b"},
    {".hada_w2_a", "hada_w2_a"},
    {".hada_w2_b", "hada_w2_b"},
    {".hada_t1", "hada_t1"},
    {".hada_t2", "hada_t2"},
    {".lokr_w1", "lokr_w1"},
    {".lokr_w1_a", "lokr_w1_a"},
    {".lokr_w1_b", "lokr_w1_b"},
    {".lokr_w2", "lokr_w2"},
    {".lokr_w2_a", "lokr_w2_a"},
    {".lokr_w2_b", "lokr_w2_b"},
    {".lokr_t2", "lokr_t2"},
    {".a1.weight", "glora_a1"},
    {".a2.weight", "glora_a2"},
    {".b1.weight", "glora_b1"},
    {".b2.weight", "glora_b2"},
    {".bm.weight", "glora_bm"},
    {".oft_blocks", "oft_blocks"},
    {".boft_blocks", "oft_blocks"},
    {".oft_diag", "oft_diag"},
    {".rescale", "rescale"},
    {".oft_R", "peft_oft"},
    {".oft_R.weight", "peft_oft"},
    {".boft_R", "peft_boft"},
    {".boft_s", "peft_boft_scale"},
    {".ia3_l", "peft_ia3"},
    {".on_input", "on_input"},
    {".diff", "diff"},
    {".diff_b", "diff_b"},
    {".w_norm", "w_norm"},
    {".b_norm", "b_norm"},
    {".weight", "weight"},  // IA3's vector
};

/// A beginning of keys and the component that it stands for; none: any that has the layer.
struct PrefixSpelling {
  std::string_view prefix, component;
  bool flat = false;  ///< underscores for dots
};

constexpr PrefixSpelling prefix_spellings[] = {
    {"lora_unet_", "unet", true},
    {"oft_unet_", "unet", true},
    {"lora_te_", "text_encoder", true},
    {"lora_te1_", "text_encoder", true},
    {"lora_te2_", "text_encoder_2", true},
    {"lycoris_", "", true},
    {"unet.", "unet"},
    {"text_encoder.", "text_encoder"},
    {"text_encoder_2.", "text_encoder_2"},
    {"model.diffusion_model.", "unet"},
    {"diffusion_model.", "unet"},
    {"lora_unet.", "unet"},  // OneTrainer's, before it writes underscores
    {"lora_te.", "text_encoder"},
    {"lora_te1.", "text_encoder"},
    {"lora_te2.", "text_encoder_2"},
    {"clip_l.transformer.", "text_encoder"},
    {"clip_l.", "text_encoder"},
    {"clip_g.transformer.", "text_encoder_2"},
    {"clip_g.", "text_encoder_2"},
    {"clip_h.transformer.", "text_encoder"},  // SD2's
    {"", ""},
};

constexpr std::string_view peft_prefix = "base_model.model.";
constexpr std::string_view comfy_text_prefix =
    "text_encoders.";  // of what ComfyUI extracts, before `clip_l.` and its like

/// How old files call the projections of a text encoder's attention.
constexpr std::pair<std::string_view, std::string_view> text_projections[] = {
    {".q_proj", ".to_q"}, {".k_proj", ".to_k"}, {".v_proj", ".to_v"}, {".out_proj", ".to_out"}};

std::string with_underscores(std::string name) {
  std::ranges::replace(name, '.', '_');
  return name;
}

std::string without_piece(std::string text, std::string_view piece) {
  if (const size_t at = text.find(piece); at != std::string::npos) text.erase(at, piece.size());
  return text;
}

std::string_view behind(std::string_view text, std::string_view prefix) {
  return text.starts_with(prefix) ? text.substr(prefix.size()) : text;
}

/// What PEFT's layers in memory have an adapter's name behind.
constexpr std::string_view named_by_adapter[] = {"lora_A",
                                                 "lora_B",
                                                 "lora_magnitude_vector",
                                                 "lora_embedding_A",
                                                 "lora_embedding_B",
                                                 "ia3_l",
                                                 "oft_R",
                                                 "boft_R",
                                                 "boft_s",
                                                 "hada_w1_a",
                                                 "hada_w1_b",
                                                 "hada_w2_a",
                                                 "hada_w2_b",
                                                 "hada_t1",
                                                 "hada_t2",
                                                 "lokr_w1",
                                                 "lokr_w1_a",
                                                 "lokr_w1_b",
                                                 "lokr_w2",
                                                 "lokr_w2_a",
                                                 "lokr_w2_b",
                                                 "lokr_t2"};

/// Names taken from these layers have the adapter's in them, `default` mostly: `lora_A.default.weight`,
/// `oft_R.default`.
std::string without_adapter_name(std::string_view key) {
  const std::string_view ending = key.ends_with(".weight") ? ".weight" : key.ends_with(".bias") ? ".bias" : "";
  const std::string_view rest = key.substr(0, key.size() - ending.size());
  for (const std::string_view part : named_by_adapter) {
    const size_t at = rest.rfind(fmt::format(".{}.", part));
    if (at == std::string_view::npos || rest.find('.', at + part.size() + 2) != std::string_view::npos) continue;
    return std::string(rest.substr(0, at + part.size() + 1)) + std::string(ending);
  }
  return std::string(key);
}

std::set<std::string> modules_of(const std::map<std::string, std::vector<int64_t>>& keys) {
  std::set<std::string> modules;
  for (const auto& [key, shape] : keys) {
    if (const size_t dot = key.rfind('.'); dot != std::string::npos) modules.insert(key.substr(0, dot));
  }
  return modules;
}

KeySet keys_alone(const std::map<std::string, std::vector<int64_t>>& keys) {
  KeySet set;
  for (const auto& [key, shape] : keys) set.insert(set.end(), key);
  return set;
}

}  // namespace

LoraPlaces::LoraPlaces(const WeightShapes& model, std::string unprefixed) : unprefixed_(std::move(unprefixed)) {
  for (const auto& [component, keys] : model) components_[component] = spellings_of(component, keys);
}

void LoraPlaces::add(Names& names, const std::string& spelling, const std::string& module) {
  const auto [found, added] = names.emplace(spelling, module);
  if (!added && found->second != module) found->second.clear();
}

LoraPlaces::Spellings LoraPlaces::spellings_of(const std::string& component,
                                               const std::map<std::string, std::vector<int64_t>>& keys) {
  Spellings spellings;
  const auto add_both = [&](const std::string& spelling, const std::string& module) {
    add(spellings.dotted, spelling, module);
    add(spellings.flat, with_underscores(spelling), module);
  };
  const bool is_unet = component == "unet";
  const KeyTable ldm = is_unet ? unet_key_table(diffusers_unet_layout(keys_alone(keys))) : KeyTable({});
  for (const std::string& module : modules_of(keys)) {
    add_both(module, module);
    if (is_unet) {
      if (const auto theirs = ldm.to_theirs(module); theirs && *theirs != module) add_both(*theirs, module);
      if (module.ends_with(".to_out.0")) add(spellings.dotted, module.substr(0, module.size() - 2), module);
      continue;
    }
    add_both("text_model." + module, module);
    for (const auto& [ours, old] : text_projections) {
      if (!module.ends_with(ours)) continue;
      const std::string spelling = module.substr(0, module.size() - ours.size()) + std::string(old);
      add(spellings.dotted, spelling, module);
      add(spellings.dotted, "text_model." + spelling, module);
    }
  }
  return spellings;
}

std::optional<LoraPlace> LoraPlaces::look_up(const std::string& component, const std::string& stem, bool flat) const {
  const auto spellings = components_.find(component);
  if (spellings == components_.end()) return std::nullopt;
  const Names& names = flat ? spellings->second.flat : spellings->second.dotted;
  const auto found = names.find(stem);
  if (found == names.end() || found->second.empty()) return std::nullopt;
  return LoraPlace{.component = component, .module = found->second};
}

std::optional<LoraPlace> LoraPlaces::find_stem(std::string_view stem) const {
  const std::string_view inner = behind(behind(stem, peft_prefix), comfy_text_prefix);
  for (const auto& [prefix, component, flat] : prefix_spellings) {
    if (!inner.starts_with(prefix)) continue;
    const std::string name = without_piece(std::string(behind(inner.substr(prefix.size()), peft_prefix)), ".processor");
    std::vector<LoraPlace> candidates;
    for (const auto& [own, spellings] : components_) {
      if (!component.empty() && component != own) continue;
      if (auto place = look_up(own, name, flat)) candidates.push_back(*std::move(place));
    }
    const auto said = std::ranges::find(candidates, unprefixed_, &LoraPlace::component);
    if (said != candidates.end()) return *said;
    if (candidates.size() == 1) return candidates.front();
  }
  return std::nullopt;
}

std::optional<std::pair<std::string, std::string>> lora_stem_and_part(std::string_view key) {
  const std::string name = without_adapter_name(key);
  for (const auto& [ending, part] : part_spellings) {
    if (name.ends_with(ending)) return std::pair(name.substr(0, name.size() - ending.size()), std::string(part));
  }
  return std::nullopt;
}

std::optional<LoraPlace> LoraPlaces::find(std::string_view key) const {
  const std::string name = without_adapter_name(key);
  for (const auto& [ending, part] : part_spellings) {
    if (!name.ends_with(ending)) continue;
    if (auto place = find_stem(std::string_view(name).substr(0, name.size() - ending.size()))) {
      place->part = part;
      return place;
    }
  }
  return std::nullopt;
}

}  // namespace sdtorch
