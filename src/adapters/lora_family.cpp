#include "adapters/lora_family.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <initializer_list>
#include <iterator>
#include <optional>
#include <string_view>

namespace sdtorch {
namespace {

constexpr const char* sd1 = "SD1";
constexpr const char* sd2 = "SD2";
constexpr const char* sdxl = "SDXL";
constexpr const char* refiner = "SDXL's refiner";
constexpr const char* either_sd1_or_sd2 = "SD1 or SD2";
constexpr const char* either_sd2_or_sdxl = "SD2 or SDXL";

/// How many numbers a token has for the U-Net's cross-attention.
struct ContextWidth {
  int64_t width;
  const char* family;
};
constexpr ContextWidth context_widths[] = {{768, sd1}, {1024, sd2}, {2048, sdxl}, {1280, refiner}};

/// A piece of a key that only other architectures have.
struct ForeignName {
  std::string_view piece, family;
};
constexpr ForeignName foreign_names[] = {
    {"double_blocks", "FLUX"},
    {"single_blocks", "FLUX"},
    {"single_transformer_blocks", "FLUX"},
    {"joint_blocks", "Stable Diffusion 3"},
    {"lora_te3_", "Stable Diffusion 3 or FLUX"},
    {"text_encoder_3.", "Stable Diffusion 3 or FLUX"},
    {"lora_transformer_", "a diffusion transformer"},
    {"prior_unet", "Stable Cascade"},
    {"temporal_transformer", "a video model"},
    {"motion_modules", "a video model"},
};

/// What trainers write of the model that they started from (`ss_base_model_version`, `modelspec.architecture`).
constexpr ForeignName metadata_names[] = {
    {"sdxl", sdxl},         {"stable-diffusion-xl", sdxl}, {"sd_v1", sd1},   {"stable-diffusion-v1", sd1},
    {"sd_v2", sd2},         {"stable-diffusion-v2", sd2},  {"flux", "FLUX"}, {"sd3", "Stable Diffusion 3"},
    {"hunyuan", "Hunyuan"},
};

bool holds(std::string_view text, std::string_view piece) { return text.find(piece) != std::string_view::npos; }

/// Whether the key is of a projection of the context, and of what reads it.
bool reads_context(std::string_view key) {
  const bool cross = holds(key, "attn2");
  const bool projection = holds(key, "to_k") || holds(key, "to_v");
  constexpr std::string_view reading[] = {"lora_down.weight", "lora_A.weight", "lora.down.weight", ".hada_w1_b",
                                          ".diff"};
  return cross && projection && std::ranges::any_of(reading, [&](std::string_view end) { return key.ends_with(end); });
}

std::optional<int64_t> context_of(const StateDict& lora) {
  for (const auto& [key, weight] : lora) {
    if (reads_context(key) && weight.tensor.dim() >= 2) return weight.tensor.size(1);
  }
  return std::nullopt;
}

std::optional<int64_t> context_of(const WeightShapes& model) {
  const auto unet = model.find("unet");
  if (unet == model.end()) return std::nullopt;
  for (const auto& [key, shape] : unet->second) {
    if (key.ends_with(".attn2.to_k.weight") && shape.size() == 2) return shape[1];
  }
  return std::nullopt;
}

std::string by_width(std::optional<int64_t> width) {
  const auto* const found = std::ranges::find(context_widths, width.value_or(0), &ContextWidth::width);
  return found == std::end(context_widths) ? "" : found->family;
}

bool any_key(const StateDict& lora, const auto& fits) {
  return std::ranges::any_of(lora, [&](const auto& entry) { return fits(std::string_view(entry.first)); });
}

/// By which layers there are, in models of any widths. What the model has too speaks for nothing.
std::string family_told_by_names(const StateDict& lora, const WeightShapes& model) {
  const auto any = [&](std::initializer_list<std::string_view> pieces) {
    return any_key(lora, [&](std::string_view key) {
      return std::ranges::any_of(pieces, [&](std::string_view piece) { return holds(key, piece); });
    });
  };
  if (any({"lora_te2_", "text_encoder_2.", "clip_g.", "add_embedding", "label_emb", "transformer_blocks_1_",
           "transformer_blocks.1."})) {
    return sdxl;
  }
  // SDXL's finest level has no attention; SD1's transformers begin with convolutions, and SD2's with matrices.
  const auto unet = model.find("unet");
  const bool attends_at_once = unet != model.end() && std::ranges::any_of(unet->second, [](const auto& entry) {
                                 return entry.first.starts_with("down_blocks.0.attentions.");
                               });
  for (const auto& [key, weight] : lora) {
    const bool down = key.ends_with("lora_down.weight") || key.ends_with("lora_A.weight");
    if (down && holds(key, "proj_in")) return weight.tensor.dim() == 4 ? sd1 : either_sd2_or_sdxl;
  }
  return !attends_at_once && any({"down_blocks.0.attentions", "down_blocks_0_attentions"}) ? either_sd1_or_sd2 : "";
}

std::string family_told_by(const StateDict& lora, const std::map<std::string, std::string>& metadata,
                           const WeightShapes& model) {
  for (const auto& [piece, family] : foreign_names) {
    if (any_key(lora, [&](std::string_view key) { return holds(key, piece); })) return std::string(family);
  }
  if (any_key(lora, [](std::string_view key) { return key.starts_with("transformer."); })) {
    return "a diffusion transformer";
  }
  if (const std::string family = by_width(context_of(lora)); !family.empty()) return family;
  const std::string told = family_told_by_names(lora, model);
  if (!told.empty()) return told;
  for (const char* key : {"ss_base_model_version", "modelspec.architecture"}) {
    const auto found = metadata.find(key);
    if (found == metadata.end()) continue;
    for (const auto& [piece, family] : metadata_names) {
      if (holds(found->second, piece)) return std::string(family);
    }
  }
  return {};
}

std::string family_told_by(const WeightShapes& model) {
  if (const std::string family = by_width(context_of(model)); !family.empty()) return family;
  const auto unet = model.find("unet");
  if (unet == model.end()) return {};
  const auto& keys = unet->second;
  if (keys.contains("add_embedding.linear_1.weight")) return model.contains("text_encoder") ? sdxl : refiner;
  for (const auto& [key, shape] : keys) {
    if (key.ends_with(".proj_in.weight")) return shape.size() == 4 ? sd1 : sd2;
  }
  return {};
}

}  // namespace

std::string other_family(const StateDict& lora, const std::map<std::string, std::string>& metadata,
                         const WeightShapes& model) {
  const std::string theirs = family_told_by(lora, metadata, model), ours = family_told_by(model);
  const std::optional<int64_t> their_context = context_of(lora), our_context = context_of(model);
  const std::string widths =
      their_context && our_context && *their_context != *our_context
          ? fmt::format("its context has {} numbers a token, the model's {}", *their_context, *our_context)
          : std::string();
  if (!theirs.empty() && !ours.empty() && !holds(theirs, ours)) {
    return fmt::format("made for {}; the model is {}{}", theirs, ours, widths.empty() ? "" : " (" + widths + ")");
  }
  return widths.empty() ? widths : "made for another family of models: " + widths;
}

}  // namespace sdtorch
