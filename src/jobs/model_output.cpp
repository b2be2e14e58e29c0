#include "jobs/model_output.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <string_view>
#include <system_error>
#include <utility>

#include "core/error.hpp"
#include "core/interrupt.hpp"
#include "core/log.hpp"
#include "core/paths.hpp"
#include "core/suggest.hpp"
#include "io/atomic_folder.hpp"
#include "jobs/model_tokenizer.hpp"
#include "weights/component_writer.hpp"
#include "weights/file_plan.hpp"
#include "weights/kept_model.hpp"
#include "weights/key_names.hpp"
#include "weights/pipeline_kind.hpp"
#include "weights/single_file.hpp"

namespace sdtorch {
namespace {

namespace fs = std::filesystem;
using nlohmann::json;

constexpr const char* index_file = "model_index.json";
constexpr const char* preparation_file = "preprocessor_config.json";

/// Parts of folders that draw nothing here, and other programs look for.
constexpr std::array extra_components = {"safety_checker",    "feature_extractor", "image_encoder",
                                         "inverse_scheduler", "controlnet",        "adapter"};

void make_model_folder(const fs::path& folder) {
  std::error_code error;
  fs::create_directories(folder, error);
  if (error) fail(ErrorKind::output, folder, {}, error.message());
}

/// A text encoder under the keys that begin with `text_model.`; what stands beside that module has none.
ComponentPlan with_prefix(const ComponentPlan& plan) {
  ComponentPlan renamed{.name = plan.name, .config = plan.config};
  const auto inside = [](std::string_view key) {
    return key.starts_with("embeddings.") || key.starts_with("encoder.") || key.starts_with("final_layer_norm.");
  };
  const std::string_view prefix = text_model_prefix;
  for (const auto& [key, tensor] : plan.tensors) {
    renamed.tensors[inside(key) ? std::string(prefix) + key : key] = tensor;
  }
  renamed.make = [&plan, prefix](const std::string& key, const TensorPlan& tensor) {
    return plan.make(key.starts_with(prefix) ? key.substr(prefix.size()) : key, tensor);
  };
  return renamed;
}

/// Buffers beside the weights, such as positions, which networks count themselves.
ComponentPlan without_buffers(ComponentPlan plan) {
  std::erase_if(plan.tensors, [](const auto& item) { return is_no_weight(item.first); });
  return plan;
}

void copy_component(const fs::path& from, const fs::path& to) {
  std::error_code error;
  fs::copy(from, to, fs::copy_options::recursive, error);
  if (error)
    fail(ErrorKind::output, to, {}, fmt::format("cannot be copied from {}: {}", from.string(), error.message()));
}

class FolderWriter {
 public:
  FolderWriter(const ModelPlan& model, const ModelTarget& output, fs::path root)
      : model_(model), output_(output), root_(std::move(root)) {}

  void write() {
    make_model_folder(root_);
    for (const std::string& name : tokenizers_of(model_)) {
      write_tokenizer(root_ / name, model_, name);
      written_.insert(name);
    }
    make_model_folder(root_ / "scheduler");
    write_json(root_ / "scheduler" / "scheduler_config.json", model_.scheduler);
    for (const ComponentPlan& plan : model_.components) write_weights(plan);
    if (!model_.preparation.is_null()) {
      make_model_folder(root_ / "feature_extractor");
      write_json(root_ / "feature_extractor" / preparation_file, model_.preparation);
      written_.insert("feature_extractor");
    }
    copy_extras();
    write_json(root_ / index_file, index());
  }

 private:
  void write_weights(const ComponentPlan& plan) {
    log_info(fmt::format("writing {}", plan.name));
    const bool keeps_buffers = is_folder(model_.source->path()) && !output_.pruned;
    const ComponentPlan chosen = keeps_buffers ? plan : without_buffers(plan);
    write_component(root_ / plan.name, model_.prefixed.contains(plan.name) ? with_prefix(chosen) : chosen,
                    ComponentLayout{.most_bytes = output_.most_bytes});
    written_.insert(plan.name);
  }

  void copy_extras() {
    const fs::path& source = model_.source->path();
    if (!is_folder(source) || output_.pruned) return;
    for (const char* name : extra_components) {
      if (written_.contains(name) || !model_.source->has(name)) continue;
      copy_component(source / name, root_ / name);
      written_.insert(name);
    }
  }

  /// The model's, naming what is there.
  json index() const {
    json index = model_.index;
    json& scheduler = index["scheduler"];
    if (!scheduler.is_array() || scheduler.size() != 2) scheduler = {"diffusers", nullptr};
    scheduler[1] = model_.scheduler.at("_class_name");
    for (auto& [name, entry] : index.items()) {
      const bool component = entry.is_array() && entry.size() == 2 && !name.starts_with('_') && name != "scheduler";
      if (component && !written_.contains(name)) entry = {nullptr, nullptr};
    }
    if (index.contains("requires_safety_checker") && !written_.contains("safety_checker")) {
      index["requires_safety_checker"] = false;
    }
    return index;
  }

  const ModelPlan& model_;
  const ModelTarget& output_;
  fs::path root_;
  std::set<std::string> written_{};
};

bool says(const json& config, const char* key, const json& value) {
  const auto found = config.find(key);
  return found != config.end() && *found == value;
}

void check_has_place(const ModelPlan& model) {
  const json::json_pointer encoder_class("/text_encoder/1");
  if (model.index.contains(encoder_class) && model.index.at(encoder_class) == roberta_text_encoder) {
    fail(ErrorKind::model, model.source->path(), "text_encoder",
         "AltDiffusion's text encoder has no place in a single file", "write a folder: OUT without .safetensors");
  }
}

void write_file(const ModelPlan& model, StagedOutput& staged, const fs::path& target) {
  check_has_place(model);
  std::vector<ComponentPlan> components;
  KeptModel kept{.index = model.index, .scheduler = model.scheduler, .prefixed = model.prefixed};
  for (const ComponentPlan& plan : model.components) {
    components.push_back(without_buffers(plan));
    kept.configs[plan.name] = plan.config;
  }
  if (!model.preparation.is_null()) kept.configs["feature_extractor"] = model.preparation;
  FilePlan file = plan_single_file(components, model.family);
  if (says(model.scheduler, "prediction_type", "v_prediction")) file.add_mark("v_pred");
  if (says(model.scheduler, "rescale_betas_zero_snr", true)) file.add_mark("ztsnr");
  for (const char* name : {"tokenizer", "tokenizer_2"}) {
    const std::string beside = tokenizer_beside(target, name).filename().string();
    staged.remove(beside);
    if (!model.source->has(name == std::string_view("tokenizer") ? "text_encoder" : "text_encoder_2")) continue;
    if (is_clip_tokenizer(model, name)) continue;
    kept.tokenizers.insert(name);
    write_tokenizer(staged.add(beside), model, name);
    log_info(fmt::format("{}: the model's own {}, which the file needs beside it",
                         tokenizer_beside(target, name).string(), name));
  }
  std::map<std::string, std::string> metadata = pytorch_metadata();
  keep_model(kept, metadata);
  log_info(fmt::format("writing {}", target.filename().string()));
  file.save(staged.add(target.filename().string()), metadata);
}

/// The empty folder itself stays: it may be somebody's current one, or a mount point.
void fill_folder(const ModelPlan& model, const ModelTarget& output, const fs::path& target) {
  AtomicFolder folder(target);
  FolderWriter(model, output, folder.path()).write();
  folder.commit();
}

/// A link to a file is followed: what it leads to is replaced.
fs::path resolved(const fs::path& target) {
  std::error_code error;
  fs::path path = fs::absolute(target, error).lexically_normal();
  if (!path.has_filename()) path = path.parent_path();
  if (!fs::is_symlink(path, error)) return path;
  const fs::path canonical = fs::canonical(path, error);
  return error ? path : canonical;
}

}  // namespace

bool is_single_file(const ModelTarget& output) {
  if (output.target.empty()) refuse("OUT", "where to write is missing");
  const std::string suffix = ascii_lower(output.target.extension().string());
  if (suffix == ".safetensors") return true;
  for (const char* other : {".ckpt", ".pt", ".pth", ".bin", ".sft", ".gguf"}) {
    if (suffix == other) {
      refuse("OUT",
             fmt::format("'{}' is no .safetensors, which is what single files are written as", output.target.string()));
    }
  }
  return false;
}

fs::path target_of(const ModelTarget& output) { return resolved(output.target); }

void check_target(const ModelTarget& output) {
  const fs::path target = resolved(output.target);
  const bool file = is_single_file(output);
  std::error_code ignored;
  if (!fs::exists(fs::symlink_status(target, ignored))) {
    for (const char* name : {"tokenizer", "tokenizer_2"}) {
      const fs::path beside = tokenizer_beside(target, name);
      if (file && is_there(beside) && !output.force) {
        fail(ErrorKind::output, beside, {}, "is there already, and would be taken for the new file's",
             "--force replaces it");
      }
    }
    return;
  }
  if (file && is_folder(target)) fail(ErrorKind::output, target, {}, "is a folder");
  if (!file && !is_folder(target)) fail(ErrorKind::output, target, {}, "is there already and no folder");
  if (!file && fs::is_empty(target, ignored)) return;
  if (!output.force) fail(ErrorKind::output, target, {}, "is there already", "--force replaces it");
  if (file && !fs::is_regular_file(target, ignored)) {
    fail(ErrorKind::output, target, {}, "is there already and no regular file");
  }
  if (!file && !is_there(target / index_file)) {
    fail(ErrorKind::output, target, {}, fmt::format("is not empty and no model's folder: it has no {}", index_file),
         "it is not replaced; name another one");
  }
}

void write_model(const ModelPlan& model, const ModelTarget& output) {
  check_target(output);
  watch_for_interrupts();
  const fs::path target = resolved(output.target);
  if (is_folder(target)) {
    std::error_code ignored;
    if (fs::is_empty(target, ignored)) return fill_folder(model, output, target);
  }
  StagedOutput staged(target.parent_path());
  if (is_single_file(output)) {
    write_file(model, staged, target);
  } else {
    FolderWriter(model, output, staged.add(target.filename().string())).write();
  }
  staged.commit(output.force);
}

}  // namespace sdtorch
