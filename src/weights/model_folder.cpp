#include "weights/model_folder.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <span>
#include <string_view>
#include <system_error>
#include <utility>

#include "core/error.hpp"
#include "core/log.hpp"
#include "core/paths.hpp"
#include "core/utf8.hpp"
#include "io/json.hpp"
#include "weights/component_files.hpp"
#include "weights/model_path.hpp"
#include "weights/pipeline_kind.hpp"

namespace sdtorch {
namespace {

namespace fs = std::filesystem;
using nlohmann::json;

constexpr size_t longest_name = 100;  // in a message
constexpr const char* index_name = "model_index.json";

struct ComponentRule {
  const char* name;
  std::span<const std::string_view> classes;  ///< none: the part that reads the component checks its class
  bool needed = true;
};

constexpr std::string_view clip_tokenizer_classes[] = {"CLIPTokenizer", "CLIPTokenizerFast"};
constexpr std::string_view tokenizer_classes[] = {"CLIPTokenizer",           "CLIPTokenizerFast", "XLMRobertaTokenizer",
                                                  "XLMRobertaTokenizerFast", "T5Tokenizer",       "T5TokenizerFast"};
constexpr std::string_view text_encoder_classes[] = {"CLIPTextModel", roberta_text_encoder};
constexpr std::string_view xl_text_encoder_classes[] = {"CLIPTextModel"};
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
    {.name = "tokenizer", .classes = clip_tokenizer_classes, .needed = false},
    {.name = "text_encoder", .classes = xl_text_encoder_classes, .needed = false},
    {"tokenizer_2", clip_tokenizer_classes},
    {"text_encoder_2", projecting_text_encoder_classes},
    {"unet", unet_classes},
    {"vae", vae_classes},
    {"scheduler", {}},
};

/// Components that may be there and are not used.
constexpr std::string_view unused_components[] = {"safety_checker", "feature_extractor", "image_encoder",
                                                  "depth_estimator", "inverse_scheduler"};

/// What steers by a picture, where a pipeline that always does was saved. Here it does when asked.
constexpr std::string_view steering_components[] = {"controlnet", "adapter"};

/// Settings of the pipelines: those that are read, and those that change no picture of ours.
constexpr std::string_view settings[] = {"force_zeros_for_empty_prompt", "requires_aesthetics_score",
                                         "requires_safety_checker", "add_watermarker"};

template <class Range>
bool contains(const Range& range, std::string_view value) {
  return std::find(std::begin(range), std::end(range), value) != std::end(range);
}

/// [library, class], [null, null] for a component that is left out. Anything else is a setting of the pipeline.
/// `_class_name` and the like are notes of the writing library, the class of a community pipeline a list, too.
bool is_component(const std::string& name, const json& entry) { return entry.is_array() && !name.starts_with('_'); }

std::string class_of(const fs::path& file, const std::string& name, const json& entry) {
  const bool shaped = entry.is_array() && entry.size() == 2;
  if (!shaped || !(entry[1].is_string() || entry[1].is_null())) {
    fail(ErrorKind::model, file, name, "[library, class] was expected");
  }
  return entry[1].is_null() ? std::string() : entry[1].get<std::string>();
}

/// Whether the index names the component: neither leaves it out nor says [null, null].
bool names(const json& index, const std::string& component) {
  const auto entry = index.find(component);
  return entry != index.end() && entry->is_array() && entry->size() == 2 && (*entry)[1].is_string();
}

/// A component that no rule knows of: it may have a say in the picture.
void check_extra_component(const fs::path& file, const std::string& name, const json& entry,
                           const ReadOptions& options) {
  const std::string type = class_of(file, name, entry);
  if (type.empty()) return;
  const std::string reason = fmt::format("a component that is not supported ({})", type);
  if (!options.ignore_unknown) fail(ErrorKind::model, file, name, reason, "--ignore-unknown passes over it");
  log_warning_once(
      fmt::format("{}: {}: {}: passed over", file.string(), sdtorch::shortened(name, longest_name), reason));
}

void check_components(const fs::path& root, const fs::path& file, const json& index, const PipelineKind& pipeline,
                      const ReadOptions& options) {
  const auto rules =
      pipeline.xl ? std::span<const ComponentRule>(xl_components) : std::span<const ComponentRule>(sd_components);
  for (const ComponentRule& rule : rules) {
    const auto entry = index.find(rule.name);
    const bool absent = entry == index.end() || entry->is_null();
    const std::string type = absent ? std::string() : class_of(file, rule.name, *entry);
    if (type.empty() && !rule.needed) continue;
    if (type.empty()) fail(ErrorKind::model, file, rule.name, "this component is missing, and text-to-image needs it");
    if (!rule.classes.empty() && !contains(rule.classes, type)) {
      fail(ErrorKind::model, file, rule.name, fmt::format("{} is not supported", type),
           fmt::format("{} is", fmt::join(rule.classes, " or ")));
    }
    if (!is_folder(root / rule.name)) {
      fail(ErrorKind::model, root / rule.name, {}, fmt::format("the folder is missing, and {} names it", index_name));
    }
  }
  for (const auto& [name, entry] : index.items()) {
    const bool known = std::any_of(rules.begin(), rules.end(),
                                   [&, &key = name](const ComponentRule& rule) { return key == rule.name; });
    if (known || entry.is_null() || contains(unused_components, name)) continue;
    const bool steers = contains(steering_components, name) && !pipeline.class_name.empty();
    if (steers && is_component(name, entry)) {
      if (class_of(file, name, entry).empty()) continue;
      log_warning_once(fmt::format("{}: {}: steers nothing unless it is named by --control-net {}", file.string(), name,
                                   (root / name).string()));
      continue;
    }
    if (is_component(name, entry)) {
      check_extra_component(file, name, entry, options);
    } else if (!name.starts_with('_') && !contains(settings, name)) {
      log_warning_once(
          fmt::format("{}: {}: unknown setting: passed over", file.string(), sdtorch::shortened(name, longest_name)));
    }
  }
}

/// diffusers' name for the file of what is configured and has no weights.
constexpr const char* scheduler_name = "scheduler";

}  // namespace

ModelFolder::ModelFolder(const fs::path& folder_or_name, const ReadOptions& options)
    : root_(find_model(folder_or_name)) {
  const fs::path& root = root_;
  if (!is_folder(root)) {
    fail(ErrorKind::model, root, {},
         fmt::format("is a file; a diffusers model folder with {} was expected", index_name));
  }
  const fs::path file = root / index_name;
  std::error_code ignored;
  const bool named = is_there(file) || fs::is_symlink(file, ignored);  // of a link to nothing the reader tells
  if (!named) fail(ErrorKind::model, root, {}, fmt::format("is no diffusers model folder: it has no {}", index_name));
  index_ = load_config(file);
  const PipelineKind pipeline = pipeline_kind(index_, file.string());
  check_components(root, file, index_, pipeline, options);
  if (pipeline.class_name.empty()) {
    log_warning(fmt::format("{}: _class_name: {} is not known here; its components are drawn with as a {} would",
                            file.string(), pipeline_class(index_),
                            pipeline.xl ? "StableDiffusionXLPipeline" : "StableDiffusionPipeline"));
  }
  const bool encodes = names(index_, "text_encoder"), tokenizes = names(index_, "tokenizer");
  if (encodes != tokenizes) {
    fail(ErrorKind::model, file, encodes ? "tokenizer" : "text_encoder",
         "this component is missing, and the other is there");
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

TokenizerPlace ModelFolder::tokenizer(const std::string& component) const {
  return tokenizer_place(pipeline_kind(index_, root_.string()), root_ / component);
}

json load_config(const fs::path& file) {
  json config = read_json_file(file, ErrorKind::model);
  if (!config.is_object())
    fail(ErrorKind::model, file, {}, fmt::format("a JSON object was expected, found {}", config.type_name()));
  return config;
}

}  // namespace sdtorch
