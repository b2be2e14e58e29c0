#include "adapters/textual_inversion.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <array>
#include <optional>
#include <string_view>
#include <utility>

#include "adapters/png_embedding.hpp"
#include "core/error.hpp"
#include "weights/ldm_keys.hpp"
#include "weights/recognition.hpp"
#include "weights/weights_file.hpp"

namespace sdtorch {
namespace {

using Tensors = std::map<std::string, at::Tensor>;

constexpr std::string_view by_placeholder = "string_to_param", tokens_of_placeholder = "string_to_token";

/// Keys that are no words: `tensor` is what a tensor saved by itself is called.
constexpr std::array<std::string_view, 3> nameless = {"*", "emb_params", "tensor"};

constexpr std::array<std::pair<std::string_view, LearnedFor>, 4> pair_keys = {
    {{"clip_l", LearnedFor::first},
     {"clip_g", LearnedFor::second},
     {"text_encoders_0", LearnedFor::first},
     {"text_encoders_1", LearnedFor::second}}};

constexpr size_t most_words = 1000;

[[noreturn]] void fail_in(const std::string& file, std::string key, std::string reason, std::string hint = {}) {
  fail(ErrorKind::model, file, std::move(key), std::move(reason), std::move(hint));
}

std::optional<LearnedFor> part_of_pair(std::string_view key) {
  const auto* const found = std::ranges::find(pair_keys, key, &std::pair<std::string_view, LearnedFor>::first);
  return found == pair_keys.end() ? std::nullopt : std::optional(found->second);
}

/// [C] or [n, C] → fp32 [n, C]
at::Tensor vectors_of(const at::Tensor& tensor, const std::string& file, const std::string& key) {
  if (!at::isFloatingType(tensor.scalar_type())) {
    fail_in(file, key, fmt::format("vectors of {} are no embedding", c10::toString(tensor.scalar_type())));
  }
  const bool shaped = (tensor.dim() == 1 || tensor.dim() == 2) && tensor.numel() > 0;
  if (!shaped) {
    fail_in(file, key,
            fmt::format("an embedding has the shape [C] or [n, C], this has [{}]", fmt::join(tensor.sizes(), ", ")));
  }
  at::Tensor vectors = tensor.detach().to(at::kCPU, at::kFloat);
  if (!vectors.isfinite().all().item<bool>()) fail_in(file, key, "has numbers that are not finite");
  return vectors.dim() == 1 ? vectors.unsqueeze(0) : vectors;
}

/// All keys are of the pair, or none is.
LearnedWord read_pair(const Tensors& tensors, const std::string& name, const std::string& file) {
  LearnedWord word{.name = name};
  for (const auto& [key, tensor] : tensors) {
    const auto part = part_of_pair(key);
    if (!part) fail_in(file, key, "does not belong beside clip_l and clip_g");
    if (!word.vectors.emplace(*part, vectors_of(tensor, file, key)).second) fail_in(file, key, "is there twice");
  }
  for (const auto& [part, vectors] : word.vectors) {
    if (vectors.size(0) == word.count()) continue;
    fail_in(file, "clip_g", fmt::format("{} vectors, and clip_l has {}", vectors.size(0), word.count()));
  }
  return word;
}

std::vector<LearnedWord> read_words(const Tensors& tensors, const std::string& name, const std::string& file) {
  std::vector<LearnedWord> words;
  for (const auto& [key, tensor] : tensors) {
    const bool has_name = std::ranges::find(nameless, key) == nameless.end();
    if (!has_name && tensors.size() > 1) fail_in(file, key, fmt::format("is one of {} embeddings", tensors.size()));
    const std::string said = tensors.size() == 1 && !name.empty() ? name : has_name ? key : std::string();
    words.push_back({.name = said, .vectors = {{LearnedFor::only, vectors_of(tensor, file, key)}}});
  }
  return words;
}

/// What a file of many tensors is instead.
void refuse_others(const Tensors& tensors, const std::string& file) {
  KeySet keys;
  for (const auto& [key, tensor] : tensors) keys.insert(key);
  const std::string kind = kind_of_weights(keys);
  const bool embedding = kind.empty() || kind.find("embedding") != std::string::npos;
  if (embedding && tensors.size() <= most_words) return;
  fail_in(file, "", fmt::format("this is {}, no textual inversion", embedding ? "something else" : kind));
}

/// What a width is known from.
std::string made_for(LearnedFor part, int64_t width) {
  if (part != LearnedFor::only) return ", made for SDXL";
  constexpr int64_t sd1 = 768, sd2 = 1024, sdxl = 1280;
  return width == sd1 ? ", made for SD1" : width == sd2 ? ", made for SD2" : width == sdxl ? ", made for SDXL" : "";
}

}  // namespace

TextualInversion read_textual_inversion(const std::map<std::string, at::Tensor>& tensors, const std::string& name,
                                        const std::string& file) {
  Tensors rest, placed;
  for (const auto& [key, tensor] : tensors) {
    if (key.starts_with(tokens_of_placeholder)) continue;
    const bool inside = key.starts_with(by_placeholder) && key.size() > by_placeholder.size() + 1;
    (inside ? placed : rest)[inside ? key.substr(by_placeholder.size() + 1) : key] = tensor;
  }
  if (!placed.empty()) return {.words = read_words(placed, name, file), .named_by_file = true};
  if (rest.size() > 1) refuse_others(rest, file);
  const bool paired =
      std::ranges::any_of(rest, [](const auto& entry) { return part_of_pair(entry.first).has_value(); });
  if (paired) return {.words = {read_pair(rest, name, file)}};
  if (rest.empty()) fail_in(file, "", "holds no embedding");
  return {.words = read_words(rest, name, file)};
}

TextualInversion load_textual_inversion(const std::filesystem::path& file) {
  const auto named = [](const std::string& name) { return name == "*" ? std::string() : name; };
  if (const auto picture = read_png_embedding(file)) {
    return read_textual_inversion(picture->tensors, named(picture->name), file.string());
  }
  const WeightsFile weights = load_weights(file);
  Tensors tensors;
  for (const auto& [key, tensor] : weights.tensors) tensors[key] = tensor.tensor;
  const auto said = weights.values.find("name");
  const bool has_name = said != weights.values.end() && std::holds_alternative<std::string>(said->second);
  const std::string name = has_name ? std::get<std::string>(said->second) : std::string();
  return read_textual_inversion(tensors, named(name), file.string());
}

at::Tensor vectors_for(const LearnedWord& word, const EncoderPlace& encoder, const std::string& file,
                       const std::string& model) {
  if (encoder.width == 0) return word.vectors.begin()->second;
  const bool alone = word.vectors.contains(LearnedFor::only);
  if (alone && encoder.encoders > 1) {
    const int64_t width = word.vectors.at(LearnedFor::only).size(1);
    fail_in(file, "",
            fmt::format("vectors of {} numbers{}; {} has two text encoders, and needs a pair, clip_l and clip_g", width,
                        made_for(LearnedFor::only, width), model));
  }
  // OneTrainer calls the vectors of SD1's and SD2's one encoder `clip_l`, without a `clip_g` beside them.
  const bool paired = word.vectors.contains(LearnedFor::second);
  const LearnedFor part = alone ? LearnedFor::only : encoder.second ? LearnedFor::second : LearnedFor::first;
  if (paired && encoder.encoders == 1 && !encoder.second) {
    fail_in(file, "", fmt::format("a pair, clip_l and clip_g, made for SDXL; {} has one text encoder", model));
  }
  const auto found = word.vectors.find(part);
  if (found == word.vectors.end()) {
    fail_in(file, part == LearnedFor::second ? "clip_g" : "clip_l", "is missing, and the model needs it");
  }
  const int64_t width = found->second.size(1);
  if (width != encoder.width) {
    fail_in(
        file,
        alone                        ? ""
        : part == LearnedFor::second ? "clip_g"
                                     : "clip_l",
        fmt::format("vectors of {} numbers{}; the text encoder of {} takes {}", width,
                    made_for(encoder.encoders == 1 && !paired ? LearnedFor::only : part, width), model, encoder.width));
  }
  return found->second;
}

}  // namespace sdtorch
