#include "cli/inspect_model.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <map>
#include <optional>
#include <set>
#include <utility>

#include "cli/inspect_part.hpp"
#include "core/dtype.hpp"
#include "core/paths.hpp"
#include "core/utf8.hpp"
#include "networks/config.hpp"
#include "weights/component_files.hpp"
#include "weights/key_names.hpp"
#include "weights/ldm_keys.hpp"
#include "weights/model_folder.hpp"
#include "weights/pipeline_kind.hpp"
#include "weights/recognition.hpp"

namespace sdtorch {
namespace {

using nlohmann::json;
using nlohmann::ordered_json;

struct Component {
  std::string class_name{};
  std::string keys{};  ///< the prefix of its keys in a file of several
  int64_t tensors = 0, parameters = 0, bytes = 0;
  std::set<std::string> types{};

  void add(const StateDict& weights) {
    for (const auto& [key, sourced] : weights) {
      if (is_no_weight(key)) continue;
      ++tensors;
      parameters += sourced.tensor.numel();
      bytes += static_cast<int64_t>(sourced.tensor.nbytes());
      types.insert(dtype_name(sourced.tensor.scalar_type()));
    }
  }

  ordered_json object() const {
    ordered_json entry = ordered_json::object();
    if (!class_name.empty()) entry["class"] = class_name;
    if (tensors == 0) return entry;
    if (!keys.empty()) entry["keys"] = keys;
    entry["tensors"] = tensors;
    entry["parameters"] = parameters;
    entry["bytes"] = bytes;
    entry["types"] = types;
    return entry;
  }
};

double mebibytes(int64_t bytes) { return static_cast<double>(bytes) / (1 << 20); }

std::string component_table(const std::map<std::string, Component>& components) {
  std::string table =
      fmt::format("\n{:<18} {:<28} {:>14} {:>9}  {}\n", "component", "class", "parameters", "MiB", "type");
  for (const auto& [name, component] : components) {
    std::string line = fmt::format("{:<18} {:<28}", harmless(name), harmless(component.class_name));
    if (component.tensors > 0) {
      line += fmt::format(" {:>14} {:>9.1f}  {}", component.parameters, mebibytes(component.bytes),
                          fmt::join(component.types, ", "));
      if (!component.keys.empty()) line += fmt::format("  {}*", harmless(component.keys));
    }
    line.erase(line.find_last_not_of(' ') + 1);
    table += line + "\n";
  }
  return table;
}

std::string finding_table(const std::vector<Finding>& findings) {
  std::string table;
  for (const auto& [what, value, why] : findings) {
    table += fmt::format("  {:<20} {:<24} {}\n", what, harmless(value), harmless(why));
  }
  return table;
}

ordered_json finding_list(const std::vector<Finding>& findings) {
  ordered_json list = ordered_json::array();
  for (const auto& [what, value, why] : findings) list.push_back({{"what", what}, {"value", value}, {"why", why}});
  return list;
}

void add_components(const std::map<std::string, Component>& components, ModelReport& report) {
  report.object["components"] = ordered_json::object();
  for (const auto& [name, component] : components) report.object["components"][name] = component.object();
  report.text += component_table(components);
}

/// What a folder's configs tell: the same questions that a single file's names and shapes answer.
class FolderFindings {
 public:
  explicit FolderFindings(const ModelFolder& folder)
      : folder_(folder), unet_(folder.config("unet")), vae_(folder.config("vae")), scheduler_(folder.scheduler()) {
    tell_family();
    tell_task();
    tell_prediction();
    tell_scale();
    tell_depth();
  }

  std::vector<Finding> findings{};
  std::string family, task, prediction;

 private:
  static int64_t integer(const json& config, const char* key, int64_t fallback) {
    const auto found = config.find(key);
    return found != config.end() && found->is_number_integer() ? found->get<int64_t>() : fallback;
  }

  void find(std::string what, std::string value, std::string why) {
    findings.push_back({std::move(what), std::move(value), std::move(why)});
  }

  void tell_family() {
    const std::string pipeline = pipeline_class(folder_.index());
    std::string why = fmt::format("model_index.json: {}", pipeline);
    const auto class_of = [&](const char* name) {
      const auto entry = folder_.index().find(name);
      const bool named = entry != folder_.index().end() && entry->is_array() && entry->size() == 2;
      return named && (*entry)[1].is_string() ? (*entry)[1].get<std::string>() : std::string();
    };
    const std::string encoder = class_of("text_encoder"), tokenizer = class_of("tokenizer");
    if (folder_.has("text_encoder_2")) {
      const bool base = folder_.has("text_encoder");
      family = name_of(base ? Family::sdxl : Family::sdxl_refiner);
      why += base ? " with two text encoders" : " with the second text encoder alone";
    } else if (encoder == roberta_text_encoder) {
      family = "AltDiffusion";
      why = fmt::format("model_index.json: text_encoder is {}", encoder);
    } else if (tokenizer.starts_with("T5Tokenizer")) {
      family = "Japanese Stable Diffusion";
      why += fmt::format(", text_encoder is {}", encoder);
    } else if (!encoder.empty() && encoder != "CLIPTextModel") {
      family = "a Stable Diffusion with another text encoder";
      why = fmt::format("model_index.json: text_encoder is {}", encoder);
    } else {
      const bool linear = unet_.value("use_linear_projection", json(false)) == json(true);
      family = name_of(linear ? Family::sd2 : Family::sd1);
      why += fmt::format(", unet/config.json: use_linear_projection is {}", linear);
    }
    if (!tokenizer.empty() && !tokenizer.starts_with("CLIP")) why += fmt::format(", tokenizer is {}", tokenizer);
    find("family", family, why);
  }

  void tell_task() {
    const int64_t channels = integer(unet_, "in_channels", 4), latent = integer(unet_, "out_channels", 4);
    task = "unknown";
    for (const Task known : {Task::text_to_image, Task::inpainting, Task::depth, Task::instruct_pix2pix}) {
      if (channels == latent + extra_channels(known, latent)) task = name_of(known);
    }
    find("task", task, fmt::format("unet/config.json: in_channels {}, out_channels {}", channels, latent));
  }

  void tell_prediction() {
    const auto found = scheduler_.find("prediction_type");
    const bool said = found != scheduler_.end() && found->is_string();
    prediction = said ? found->get<std::string>() : "epsilon";
    find("prediction", prediction,
         said ? "scheduler/scheduler_config.json: prediction_type"
              : "the scheduler's default, and nothing says otherwise");
    if (scheduler_.value("rescale_betas_zero_snr", json(false)) == json(true)) {
      find("zero terminal SNR", "yes", "scheduler/scheduler_config.json: rescale_betas_zero_snr");
    }
    find("scheduler", folder_.scheduler_class(), "model_index.json");
    if (unet_.contains("time_cond_proj_dim") && unet_["time_cond_proj_dim"].is_number()) {
      find("distilled", "yes", "unet/config.json: time_cond_proj_dim");
    }
  }

  void tell_scale() {
    const auto scale = vae_.find("scaling_factor");
    const bool said = scale != vae_.end() && scale->is_number();
    find("VAE scale", said ? scale->dump() : fmt::format("{}", VaeConfig{}.scaling_factor),
         said ? "vae/config.json: scaling_factor" : "diffusers' default");
    const auto levels = vae_.find("block_out_channels");
    const size_t halvings = levels != vae_.end() && levels->is_array() && !levels->empty() ? levels->size() - 1 : 3;
    const int64_t latent = integer(unet_, "sample_size", 64), pixels = latent << std::min<size_t>(halvings, 16);
    find("own size", fmt::format("{} by {} pixels", pixels, pixels),
         fmt::format("unet/config.json: sample_size {}, and the VAE halves {} times", latent, halvings));
  }

  void tell_depth() {
    if (folder_.has("depth_estimator")) {
      find("depth", "estimated", "model_index.json: depth_estimator");
    } else if (task == name_of(Task::depth)) {
      find("depth", "not estimated", "no depth_estimator: draw with --depth-img or --depth-estimator");
    }
  }

  const ModelFolder& folder_;
  json unet_, vae_, scheduler_;
};

const char* class_of(PartStyle style, const std::string& component) {
  switch (style) {
    case PartStyle::ldm_unet:
      return "UNet2DConditionModel";
    case PartStyle::ldm_vae:
      return "AutoencoderKL";
    case PartStyle::clip:
      return "CLIPTextModel";
    case PartStyle::open_clip:
      return component == "text_encoder_2" ? "CLIPTextModelWithProjection" : "CLIPTextModel";
    case PartStyle::midas:
      return "DPTForDepthEstimation";
    case PartStyle::other:
      break;
  }
  return "";
}

bool is_whole(const Recognition& found) {
  if (!found.family || !found.parts.contains("unet")) return false;
  const std::vector<std::string> encoders = text_encoders_of(*found.family);
  return std::ranges::all_of(encoders, [&](const std::string& name) { return found.parts.contains(name); });
}

/// "Stable Diffusion 1.x, inpainting, predicts epsilon", or the parts that it holds.
std::string headline(const Recognition& found) {
  std::vector<std::string> names;
  for (const auto& [name, part] : found.parts) names.push_back(name);
  std::string line = is_whole(found) ? "" : fmt::format("holds only {}; ", fmt::join(names, ", "));
  if (!found.family) return line + "of any family";
  line += fmt::format("{}, {}", name_of(*found.family), name_of(found.task));
  if (!found.parts.contains("unet")) return line;
  return line + (found.prediction.empty() ? ", epsilon or v is not told: give --prediction"
                                          : ", predicts " + found.prediction);
}

void add_remains(const Recognition& found, ModelReport& report) {
  ordered_json& object = report.object;
  std::vector<std::string> unknown = found.unused;
  for (const auto& [name, part] : found.parts) {
    const std::vector<std::string> inside = unknown_keys(part);
    unknown.insert(unknown.end(), inside.begin(), inside.end());
  }
  object["left"] = found.left;
  int64_t ema = 0;
  for (const auto& [kind, count] : found.left) {
    if (kind.starts_with("model_ema")) ema += count;
    report.text += fmt::format("\nnot used: {} tensors of {}", count, kind);
  }
  object["ema"] = ema;
  object["unused"] = unknown;
  if (ema == 0) report.text += "\nno moving averages (model_ema.*) in it";
  if (unknown.empty()) {
    report.text += "\nno unknown keys\n";
    return;
  }
  constexpr size_t most_listed = 20;
  report.text += fmt::format("\n{} unknown keys, not used:\n", unknown.size());
  for (size_t i = 0; i < std::min(unknown.size(), most_listed); ++i) {
    report.text += fmt::format("  {}\n", harmless(unknown[i]));
  }
  if (unknown.size() > most_listed) report.text += fmt::format("  … and {} more\n", unknown.size() - most_listed);
}

/// A config's own class: diffusers', or transformers' first.
std::string class_in(const json& config) {
  const auto text = [](const json& value) { return value.is_string() ? value.get<std::string>() : std::string(); };
  if (!config.is_object()) return {};
  for (const char* key : {"_class_name", "tokenizer_class", "image_processor_type", "feature_extractor_type"}) {
    if (config.contains(key)) return text(config[key]);
  }
  const auto found = config.find("architectures");
  return found != config.end() && found->is_array() && !found->empty() ? text(found->front()) : std::string();
}

void add_findings(const std::vector<Finding>& findings, ModelReport& report) {
  report.object["findings"] = finding_list(findings);
  report.text += finding_table(findings);
}

/// What the folder of one component holds; nothing where the folder is none.
std::optional<ModelReport> report_component(const std::filesystem::path& path) {
  struct Kind {
    const char *file, *name;
    bool weights;
  };
  constexpr Kind kinds[] = {{"scheduler_config.json", "a scheduler", false},
                            {"tokenizer_config.json", "a tokenizer", false},
                            {"vocab.json", "a tokenizer", false},
                            {"tokenizer.json", "a tokenizer", false},
                            {"adapter_config.json", "an adapter, such as a LoRA, in PEFT's layout", false},
                            {"config.json", "a component", true},
                            {"preprocessor_config.json", "an image processor", false}};
  if (is_there(path / "model_index.json")) return std::nullopt;
  for (const Kind& kind : kinds) {
    if (!is_there(path / kind.file)) continue;
    const json config = load_config(path / kind.file);
    const std::string class_name = class_in(config);
    const std::optional<PartDescription> part = describe_part(config, class_name);
    Component component{.class_name = class_name};
    if (kind.weights) component.add(load_component(path));
    const std::string name = part ? part->name : kind.name;
    ModelReport report{.object = {{"path", path.string()}, {"kind", "component"}, {"description", name}}};
    report.object.update(component.object());
    report.text = fmt::format("{}: {}{}{}\n", harmless(path.string()), name,
                              class_name.empty() ? "" : fmt::format(" ({})", harmless(class_name)),
                              part ? "" : " of a diffusers model, not a whole one");
    if (component.tensors > 0) {
      report.text += fmt::format("{} tensors, {} parameters, {:.1f} MiB, {}\n", component.tensors, component.parameters,
                                 mebibytes(component.bytes), fmt::join(component.types, ", "));
    }
    if (part) add_findings(part->findings, report);
    return report;
  }
  return std::nullopt;
}

void add_metadata(const std::map<std::string, std::string>& metadata, ModelReport& report) {
  report.object["metadata"] = metadata;
  constexpr size_t longest = 60;
  std::string lines;
  for (const auto& [key, value] : metadata) {
    const std::string shown = value.size() > longest ? value.substr(0, longest) + "…" : value;
    if (key.starts_with("modelspec.") || key == "global_step" || key == "format" || key.starts_with("ss_base_model")) {
      lines += fmt::format("  {:<28} {}\n", harmless(key), harmless(shown));
    }
  }
  if (!lines.empty()) report.text += "\nmetadata\n" + lines;
}

}  // namespace

ModelReport report_folder(const std::filesystem::path& path) {
  if (auto component = report_component(path)) return std::move(*component);
  const ModelFolder folder(path);
  std::map<std::string, Component> components;
  for (const auto& [name, entry] : folder.index().items()) {
    const bool named = entry.is_array() && entry.size() == 2 && entry[1].is_string();
    if (!named) continue;
    Component& component = components[name];
    component.class_name = entry[1].get<std::string>();
    const bool network = name == "unet" || name == "vae" || name.starts_with("text_encoder") ||
                         name == "depth_estimator" || name == "controlnet" || name == "adapter";
    if (network && is_folder(folder.component(name))) component.add(folder.weights(name));
  }
  const FolderFindings found(folder);
  ModelReport report{.object = {{"path", path.string()},
                                {"kind", "model"},
                                {"layout", "folder"},
                                {"family", found.family},
                                {"task", found.task},
                                {"prediction", found.prediction},
                                {"findings", finding_list(found.findings)}}};
  report.text = fmt::format("{}: {}, {}, predicts {}; a diffusers folder\n", harmless(path.string()), found.family,
                            found.task, harmless(found.prediction));
  report.text += finding_table(found.findings);
  add_components(components, report);
  return report;
}

ModelReport report_weights_file(const std::filesystem::path& path) {
  WeightsFile file = load_weights(path);
  const std::string format(name_of(file.format));
  ModelReport report{.object = {{"path", path.string()}, {"kind", "weights"}, {"format", format}}};
  const std::string name = harmless(path.string());
  Component all;
  all.add(file.tensors);
  const std::string total = fmt::format("{}, {} tensors, {:.1f} MiB", format, all.tensors, mebibytes(all.bytes));
  const std::map<std::string, std::string> metadata = file.metadata;
  const std::string under = file.found_under;
  const KeySet keys = keys_of(file.tensors);
  const std::optional<PartDescription> beside = describe_part_file(file.tensors, path);
  const Recognition found = recognize(std::move(file), path);

  std::string in_checkpoint;
  if (!under.empty()) in_checkpoint = fmt::format(", under {:?}", harmless(under));
  if (found.parts.empty()) {
    const std::string kind = kind_of_weights(keys);
    report.object["description"] = kind.empty() ? "unknown" : kind;
    report.object.update(all.object());
    report.text = fmt::format("{}: {}\n{}{}; {} parameters, {}\n", name, kind.empty() ? "of no kind known here" : kind,
                              total, in_checkpoint, all.parameters, fmt::join(all.types, ", "));
    constexpr size_t most_listed = 5;
    size_t listed = 0;
    for (const std::string& key : keys) {
      if (++listed > most_listed) break;
      if (!beside) report.text += fmt::format("  {}\n", harmless(key));
    }
    if (beside) add_findings(beside->findings, report);
    add_metadata(metadata, report);
    return report;
  }

  report.object["kind"] = is_whole(found) ? "model" : "part";
  report.object["layout"] = "single file";
  if (found.family) {
    report.object["family"] = name_of(*found.family);
    report.object["task"] = name_of(found.task);
  }
  report.object["prediction"] = found.prediction.empty() ? json() : json(found.prediction);
  if (!found.obstacle.empty()) report.object["obstacle"] = found.obstacle;
  report.object["findings"] = finding_list(found.findings);
  report.text = fmt::format("{}: {}\n{}{}\n", name, headline(found), total, in_checkpoint);
  if (!found.obstacle.empty()) report.text += "cannot be drawn with: " + harmless(found.obstacle) + "\n";
  report.text += finding_table(found.findings);
  std::map<std::string, Component> components;
  for (const auto& [component, part] : found.parts) {
    components[component] = {.class_name = class_of(part.style, component), .keys = part.prefix};
    components[component].add(part.weights);
  }
  add_components(components, report);
  add_remains(found, report);
  add_metadata(metadata, report);
  return report;
}

}  // namespace sdtorch
