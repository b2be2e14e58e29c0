#include "adapters/lora_family.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <initializer_list>
#include <iterator>
#include <optional>
#include <string_view>

#include "adapters/lora_keys.hpp"

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

constexpr int64_t largest_factor = 1 << 20;

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

/// Whether the key is of a projection of the context.
bool reads_context(std::string_view key) { return holds(key, "attn2") && (holds(key, "to_k") || holds(key, "to_v")); }

using Parts = std::map<std::string, at::Tensor>;

/// The projections of the context that the file has, each by its parts.
std::map<std::string, Parts> context_layers(const StateDict& lora) {
  std::map<std::string, Parts> layers;
  for (const auto& [key, weight] : lora) {
    if (!reads_context(key)) continue;
    if (const auto found = lora_stem_and_part(key)) layers[found->first][found->second] = weight.tensor;
  }
  return layers;
}

/// How many numbers the layer takes, as far as its parts say. Those of vectors of the outputs do not.
std::optional<int64_t> inputs_told_by(const Parts& parts) {
  const auto size = [&](const char* part, int64_t axis) -> std::optional<int64_t> {
    const auto found = parts.find(part);
    if (found == parts.end() || found->second.dim() <= axis) return std::nullopt;
    return found->second.size(axis);
  };
  for (const char* part : {"lora_down", "hada_w1_b", "diff"}) {
    if (const auto inputs = size(part, 1)) return inputs;
  }
  for (const char* part : {"glora_a1", "glora_a2"}) {  // either may lead to the rank, which is the smaller
    if (const auto rows = size(part, 0), columns = size(part, 1); columns) return std::max(*rows, *columns);
  }
  const auto columns = [&](const char* whole, const char* product) {
    const auto of_whole = size(whole, 1);
    return of_whole ? of_whole : size(product, 1);
  };
  const auto first = columns("lokr_w1", "lokr_w1_b"), second = columns("lokr_w2", "lokr_w2_b");
  if (first && second && *first <= largest_factor && *second <= largest_factor) return *first * *second;
  const auto on_input = parts.find("on_input");
  if (on_input != parts.end() && on_input->second.numel() == 1 &&
      on_input->second.to(at::kDouble).item<double>() != 0) {
    return size("weight", 0);
  }
  return std::nullopt;
}

std::optional<int64_t> context_of(const StateDict& lora) {
  for (const auto& [stem, parts] : context_layers(lora)) {
    if (const auto inputs = inputs_told_by(parts)) return inputs;
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

}  // namespace

std::string family_of(const WeightShapes& model) {
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

std::string other_family(const StateDict& lora, const std::map<std::string, std::string>& metadata,
                         const WeightShapes& model) {
  const std::string theirs = family_told_by(lora, metadata, model), ours = family_of(model);
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
