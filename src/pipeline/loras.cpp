#include "pipeline/loras.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <optional>
#include <utility>

#include "core/error.hpp"
#include "core/paths.hpp"
#include "core/suggest.hpp"
#include "io/add_on_files.hpp"
#include "pipeline/model_description.hpp"
#include "pipeline/prompt_tags.hpp"

namespace sdtorch {
namespace {

namespace fs = std::filesystem;

/// What may have been meant by a file that is not there: the weights files beside it.
std::string files_beside(const fs::path& file) {
  constexpr size_t most_beside = 20;
  const fs::path folder = file.has_parent_path() ? file.parent_path() : fs::path(".");
  std::error_code error;
  std::vector<std::string> names;
  for (fs::directory_iterator entry(folder, error), end; !error && entry != end; entry.increment(error)) {
    const std::string ending = ascii_lower(entry->path().extension().string());
    if (ending == ".safetensors" || ending == ".pt") names.push_back(entry->path().filename().string());
  }
  std::ranges::sort(names);
  if (names.size() > most_beside) names.resize(most_beside);
  return names.empty() ? "" : did_you_mean(file.filename().string(), names);
}

NamedLora of_flag(const std::string& text, const std::string& lora_dir) {
  constexpr const char* flag = "--lora";
  const FileAndWeights said = split_weights(text);
  NamedLora lora{.file = said.file, .asked_by = fmt::format("{}: {}", flag, said.file)};
  if (said.file.empty()) refuse(flag, fmt::format("'{}' names no file", text));
  if (!is_there(lora.file)) {
    if (lora_dir.empty() || lora.file.is_absolute()) refuse(lora.asked_by, "no such file", files_beside(lora.file));
    lora.file = find_add_on(lora_dir, said.file, {.asked_by = flag, .kind = "LoRA", .dir_flag = "--lora-dir"});
  }
  lora.name = lora.file.stem().string();
  if (!said.weights.empty()) lora.unet = lora.text_encoder = parse_step_weights(lora.asked_by, said.weights[0]);
  if (said.weights.size() > 1) lora.text_encoder = parse_step_weights(lora.asked_by, said.weights[1]);
  return lora;
}

NamedLora of_tag(const ExtraNetworkTag& tag, const std::string& lora_dir) {
  const std::string& name = tag.arguments.front();
  TagWeights weights = weights_of_tag(tag);
  NamedLora lora{.name = name,
                 .asked_by = asked_by_tag(tag),
                 .unet = std::move(weights.unet),
                 .text_encoder = std::move(weights.text_encoder)};
  lora.file = find_add_on(lora_dir, name, {.asked_by = lora.asked_by, .kind = "LoRA", .dir_flag = "--lora-dir"});
  return lora;
}

WeightShapes shapes_of(const ModelDescription& model) {
  WeightShapes shapes;
  std::vector<std::string> components{"unet"};
  for (const TextEncoderDescription& text : model.text_encoders) components.push_back(text.name);
  for (const std::string& component : components) {
    for (const auto& [key, weight] : model.source->weights(component)) {
      shapes[component][key] = weight.tensor.sizes().vec();
    }
  }
  return shapes;
}

}  // namespace

FileAndWeights split_weights(const std::string& text) {
  FileAndWeights whole{.file = text};
  for (size_t colons = 0; colons < 2 && !is_there(whole.file); ++colons) {
    const size_t colon = whole.file.rfind(':');
    if (colon == std::string::npos) break;
    const std::string weight = whole.file.substr(colon + 1);
    // What is no weight may be a part of a file's name; the last part is what a number was meant by.
    const bool is_weight = StepWeights::parse(weight).has_value();
    if (!is_weight && !is_there(whole.file.substr(0, colon))) break;
    whole.weights.insert(whole.weights.begin(), weight);
    whole.file.resize(colon);
  }
  return whole;
}

std::vector<NamedLora> named_loras(const Request& request, const std::string& lora_dir) {
  std::vector<NamedLora> loras;
  for (const std::string& text : request.lora) loras.push_back(of_flag(text, lora_dir));
  for (const ExtraNetworkTag& tag : tags_of(request)) {
    if (is_lora_tag(tag)) loras.push_back(of_tag(tag, lora_dir));
  }
  return loras;
}

bool ResolvedLora::text_varies() const {
  return text_encoder.varies() &&
         std::ranges::any_of(file->changes, [](const WeightChange& change) { return change.component != "unet"; });
}

std::shared_ptr<const LoraFile> LoraShelf::read(const fs::path& path, const ModelDescription& model) {
  std::error_code error;
  const fs::path whole = fs::weakly_canonical(path, error);
  const std::lock_guard lock(mutex_);
  std::shared_ptr<const LoraFile>& kept = files_[error ? path : whole];
  if (kept) return kept;
  if (shapes_.empty()) shapes_ = shapes_of(model);
  kept = std::make_shared<const LoraFile>(read_lora(path, shapes_, options_));
  return kept;
}

std::vector<ResolvedLora> resolve_loras(const ModelDescription& model, const Request& request,
                                        std::vector<std::string>& warnings) {
  std::ranges::copy(warnings_of_tags(request), std::back_inserter(warnings));
  std::vector<ResolvedLora> loras;
  for (NamedLora& lora : named_loras(request, model.loras->folder())) {
    if (lora.unet.is_zero() && lora.text_encoder.is_zero()) {
      warnings.push_back(fmt::format("{}: changes nothing, its weight is 0", lora.asked_by));
    }
    loras.push_back({.file = model.loras->read(lora.file, model),
                     .unet = std::move(lora.unet),
                     .text_encoder = std::move(lora.text_encoder)});
  }
  return loras;
}

}  // namespace sdtorch
