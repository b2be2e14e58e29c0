#include "recipes/init_model.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cstdio>
#include <nlohmann/json.hpp>
#include <string_view>
#include <vector>

#include "core/dtype.hpp"
#include "core/error.hpp"
#include "core/interrupt.hpp"
#include "core/log.hpp"
#include "core/paths.hpp"
#include "core/suggest.hpp"
#include "io/atomic_file.hpp"
#include "io/atomic_folder.hpp"
#include "io/mapped_file.hpp"
#include "networks/clip_text.hpp"
#include "networks/config.hpp"
#include "networks/controlnet.hpp"
#include "networks/depth.hpp"
#include "networks/latent_classifier.hpp"
#include "networks/t2i_adapter.hpp"
#include "networks/unet.hpp"
#include "networks/vae.hpp"
#include "networks/xlm_roberta.hpp"
#include "recipes/model_layout.hpp"
#include "recipes/model_recipe.hpp"
#include "recipes/part_recipe.hpp"
#include "recipes/random_weights.hpp"
#include "text/byte_pairs.hpp"
#include "weights/component_writer.hpp"
#include "weights/pipeline_kind.hpp"
#include "weights/state_dict.hpp"

namespace sdtorch {
namespace {

namespace fs = std::filesystem;
using nlohmann::json;

constexpr std::array vocabulary_files = {"vocab.json", "merges.txt"};
constexpr const char* preparation_file = "preprocessor_config.json";

at::ScalarType stored_type(const std::string& name) {
  check_choice("--dtype", name, {"fp32", "fp16", "bf16"});
  return *find_compute_dtype(name);
}

/// CLIP's vocabulary without a merge: bytes, bytes that end a word, start, end.
json byte_vocabulary() {
  json vocabulary = json::object();
  for (const char* suffix : {"", "</w>"}) {
    for (const std::string& unit : byte_units()) vocabulary[unit + suffix] = vocabulary.size();
  }
  for (const char* special : {"<|startoftext|>", "<|endoftext|>"}) vocabulary[special] = vocabulary.size();
  return vocabulary;
}

fs::path clip_folder() { return share_folder() / "clip"; }

void check_clip_vocabulary() {
  for (const char* name : vocabulary_files) {
    std::error_code ignored;
    if (fs::exists(clip_folder() / name, ignored)) continue;
    fail(ErrorKind::model, clip_folder() / name, {}, "the CLIP vocabulary, which full models need, is missing",
         "set-up installs it: run scripts/bootstrap");
  }
}

void make_folder(const fs::path& folder) {
  std::error_code error;
  fs::create_directories(folder, error);
  if (error) fail(ErrorKind::output, folder, {}, error.message());
}

bool has_clip_vocabulary(const InitModelOptions& options) {
  return is_single_file(options.layout) || options.size == "full" || options.vocabulary == "clip";
}

int64_t vocabulary_size(const InitModelOptions& options) {
  constexpr int64_t clip_tokens = 49408;
  return has_clip_vocabulary(options) ? clip_tokens : static_cast<int64_t>(byte_vocabulary().size());
}

void write_tokenizer(const fs::path& folder, const ModelRecipe& recipe, bool clip) {
  make_folder(folder);
  const std::string component = folder.filename().string();
  const json& config = recipe.tokenizers.at(component);
  if (const auto vocabulary = recipe.vocabularies.find(component); vocabulary != recipe.vocabularies.end()) {
    write_json(folder / "tokenizer_config.json", config);
    write_json(folder / "tokenizer.json", vocabulary->second);
    return;
  }
  json special = json::object();
  for (const char* token : {"bos_token", "eos_token", "pad_token", "unk_token"}) special[token] = config[token];
  write_json(folder / "tokenizer_config.json", config);
  write_json(folder / "special_tokens_map.json", special);
  if (!clip) {
    write_json(folder / "vocab.json", byte_vocabulary());
    write_file_atomically(folder / "merges.txt", "#version: 0.2\n");
    return;
  }
  for (const char* name : vocabulary_files) {
    write_file_atomically(folder / name, MappedFile(clip_folder() / name, ErrorKind::model).bytes());
  }
}

ComponentPlan plan_depth_estimator(const json& config, at::ScalarType type, uint64_t seed) {
  constexpr const char* name = "depth_estimator";
  return plan_component<DepthEstimator>(name, config, DepthConfig::from_json(config, name), type, seed);
}

ComponentPlan plan_part(const PartRecipe& recipe, at::ScalarType type, uint64_t seed) {
  const json& config = recipe.config;
  if (recipe.kind == PartKind::depth_estimator) return plan_depth_estimator(config, type, seed);
  if (recipe.kind == PartKind::classifier) {
    return plan_component<LatentClassifier>("classifier", config,
                                            LatentClassifierConfig::from_json(config, "classifier"), type, seed);
  }
  if (recipe.kind == PartKind::controlnet) {
    return plan_component<ControlNet>("controlnet", config, ControlNetConfig::from_json(config, "controlnet"), type,
                                      seed);
  }
  return plan_component<T2IAdapter>("adapter", config, T2IAdapterConfig::from_json(config, "adapter"), type, seed);
}

std::vector<ComponentPlan> plan_components(const ModelRecipe& recipe, at::ScalarType type, uint64_t seed) {
  std::vector<ComponentPlan> plans;
  for (const auto& [name, config] : recipe.text_encoders) {
    if (recipe.model_index[name][1] == roberta_text_encoder) {
      plans.push_back(
          plan_component<XlmRobertaTextModel>(name, config, XlmRobertaConfig::from_json(config, name), type, seed));
      continue;
    }
    plans.push_back(plan_component<ClipTextModel>(
        name, config, ClipTextConfig::from_json(config, name, {.projection = name == "text_encoder_2"}), type, seed));
  }
  plans.push_back(plan_component<UNet2DConditionModel>("unet", recipe.unet, UNetConfig::from_json(recipe.unet, "unet"),
                                                       type, seed));
  plans.push_back(
      plan_component<AutoencoderKL>("vae", recipe.vae, VaeConfig::from_json(recipe.vae, "vae"), type, seed));
  if (!recipe.depth_estimator.is_null()) plans.push_back(plan_depth_estimator(recipe.depth_estimator, type, seed));
  return plans;
}

void write_folder(const InitModelOptions& options, const ModelRecipe& recipe, const std::vector<ComponentPlan>& plans) {
  AtomicFolder folder(options.target);
  const fs::path& root = folder.path();
  for (const auto& [name, config] : recipe.tokenizers)
    write_tokenizer(root / name, recipe, has_clip_vocabulary(options));
  make_folder(root / "scheduler");
  write_json(root / "scheduler" / "scheduler_config.json", recipe.scheduler);
  for (const ComponentPlan& plan : plans) {
    log_info(fmt::format("writing {}", plan.name));
    write_component(root / plan.name, plan, options.layout);
  }
  if (!recipe.depth_preparation.is_null()) {
    make_folder(root / "feature_extractor");
    write_json(root / "feature_extractor" / preparation_file, recipe.depth_preparation);
  }
  write_json(root / "model_index.json", recipe.model_index);
  folder.commit();
}

void check_file_is_new(const fs::path& file) {
  std::error_code ignored;
  if (fs::exists(file, ignored)) fail(ErrorKind::output, file, {}, "is there already");
}

void write_file(const InitModelOptions& options, const ModelRecipe& recipe, const std::vector<ComponentPlan>& plans) {
  check_file_is_new(options.target);
  const bool zero_snr = recipe.scheduler.value("rescale_betas_zero_snr", false);
  write_single_file(options.target, plans, recipe.kind.family,
                    {.checkpoint = options.layout == "ckpt", .ema = options.ema, .marked = zero_snr});
  if (recipe.kind.family == Family::sd2 && recipe.kind.task == Task::text_to_image && !zero_snr &&
      options.only != "vae") {
    log_info(fmt::format("such a file does not tell what it predicts: draw with --prediction {}",
                         recipe.kind.prediction == "epsilon" ? "epsilon" : "v"));
  }
}

void check_file_choices(const InitModelOptions& options) {
  const bool file = is_single_file(options.layout);
  const std::string suffix = options.target.extension().string();
  if (options.layout == "single" && (suffix == ".ckpt" || suffix == ".pt" || suffix == ".bin" || suffix == ".pth")) {
    refuse("--layout", fmt::format("single makes a .safetensors file, not a {}", suffix), "use --layout ckpt");
  }
  if (options.layout == "ckpt" && suffix == ".safetensors") {
    refuse("--layout", "ckpt makes a PyTorch checkpoint, not a .safetensors", "use --layout single");
  }
  if (options.layout == "variant" && !options.dtype.empty() && options.dtype != "fp16") {
    refuse("--dtype", fmt::format("{}, but a variant's files are named fp16", options.dtype), "leave it away");
  }
  if (!options.vocabulary.empty()) check_choice("--vocabulary", options.vocabulary, {"bytes", "clip"});
  if (options.vocabulary == "bytes" && has_clip_vocabulary(options)) {
    refuse("--vocabulary", "only tiny models in folders have the one of bytes", "leave it away");
  }
  if (options.only.empty()) return;
  check_choice("--only", options.only, {"unet", "vae"});
  if (!file) refuse("--only", "a folder is a whole model", "use --layout single or ckpt");
  if (options.ema && options.only == "vae") refuse("--ema", "a VAE's file has no moving averages", "leave it away");
}

void check_layout(const InitModelOptions& options) {
  check_choice("--layout", options.layout, {layout_names.begin(), layout_names.end()});
  if (options.ema && !is_single_file(options.layout)) {
    refuse("--ema", "folders have no moving averages beside the weights", "use --layout single or ckpt");
  }
  check_file_choices(options);
}

at::ScalarType type_of(const InitModelOptions& options) {
  if (!options.dtype.empty()) return stored_type(options.dtype);
  return stored_type(options.layout == "variant" ? "fp16" : "fp32");
}

bool is_part(const std::string& family) {
  const std::vector<std::string> names = part_names();
  return std::ranges::find(names, family) != names.end();
}

/// A ControlNet, a T2I-Adapter or a depth estimator.
void init_part(const InitModelOptions& options) {
  const bool file = is_single_file(options.layout);
  const auto refuse_for_part = [&](const char* flag) {
    refuse(flag, fmt::format("{} is a part, and no model", options.family), "leave it away");
  };
  if (!options.vocabulary.empty()) refuse_for_part("--vocabulary");
  if (!options.only.empty()) refuse_for_part("--only");
  if (options.ema) refuse_for_part("--ema");
  const PartRecipe recipe = part_recipe(options.family, options.size);
  if (file && recipe.kind == PartKind::classifier) {
    refuse("--layout", "a classifier is a folder: its classes are named in its config", "take a folder");
  }
  if (file && !recipe.preparation.is_null()) {
    refuse("--layout", fmt::format("a file has no place for what {} prepares pictures by", options.family),
           "take a folder");
  }
  const ComponentPlan plan = plan_part(recipe, type_of(options), options.seed);
  if (file) check_file_is_new(options.target);
  watch_for_interrupts();
  if (file) return write_part_file(options.target, plan, options.layout == "ckpt");
  AtomicFolder folder(options.target);
  write_component(folder.path(), plan, options.layout);
  if (!recipe.preparation.is_null()) write_json(folder.path() / preparation_file, recipe.preparation);
  folder.commit();
}

}  // namespace

std::vector<std::string> init_model_families() {
  std::vector<std::string> names = recipe_families(), parts = part_names();
  names.insert(names.end(), parts.begin(), parts.end());
  return names;
}

void init_model(const InitModelOptions& options) {
  check_choice("--family", options.family, init_model_families());
  check_layout(options);
  if (is_part(options.family)) return init_part(options);
  const ModelRecipe recipe = model_recipe(options.family, options.size, vocabulary_size(options));
  const at::ScalarType type = type_of(options);
  const bool own_vocabulary = !recipe.vocabularies.empty();
  if (own_vocabulary && !options.vocabulary.empty()) {
    refuse("--vocabulary", fmt::format("{} has its own", options.family), "leave it away");
  }
  if (own_vocabulary && is_single_file(options.layout)) {
    refuse("--layout", fmt::format("a file has no place for {}'s tokenizer", options.family), "take a folder");
  }
  if (has_clip_vocabulary(options) && !is_single_file(options.layout) && !own_vocabulary) check_clip_vocabulary();
  std::vector<ComponentPlan> plans = plan_components(recipe, type, options.seed);
  if (!options.only.empty()) std::erase_if(plans, [&](const auto& plan) { return plan.name != options.only; });

  watch_for_interrupts();  // from here on there is something to finish or to take away
  if (is_single_file(options.layout)) {
    write_file(options, recipe, plans);
  } else {
    write_folder(options, recipe, plans);
  }
}

}  // namespace sdtorch
