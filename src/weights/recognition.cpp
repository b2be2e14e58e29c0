#include "weights/recognition.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cctype>
#include <charconv>
#include <cmath>
#include <optional>
#include <string_view>
#include <utility>

#include "core/number.hpp"
#include "weights/beside_weights.hpp"
#include "weights/ldm_keys.hpp"
#include "weights/sidecar.hpp"

namespace sdtorch {
namespace {

/// A component is where its probe is, behind the prefix. Of rules for one component the first counts.
struct PartRule {
  std::string_view component, prefix, probe;
  PartStyle style;
};

constexpr std::string_view unet_probe = "input_blocks.0.0.weight";
constexpr std::string_view vae_probe = "decoder.mid.block_1.conv1.weight";
constexpr std::string_view clip_probe = "embeddings.token_embedding.weight";
constexpr std::string_view open_clip_probe = "token_embedding.weight";

constexpr PartRule part_rules[] = {
    {"unet", "model.diffusion_model.", unet_probe, PartStyle::ldm_unet},
    {"unet", "diffusion_model.", unet_probe, PartStyle::ldm_unet},
    {"unet", "", unet_probe, PartStyle::ldm_unet},
    {"vae", "first_stage_model.", vae_probe, PartStyle::ldm_vae},
    {"vae", "vae.", vae_probe, PartStyle::ldm_vae},
    {"vae", "", vae_probe, PartStyle::ldm_vae},
    {"text_encoder", "cond_stage_model.transformer.text_model.", clip_probe, PartStyle::clip},
    {"text_encoder", "cond_stage_model.transformer.", clip_probe, PartStyle::clip},
    {"text_encoder", "cond_stage_model.model.", open_clip_probe, PartStyle::open_clip},
    {"text_encoder", "conditioner.embedders.0.transformer.text_model.", clip_probe, PartStyle::clip},
    {"text_encoder", "conditioner.embedders.0.transformer.", clip_probe, PartStyle::clip},
    {"text_encoder_2", "conditioner.embedders.1.model.", open_clip_probe, PartStyle::open_clip},
    {"text_encoder_2", "conditioner.embedders.0.model.", open_clip_probe, PartStyle::open_clip},
    {"depth_estimator", "depth_model.", "model.pretrained.model.cls_token", PartStyle::midas},
};

/// What the names of models that sdtorch knows of, and cannot draw with, begin with.
constexpr std::pair<std::string_view, const char*> obstacles[] = {
    {"edm_vpred", "it predicts v of EDM's noise levels (Karras et al. 2022; CosXL), and that is not implemented"},
    {"edm_mean", "it denoises as EDM does (Karras et al. 2022; Playground v2.5), and that is not implemented"},
    {"edm_sigma", "it denoises as EDM does (Karras et al. 2022), and that is not implemented"},
    {"edm_std", "it denoises as EDM does (Karras et al. 2022; Playground v2.5), and that is not implemented"},
    {"noise_augmentor.", "it is an unCLIP model, which draws from pictures"},
};

/// Training steps of published SD 2.x checkpoints, from their model cards, and what these predict.
constexpr std::pair<std::string_view, const char*> sd2_steps[] = {
    {"875000", "epsilon"}, {"220000", "epsilon"}, {"110000", "v_prediction"}};

class Recognizer {
 public:
  Recognizer(WeightsFile file, const std::filesystem::path& path)
      : file_(std::move(file)), path_(path), keys_(keys_of(file_.tensors)) {}

  Recognition run() {
    take_apart();
    if (found_.parts.empty()) return std::move(found_);
    found_.kept = kept_model(file_.metadata, path_.string());
    tell_family();
    tell_task();
    tell_obstacle();
    if (found_.family && part("unet")) {
      tell_prediction();
      tell_consistency();
      if (!found_.kept) {  // which says that, too
        tell_heads();
        tell_scale();
        tell_size();
      }
    }
    return std::move(found_);
  }

 private:
  void find(std::string what, std::string_view value, std::string why) {
    found_.findings.push_back({std::move(what), std::string(value), std::move(why)});
  }

  const FilePart* part(const std::string& component) const {
    const auto found = found_.parts.find(component);
    return found == found_.parts.end() ? nullptr : &found->second;
  }

  std::string full(const std::string& component, std::string_view key) const {
    return part(component)->prefix + std::string(key);
  }

  void take_apart() {
    for (const PartRule& rule : part_rules) {
      const std::string component(rule.component);
      if (found_.parts.contains(component) || !keys_.contains(std::string(rule.prefix).append(rule.probe))) continue;
      const bool bare_control_net = rule.prefix.empty() && keys_.contains("input_hint_block.0.weight");
      if (!bare_control_net) found_.parts[component] = {.prefix = std::string(rule.prefix), .style = rule.style};
    }
    for (auto& [key, weight] : file_.tensors) {
      if (const std::string kind = kind_beside_weights(key); !kind.empty()) {
        ++found_.left[kind];
        continue;
      }
      FilePart* owner = nullptr;
      for (auto& [component, candidate] : found_.parts) {
        const bool longer = !owner || candidate.prefix.size() > owner->prefix.size();
        if (key.starts_with(candidate.prefix) && longer) owner = &candidate;
      }
      if (owner) {
        owner->weights.emplace(key.substr(owner->prefix.size()), weight);
      } else {
        found_.unused.push_back(key);
      }
    }
  }

  void tell_family() {
    const auto is = [&](Family family, std::string why) {
      found_.family = family;
      find("family", name_of(family), std::move(why));
    };
    const FilePart *text = part("text_encoder"), *second = part("text_encoder_2"), *unet = part("unet");
    if (second) {
      const bool base = second->prefix.find(".1.") != std::string::npos;
      return is(base ? Family::sdxl : Family::sdxl_refiner,
                fmt::format("{}* is an OpenCLIP text encoder, {}", second->prefix,
                            base ? "the second of two" : "and there is no other"));
    }
    if (text && text->prefix.starts_with("cond_stage_model.")) {
      const bool open_clip = text->style == PartStyle::open_clip;
      return is(open_clip ? Family::sd2 : Family::sd1,
                fmt::format("{}* is {} text encoder", text->prefix, open_clip ? "an OpenCLIP" : "a CLIP"));
    }
    if (!unet) return;
    if (unet->weights.contains("label_emb.0.0.weight")) {
      constexpr size_t refiner_levels = 4;
      const size_t levels = ldm_unet_layout(keys_of(unet->weights)).down.size();
      return is(levels == refiner_levels ? Family::sdxl_refiner : Family::sdxl,
                fmt::format("the U-Net has label_emb.* and {} levels", levels));
    }
    const bool linear = std::ranges::any_of(unet->weights, [](const auto& item) {
      return item.first.ends_with(".proj_in.weight") && item.second.tensor.dim() == 2;
    });
    is(linear ? Family::sd2 : Family::sd1,
       fmt::format("the U-Net's proj_in.weight are {}, and there is no text encoder to tell more",
                   linear ? "matrices" : "convolutions"));
  }

  void tell_task() {
    const FilePart* unet = part("unet");
    if (!unet) return;
    if (!unet->weights.contains("out.2.weight")) {
      found_.obstacle = full("unet", "out.2.weight") + " is missing";
      return;
    }
    const int64_t channels = extent_of(unet->weights, std::string(unet_probe), 1);
    const int64_t latent = extent_of(unet->weights, "out.2.weight", 0);
    for (const Task task : {Task::text_to_image, Task::inpainting, Task::depth, Task::instruct_pix2pix}) {
      if (channels != latent + extra_channels(task, latent)) continue;
      found_.task = task;
      return find("task", name_of(task),
                  fmt::format("{} takes {} channels and {} gives {}", full("unet", unet_probe), channels,
                              full("unet", "out.2.weight"), latent));
    }
    found_.obstacle = fmt::format("its U-Net takes {} channels for {} of the latent, and that is no task known here",
                                  channels, latent);
  }

  void tell_obstacle() {
    for (const auto& [start, reason] : obstacles) {
      const auto found = keys_.lower_bound(start);
      if (found != keys_.end() && found->starts_with(start)) found_.obstacle = fmt::format("{} ({})", reason, *found);
    }
    if (const std::string kind = normal(metadata("modelspec.architecture")); kind.find("edm") != std::string::npos) {
      found_.obstacle = fmt::format("it denoises as EDM does, and that is not implemented ({})", kind);
    }
    tell_wide_levels();
  }

  /// Noise levels of another process than the families', whose last is 14.6.
  void tell_wide_levels() {
    const auto found = file_.tensors.find("denoiser.sigmas");
    if (found == file_.tensors.end() || !found->second.tensor.is_floating_point()) return;
    if (found->second.verify) found->second.verify();
    if (found->second.tensor.numel() == 0) return;
    constexpr double widest = 20;
    const auto most = found->second.tensor.max().item<double>();
    const bool ends_in_noise_alone = most > 1000;  // zero terminal SNR, as its levels are written
    if (most > widest && !ends_in_noise_alone) {
      found_.obstacle = fmt::format("its denoiser.sigmas reach {:.4g}, the families' 14.61: another process", most);
    }
  }

  void predicts(std::string_view prediction, std::string why) {
    found_.prediction = prediction;
    find("prediction", prediction, std::move(why));
  }

  void predicts_unknown(const std::string& value, const std::string& where) {
    found_.doubt = fmt::format("{} is '{}', which is no prediction known here", where, value);
    find("prediction", "not told", found_.doubt + "; give --prediction");
  }

  /// In lower case, without spaces around, `-` as `_`.
  static std::string normal(std::string_view value) {
    std::string text;
    for (const char c : value) {
      if (c != ' ') text += c == '-' ? '_' : static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
    }
    return text;
  }

  /// Yes or no, as Python, JSON and people write it, or nothing.
  static std::optional<bool> truth_of(std::string_view value) {
    const std::string text = normal(value);
    if (text == "true" || text == "1" || text == "yes" || text == "on") return true;
    if (text == "false" || text == "0" || text == "no" || text == "off") return false;
    return std::nullopt;
  }

  /// The prediction that a free spelling means, or nothing.
  static std::string prediction_of(std::string_view value) {
    const std::string text = normal(value);
    for (const char* name : {"v", "v_prediction", "v_pred", "vpred", "vprediction", "velocity"}) {
      if (text == name) return "v_prediction";
    }
    for (const char* name : {"eps", "epsilon", "eps_prediction"}) {
      if (text == name) return "epsilon";
    }
    for (const char* name : {"x0", "sample", "original_sample"}) {
      if (text == name) return "sample";
    }
    return {};
  }

  /// Takes the value for the prediction, known or not; false where there is none.
  bool predicts_as(const std::string& value, const std::string& where) {
    if (value.empty()) return false;
    const std::string prediction = prediction_of(value);
    if (prediction.empty()) return predicts_unknown(value, where), true;
    return predicts(prediction, where), true;
  }

  std::string metadata(const char* key) const {
    const auto found = file_.metadata.find(key);
    return found == file_.metadata.end() ? std::string() : found->second;
  }

  bool predicts_by_metadata() {
    for (const char* key : {"modelspec.prediction_type", "modelspec.predict_key", "prediction_type"}) {
      if (predicts_as(metadata(key), fmt::format("the metadata's {}", key))) return true;
    }
    if (const std::string v = metadata("ss_v_parameterization"); !v.empty() && v != "None") {
      const std::string where = "the metadata's ss_v_parameterization";
      if (const auto said = truth_of(v)) return predicts(*said ? "v_prediction" : "epsilon", where), true;
      return predicts_unknown(v, where), true;
    }
    constexpr std::pair<const char*, std::pair<std::string_view, const char*>> starts[] = {
        {"modelspec.architecture", {"stable-diffusion-v2-768-v", "v_prediction"}},
        {"modelspec.architecture", {"stable-diffusion-v2-512", "epsilon"}},
        {"ss_base_model_version", {"sd_v2_v", "v_prediction"}},
        {"ss_base_model_version", {"sd_v2_768_v", "v_prediction"}},
        {"ss_base_model_version", {"sd_v2", "epsilon"}},
    };
    for (const auto& [key, rule] : starts) {
      const std::string value = metadata(key);
      if (!value.starts_with(rule.first)) continue;
      return predicts(rule.second, fmt::format("the metadata's {}, {}", key, value)), true;
    }
    return false;
  }

  /// Numbers that no tensor tells.
  void read_sidecar() {
    sidecar_ = find_sidecar(path_);
    if (!sidecar_) return;
    beside_ = sidecar_->file.filename().string() + " beside the file: ";
    if (const auto value = sidecar_->find("num_heads"); value && parse_int(*value).value_or(0) > 0) {
      found_.heads.heads = *parse_int(*value);
    }
    if (const auto value = sidecar_->find("num_head_channels"); value && parse_int(*value).value_or(0) > 0) {
      found_.heads = {.heads = 0, .channels = *parse_int(*value)};
    }
    if (const auto value = sidecar_->find("scale_factor"); value && parse_real(*value).value_or(0) > 0) {
      found_.scaling_factor = parse_real(*value);
    }
    read_scheduler();
  }

  void read_scheduler() {
    const nlohmann::json& document = sidecar_->document;
    const auto name = document.is_object() ? document.find("_class_name") : document.end();
    if (document.is_object() && name != document.end() && name->is_string() &&
        name->get_ref<const std::string&>().ends_with("Scheduler")) {
      found_.scheduler = document;
      return find("scheduler", name->get<std::string>(), beside_ + "_class_name");
    }
    constexpr std::pair<const char*, const char*> numbers[] = {
        {"linear_start", "beta_start"},       {"linear_end", "beta_end"},
        {"beta_start", "beta_start"},         {"beta_end", "beta_end"},
        {"timesteps", "num_train_timesteps"}, {"num_train_timesteps", "num_train_timesteps"},
    };
    const nlohmann::json usual = published_config(found_.kind(), "scheduler");
    for (const auto& [theirs, ours] : numbers) {
      const auto value = sidecar_->find(theirs);
      const auto number = value ? parse_real(*value) : std::nullopt;
      if (!number || *number == usual.value(ours, 0.0)) continue;
      const auto whole = parse_int(*value);
      found_.scheduler_changes[ours] = whole ? nlohmann::json(*whole) : nlohmann::json(*number);
      find(ours, *value, beside_ + theirs);
    }
    if (const auto value = sidecar_->find("timestep_spacing")) {
      found_.scheduler_changes["timestep_spacing"] = *value;
      find("timestep spacing", *value, beside_ + "timestep_spacing");
    }
  }

  bool predicts_by_sidecar() {
    if (!sidecar_) return false;
    for (const char* key : {"parameterization", "prediction_type"}) {
      if (predicts_as(sidecar_->find(key).value_or(""), beside_ + key)) return true;
    }
    const std::string scaling = sidecar_->find("scaling_config.target").value_or("");
    if (scaling.ends_with("VScaling")) return predicts("v_prediction", beside_ + scaling), true;
    if (scaling.ends_with("EpsScaling")) return predicts("epsilon", beside_ + scaling), true;
    if (found_.scheduler.is_object())
      return predicts("epsilon", beside_ + "no prediction_type, and that is epsilon"), true;
    const std::string target = sidecar_->find("model.target").value_or("");
    if (!target.starts_with("ldm.models.diffusion.")) return false;
    return predicts("epsilon", fmt::format("{}{} without parameterization, and that is eps", beside_, target)), true;
  }

  bool ends_at_zero_snr() {
    if (keys_.contains("ztsnr")) return find("zero terminal SNR", "yes", "the key ztsnr"), true;
    if (truth_of(metadata("ss_zero_terminal_snr")).value_or(false)) {
      return find("zero terminal SNR", "yes", "the metadata's ss_zero_terminal_snr"), true;
    }
    for (const char* key : {"rescale_betas_zero_snr", "zero_terminal_snr", "ztsnr", "zsnr"}) {
      const std::string value = sidecar_ ? sidecar_->find(key).value_or("") : "";
      if (truth_of(value).value_or(false)) return find("zero terminal SNR", "yes", beside_ + key), true;
    }
    const auto found = file_.tensors.find("alphas_cumprod");
    if (found == file_.tensors.end() || found->second.tensor.dim() != 1 || found->second.tensor.numel() == 0)
      return false;
    const at::Tensor& schedule = found->second.tensor;
    constexpr double practically_zero = 1e-7;
    if (!schedule.is_floating_point()) return false;
    if (found->second.verify) found->second.verify();
    const auto last = schedule[-1].item<double>();
    if (last <= practically_zero) return find("zero terminal SNR", "yes", "alphas_cumprod ends at 0"), true;
    compare_schedules(last);
    return false;
  }

  /// The family's schedule is what draws, and a converted folder's; a file trained with another one had better say so.
  void compare_schedules(double last) {
    constexpr double published = 0.00466, tolerance = 0.01;  // scaled_linear, 0.00085 to 0.012 in 1000 steps
    if (std::abs(last - published) < tolerance * published) return;
    const std::string why = fmt::format("alphas_cumprod ends at {:.5g}, the family's at {:.5g}", last, published);
    find("noise schedule", "not the family's", why + "; drawn with the family's");
    found_.warnings.push_back(why + ": drawn with the family's noise schedule");
  }

  void predicts_as_kept() {
    const nlohmann::json& scheduler = found_.kept->scheduler;
    const std::string where = "the metadata's sdtorch.model, of what the file was converted from";
    const auto prediction = scheduler.find("prediction_type");
    const bool said = prediction != scheduler.end() && prediction->is_string();
    predicts_as(said ? prediction->get<std::string>() : "epsilon", where);
    const auto zero = scheduler.find("rescale_betas_zero_snr");
    found_.zero_snr = zero != scheduler.end() && *zero == true;
    if (found_.zero_snr) find("zero terminal SNR", "yes", where);
  }

  void tell_prediction() {
    found_.heads.heads = unet_heads(*found_.family);
    found_.heads.channels = channels_a_head;
    if (found_.kept) return predicts_as_kept();
    read_sidecar();
    found_.zero_snr = ends_at_zero_snr();
    if (keys_.contains("v_pred")) return predicts("v_prediction", "the key v_pred");
    if (predicts_by_metadata() || predicts_by_sidecar()) return;
    if (found_.family != Family::sd2) return predicts("epsilon", "the family's, and nothing says otherwise");
    if (found_.task != Task::text_to_image) {
      return predicts("epsilon", fmt::format("SD 2.x's {} models do", name_of(found_.task)));
    }
    const std::string step = metadata("global_step");
    for (const auto& [steps, prediction] : sd2_steps) {
      if (step == steps) {
        return predicts(prediction, fmt::format("global_step {} is that of a published model", steps));
      }
    }
    found_.doubt = "nothing tells whether this SD 2.x model predicts epsilon or v: both have the same names and shapes";
    find("prediction", "not told", "SD 2.x models of either kind have the same names and shapes; give --prediction");
  }

  void tell_consistency() {
    for (const auto& [key, weight] : part("unet")->weights) {
      if (!key.ends_with(".cond_proj.weight")) continue;
      found_.consistency = true;
      return find("distilled", "yes", full("unet", key) + " takes the guidance scale (a latent consistency model)");
    }
  }

  void tell_heads() {
    const HeadRule& rule = found_.heads;
    const bool of_family =
        rule.heads == unet_heads(*found_.family) && (rule.heads > 0 || rule.channels == channels_a_head);
    find("U-Net attention",
         rule.heads > 0 ? fmt::format("{} heads", rule.heads) : fmt::format("{} channels a head", rule.channels),
         of_family ? "the family's rule" : "the settings file beside the model");
    const FilePart* text = part("text_encoder");
    if (!text || text->style != PartStyle::open_clip) return;
    const int64_t layers = open_clip_layers(keys_of(text->weights));
    const int64_t used = open_clip_layers_used(*found_.family, text->weights);
    find("text encoder layers", fmt::format("{} of {}", used, layers),
         used < layers ? "SD 2.x reads the last but one" : "there is no projection, so those that are read are all");
  }

  void tell_scale() {
    const auto usual = published_config(found_.kind(), "vae").at("scaling_factor").get<double>();
    find("VAE scale", fmt::format("{}", found_.scaling_factor.value_or(usual)),
         found_.scaling_factor ? beside_ + "scale_factor" : "the family's");
  }

  void tell_size() {
    const auto found = file_.metadata.find("modelspec.resolution");
    if (found == file_.metadata.end()) return;
    const size_t x = found->second.find('x');
    const auto width = parse_int(found->second.substr(0, x));
    if (!width || *width < 1 || *width > 1 << 14) return;
    if (x != std::string::npos && found->second.substr(x + 1) != found->second.substr(0, x)) return;
    found_.pixels = *width;
    find("size", fmt::format("{} pixels", *width), "the metadata's modelspec.resolution");
  }

  WeightsFile file_;
  const std::filesystem::path& path_;
  KeySet keys_;
  Recognition found_{};
  std::optional<Sidecar> sidecar_{};
  std::string beside_{};  ///< where it says what it says
};

}  // namespace

ModelKind Recognition::kind() const {
  return {.family = family.value_or(Family::sd1),
          .task = task,
          .prediction = prediction.empty() ? std::string("epsilon") : prediction,
          .consistency = consistency};
}

std::vector<std::string> unknown_keys(const FilePart& part) {
  const KeySet keys = keys_of(part.weights);
  std::optional<KeyTable> table;
  if (part.style == PartStyle::ldm_unet) table = unet_key_table(ldm_unet_layout(keys));
  if (part.style == PartStyle::ldm_vae) table = vae_key_table(ldm_vae_layout(keys));
  std::vector<std::string> unknown;
  for (const std::string& key : keys) {
    if (table && !table->to_ours(key)) unknown.push_back(part.prefix + key);
  }
  return unknown;
}

int64_t open_clip_layers_used(Family family, const StateDict& weights) {
  const int64_t layers = open_clip_layers(keys_of(weights));
  constexpr int64_t published = 24;
  const bool whole = weights.contains("text_projection") || layers == published;
  return family == Family::sd2 && whole && layers > 1 ? layers - 1 : layers;
}

Recognition recognize(WeightsFile file, const std::filesystem::path& path) {
  return Recognizer(std::move(file), path).run();
}

}  // namespace sdtorch
