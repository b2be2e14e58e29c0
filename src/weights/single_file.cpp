#include "weights/single_file.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <system_error>

#include "core/error.hpp"
#include "core/log.hpp"
#include "core/paths.hpp"
#include "weights/key_names.hpp"
#include "weights/ldm_keys.hpp"
#include "weights/midas_keys.hpp"
#include "weights/pipeline_kind.hpp"

namespace sdtorch {
namespace {

namespace fs = std::filesystem;
using nlohmann::json;

constexpr int64_t clip_tokens = 49408;

Recognition read(const fs::path& path, KeySet& keys) {
  WeightsFile file = load_weights(path, {.verify = false});  // its bytes are checked when they are used
  keys = keys_of(file.tensors);
  return recognize(std::move(file), path);
}

/// A file that is not taken apart, or is no whole model, called what it is.
[[noreturn]] void refuse_kind(const fs::path& path, const KeySet& keys) {
  const std::string kind = kind_of_weights(keys);
  if (kind.empty()) fail(ErrorKind::model, path, {}, "its tensors are of no model known here", "see sdtorch inspect");
  fail(ErrorKind::model, path, {}, fmt::format("is {}, not a whole model", kind), "see sdtorch inspect");
}

std::string described(const std::string& component) {
  if (component == "unet") return "U-Net";
  if (component == "vae") return "VAE";
  if (component == "depth_estimator") return "depth estimator";
  return component == "text_encoder_2" ? "second text encoder" : "text encoder";
}

void check_whole(const fs::path& path, const Recognition& found) {
  std::vector<std::string> missing;
  if (!found.parts.contains("unet")) missing.push_back(described("unet"));
  if (found.family) {
    for (const std::string& name : text_encoders_of(*found.family)) {
      if (!found.parts.contains(name)) missing.push_back(described(name));
    }
  } else {
    missing.emplace_back("text encoder");
  }
  if (!missing.empty()) {
    std::vector<std::string> present;
    for (const auto& [name, part] : found.parts) present.push_back(described(name));
    fail(ErrorKind::model, path, {},
         fmt::format("holds {} and no {}: not a whole model", fmt::join(present, ", "), fmt::join(missing, ", ")),
         "see sdtorch inspect");
  }
  if (!found.obstacle.empty()) fail(ErrorKind::model, path, {}, "cannot be drawn with: " + found.obstacle);
}

void report(const fs::path& path, const Recognition& found) {
  for (const std::string& line : found.warnings) log_warning(fmt::format("{}: {}", path.string(), line));
  for (const auto& [kind, count] : found.left)
    log_detail(fmt::format("{}: not used: {} tensors of {}", path.string(), count, kind));
  if (found.unused.empty()) return;
  constexpr size_t most_listed = 5;
  const size_t listed = std::min(found.unused.size(), most_listed);
  log_warning(fmt::format("{}: {} tensors are not known and not used: {}{}", path.string(), found.unused.size(),
                          fmt::join(found.unused.begin(), found.unused.begin() + static_cast<ptrdiff_t>(listed), ", "),
                          listed < found.unused.size() ? ", …" : ""));
}

bool has_vocabulary(const fs::path& folder) {
  std::error_code ignored;
  return fs::exists(folder / "tokenizer.json", ignored) || fs::exists(folder / "vocab.json", ignored);
}

}  // namespace

SingleFile::SingleFile(const fs::path& path, const std::string& prediction) : path_(path) {
  KeySet keys;
  recognition_ = read(path, keys);
  if (recognition_.parts.empty()) {
    load_weights(path);  // of a file that is damaged that is the news
    refuse_kind(path, keys);
  }
  check_whole(path, recognition_);
  report(path, recognition_);
  if (!prediction.empty()) recognition_.prediction = prediction;
  prediction_known_ = !recognition_.prediction.empty();
  index_ = recognition_.kept ? recognition_.kept->index : published_config(recognition_.kind(), "model_index");
}

int64_t SingleFile::layers_used(const std::string& component) const {
  const StateDict& weights = part(component).weights;
  if (recognition_.kept && recognition_.kept->configs.contains(component)) return open_clip_layers(keys_of(weights));
  return open_clip_layers_used(*recognition_.family, weights);
}

const FilePart& SingleFile::part(const std::string& component) const {
  const auto found = recognition_.parts.find(component);
  if (found != recognition_.parts.end()) return found->second;
  fail(ErrorKind::model, path_, {}, fmt::format("holds no {}", described(component)),
       component == "vae" ? "give one with --vae" : "");
}

bool SingleFile::has(const std::string& component) const { return recognition_.parts.contains(component); }

std::string SingleFile::config_place(const std::string&) const { return path_.string(); }

json SingleFile::config(const std::string& component) const {
  const Recognition& found = recognition_;
  if (found.kept) {
    if (const auto kept = found.kept->configs.find(component); kept != found.kept->configs.end()) return kept->second;
  }
  json base = published_config(found.kind(), component);
  if (component == "vae") {
    if (found.scaling_factor) base["scaling_factor"] = *found.scaling_factor;
    return has(component) ? ldm_vae_config(part(component).weights, std::move(base)) : base;
  }
  if (component == "feature_extractor") {
    const json side = config("depth_estimator").value("image_size", json());
    if (side.is_number_integer()) base["size"] = {{"height", side}, {"width", side}};
    return base;
  }
  const FilePart& file_part = part(component);
  switch (file_part.style) {
    case PartStyle::ldm_unet: {
      AddedConditions added{.numbers = found.family == Family::sdxl_refiner ? 5 : 6};
      if (has("text_encoder_2") && part("text_encoder_2").weights.contains("text_projection")) {
        added.pooled = extent_of(part("text_encoder_2").weights, "text_projection", 1);
      }
      if (found.pixels) base["sample_size"] = std::max<int64_t>(1, *found.pixels / 8);
      return ldm_unet_config(file_part.weights, std::move(base), found.heads, added);
    }
    case PartStyle::clip:
      return clip_config(file_part.weights, std::move(base));
    case PartStyle::open_clip:
      return open_clip_config(file_part.weights, std::move(base),
                              open_clip_layers_used(*found.family, file_part.weights));
    case PartStyle::midas:
      return midas_config(file_part.weights, std::move(base));
    case PartStyle::ldm_vae:
    case PartStyle::other:
      break;
  }
  fail(ErrorKind::model, path_, component, "has no config");
}

json SingleFile::scheduler() const {
  const Recognition& found = recognition_;
  if (!prediction_known_) {
    fail(ErrorKind::model, path_, {}, found.doubt,
         found.family == Family::sd2
             ? "give --prediction epsilon (most models of 512 pixels) or --prediction v (most of 768)"
             : "give --prediction epsilon or --prediction v");
  }
  if (found.kept) {
    json config = found.kept->scheduler;
    config["prediction_type"] = found.prediction;
    return config;
  }
  json config = found.scheduler.is_object() ? found.scheduler : published_config(found.kind(), "scheduler");
  if (found.scheduler_changes.is_object()) config.merge_patch(found.scheduler_changes);
  config["prediction_type"] = found.prediction;
  if (found.zero_snr) {
    config["rescale_betas_zero_snr"] = true;
    // PNDM, the default of many, cannot start from pure noise.
    if (config["_class_name"] == "PNDMScheduler") config["_class_name"] = "DDIMScheduler";
  }
  return config;
}

StateDict SingleFile::weights(const std::string& component) const {
  const FilePart& file_part = part(component);
  verify_checksums(file_part.weights);
  switch (file_part.style) {
    case PartStyle::ldm_unet:
      return unet_from_ldm(file_part.weights, file_part.prefix);
    case PartStyle::ldm_vae:
      return vae_from_ldm(file_part.weights, file_part.prefix);
    case PartStyle::midas:
      return depth_estimator_from_midas(file_part.weights, file_part.prefix);
    case PartStyle::open_clip: {
      StateDict weights = clip_from_open_clip(file_part.weights, file_part.prefix, layers_used(component));
      // SD 2.x's encoder stops short of it.
      if (recognition_.family == Family::sd2) weights.erase("text_projection.weight");
      return weights;
    }
    case PartStyle::clip:
    case PartStyle::other:
      break;
  }
  return with_canonical_keys(file_part.weights);
}

fs::path tokenizer_beside(const fs::path& file, const std::string& component) {
  fs::path folder = file;
  return folder.replace_extension(component);
}

TokenizerPlace SingleFile::tokenizer(const std::string& component) const {
  if (recognition_.kept && recognition_.kept->tokenizers.contains(component)) {
    const fs::path folder = tokenizer_beside(path_, component);
    if (!is_folder(folder)) {
      fail(ErrorKind::model, folder, {},
           fmt::format("is missing: {} was converted with a {} of its own, which lies here", path_.filename().string(),
                       component));
    }
    return tokenizer_place(pipeline_kind(index_, path_.string()), folder);
  }
  const bool second = component == "tokenizer_2";
  const std::string encoder = second ? "text_encoder_2" : "text_encoder";
  const auto pad = published_config(recognition_.kind(), component).value("pad_token", std::string());
  const FilePart& file_part = part(encoder);
  const int64_t tokens = extent_of(
      file_part.weights,
      file_part.style == PartStyle::open_clip ? "token_embedding.weight" : "embeddings.token_embedding.weight", 0);
  if (tokens != clip_tokens) {
    const fs::path beside = path_.parent_path();
    for (const fs::path& folder : {beside / component, beside / "tokenizer"}) {
      if (has_vocabulary(folder)) return {.folder = folder, .pad_token = pad};
    }
    if (tokens < clip_tokens) {
      fail(ErrorKind::model, path_, file_part.prefix,
           fmt::format("the {} embeds {} tokens, CLIP's vocabulary has {}", described(encoder), tokens, clip_tokens),
           fmt::format("put the model's own vocab.json and merges.txt into {}", (beside / component).string()));
    }
  }
  const fs::path installed = share_folder() / "clip";
  if (!has_vocabulary(installed)) {
    fail(ErrorKind::model, installed / "vocab.json", {},
         "the CLIP vocabulary, which models in one file need, is missing", "set-up installs it: run scripts/bootstrap");
  }
  return {.folder = installed, .pad_token = pad};
}

}  // namespace sdtorch
