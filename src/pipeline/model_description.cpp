#include "pipeline/model_description.hpp"

#include <fmt/format.h>

#include <cstdio>

#include "core/error.hpp"
#include "core/paths.hpp"
#include "diffusion/scheduler_config.hpp"
#include "pipeline/embeddings.hpp"
#include "pipeline/hypernetworks.hpp"
#include "text/load_tokenizer.hpp"
#include "weights/model_folder.hpp"
#include "weights/pipeline_kind.hpp"
#include "weights/vae_file.hpp"

namespace sdtorch {
namespace {

namespace fs = std::filesystem;

constexpr const char* unet_name = "unet";
constexpr const char* vae_name = "vae";
constexpr const char* depth_estimator_name = "depth_estimator";

/// Takes the VAE that `--vae` names: its own folder, a whole model's folder, or a file; empty: the model's own.
void describe_vae(const std::string& vae, ModelDescription& description) {
  const ModelSource& source = *description.source;
  VaeFileConfig said;
  if (vae.empty()) {
    said = {.config = source.config(vae_name), .place = source.config_place(vae_name)};
  } else if (const fs::path path = find_vae("--vae", vae); is_folder(path)) {
    const fs::path folder = fs::exists(path / vae_name / "config.json") ? path / vae_name : path;
    said.place = (folder / "config.json").string();
    said.config = load_config(said.place);
    check_vae_class(said.config, said.place);
    description.vae_weights = folder;
  } else {
    said = vae_file_config(path, source.config(vae_name));
    description.vae_weights = path;
  }
  description.vae = VaeConfig::from_json(said.config, said.place, description.read_options);
}

/// The first SD1 folders, written by diffusers before 0.9, say 32 (256 pixels) for models made for 64. diffusers'
/// StableDiffusionPipeline puts that right by the version that wrote the file.
bool has_wrong_sample_size(const nlohmann::json& unet) {
  const auto version = unet.find("_diffusers_version"), size = unet.find("sample_size");
  if (version == unet.end() || !version->is_string()) return false;
  if (size == unet.end() || !size->is_number_integer()) return false;
  int major = 0, minor = 0;
  if (std::sscanf(version->get_ref<const std::string&>().c_str(), "%d.%d", &major, &minor) != 2) return false;
  return major == 0 && minor < 9 && size->get<int64_t>() < 64;
}

void check_text_parts_fit(const ModelDescription& model, const TextEncoderDescription& text) {
  const std::string file = model.source->config_place(text.name);
  const Tokenizer& tokenizer = text.tokenizer;
  if (tokenizer.vocab_size() > vocab_size(text.config)) {
    fail(ErrorKind::model, file, "vocab_size",
         fmt::format("{}, but the tokenizer has {} tokens", vocab_size(text.config), tokenizer.vocab_size()));
  }
  if (tokenizer.model_max_length() > longest_text(text.config)) {
    fail(ErrorKind::model, file, "max_position_embeddings",
         fmt::format("enough for {} tokens, but the tokenizer makes chunks of {}", longest_text(text.config),
                     tokenizer.model_max_length()));
  }
  if (tokenizer.model_max_length() != model.text_encoders.front().tokenizer.model_max_length()) {
    fail(ErrorKind::model, file, {}, "its tokenizer makes chunks of another length than the first text encoder's");
  }
}

/// SDXL's U-Net sees the pooled text and a row of numbers; others neither.
void check_added_embedding_fits(const ModelDescription& model, const std::string& unet_file) {
  constexpr auto type_key = "addition_embed_type", width_key = "projection_class_embeddings_input_dim";
  if (model.unet.added && !model.xl) {
    fail(ErrorKind::model, unet_file, type_key, "text_time, which no pipeline but SDXL's has the texts for");
  }
  if (!model.xl) return;
  if (!model.unet.added) fail(ErrorKind::model, unet_file, type_key, "text_time was expected of an SDXL model");
  const int64_t pooled = std::get<ClipTextConfig>(model.text_encoders.back().config).projection_dim;
  const int64_t numbers = model.xl->numbers();
  const int64_t width = pooled + numbers * model.unet.added->time_width;
  if (model.unet.added->input_width != width) {
    fail(ErrorKind::model, unet_file, width_key,
         fmt::format("{}, but the pooled text of {} and {} numbers of {} make {}", model.unet.added->input_width,
                     pooled, numbers, model.unet.added->time_width, width),
         "requires_aesthetics_score in model_index.json decides whether they are 5 or 6");
  }
}

/// By what the U-Net takes beside the latent.
Task task_of(const ModelDescription& model) {
  const int64_t latent = model.vae.latent_channels;
  for (const Task task : {Task::text_to_image, Task::inpainting, Task::depth, Task::instruct_pix2pix}) {
    if (model.unet.in_channels == latent + extra_channels(task, latent)) return task;
  }
  fail(ErrorKind::model, model.source->config_place(unet_name), "in_channels",
       fmt::format("{}, but the VAE's latents have {} channels", model.unet.in_channels, latent));
}

/// What no config can see alone: whether the parts fit one another.
void check_parts_fit(const ModelDescription& model) {
  const std::string unet_file = model.source->config_place(unet_name);
  int64_t width = 0;
  for (const TextEncoderDescription& text : model.text_encoders) width += context_width(text.config);
  if (model.unet.cross_attention_dim != width) {
    fail(ErrorKind::model, unet_file, "cross_attention_dim",
         fmt::format("{}, but the {} of the text encoder{} is {}", model.unet.cross_attention_dim,
                     context_width_key(model.text_encoders.front().config),
                     model.text_encoders.size() > 1 ? "s together" : "", width));
  }
  if (model.unet.out_channels != model.vae.latent_channels) {
    fail(ErrorKind::model, unet_file, "out_channels",
         fmt::format("{}, but the VAE's latents have {} channels", model.unet.out_channels, model.vae.latent_channels));
  }
  for (const TextEncoderDescription& text : model.text_encoders) check_text_parts_fit(model, text);
  check_added_embedding_fits(model, unet_file);
}

TextEncoderConfig text_encoder_config(const ModelSource& source, const char* encoder, ClipTextHead head,
                                      const ReadOptions& options) {
  const std::string place = source.config_place(encoder);
  const nlohmann::json::json_pointer class_name(fmt::format("/{}/1", encoder));
  if (source.index().contains(class_name) && source.index().at(class_name) == roberta_text_encoder)
    return XlmRobertaConfig::from_json(source.config(encoder), place, options);
  return ClipTextConfig::from_json(source.config(encoder), place, head, options);
}

std::vector<TextEncoderDescription> describe_text_encoders(const ModelSource& source, const ReadOptions& options) {
  struct Place {
    const char *encoder, *tokenizer_name;
    bool pools;
  };
  constexpr Place places[] = {{"text_encoder", "tokenizer", false}, {"text_encoder_2", "tokenizer_2", true}};
  std::vector<TextEncoderDescription> described;
  for (const auto& [encoder, tokenizer_name, pools] : places) {
    if (!source.has(encoder)) continue;
    const TokenizerPlace tokenizer = source.tokenizer(tokenizer_name);
    described.push_back(
        {.name = encoder,
         .tokenizer = load_tokenizer(tokenizer.folder, {.pad_token = tokenizer.pad_token,
                                                        .lower_case = tokenizer.lower_case,
                                                        .model_max_length = tokenizer.model_max_length}),
         .config = text_encoder_config(source, encoder, {.projection = pools}, options)});
  }
  return described;
}

}  // namespace

ModelDescription describe_model(const std::string& model, const std::string& vae, const std::string& prediction,
                                const ReadOptions& options) {
  std::string canonical;
  if (!prediction.empty()) canonical = to_string(find_prediction(prediction).value());
  ModelDescription description;
  description.read_options = options;
  description.source = open_model(model, canonical, options);
  const ModelSource& source = *description.source;
  const fs::path& path = source.path();
  description.name = (path.has_filename() ? path : path.parent_path()).filename().string();
  description.scheduler_file = source.config_place("scheduler");
  description.scheduler = source.scheduler();
  if (!canonical.empty()) description.scheduler["prediction_type"] = canonical;
  const PipelineKind pipeline = pipeline_kind(source.index(), path.string());
  description.corrects_scheduler = pipeline.corrects_configs;
  description.consistency = pipeline.consistency;
  if (pipeline.xl) {
    const XlSettings defaults;
    description.xl = {
        .zeros_for_no_negative = setting(source, "force_zeros_for_empty_prompt", defaults.zeros_for_no_negative),
        .aesthetic_score = setting(source, "requires_aesthetics_score", defaults.aesthetic_score)};
  }
  description.text_encoders = describe_text_encoders(source, options);
  const nlohmann::json unet = source.config(unet_name);
  description.unet = UNetConfig::from_json(unet, source.config_place(unet_name), options);
  if (pipeline.corrects_configs && has_wrong_sample_size(unet)) description.unet.sample_size = 64;

  describe_vae(vae, description);
  description.task = task_of(description);
  if (source.has(depth_estimator_name)) {
    description.depth_estimator = describe_depth_estimator(description.source, options);
  }
  check_parts_fit(description);
  description.embeddings = embedding_store(description, "");
  description.hypernetworks = std::make_shared<HypernetworkShelf>("");
  return description;
}

}  // namespace sdtorch
