#include "recipes/model_layout.hpp"

#include <fmt/format.h>

#include <utility>

#include "weights/component_writer.hpp"
#include "weights/file_plan.hpp"

namespace sdtorch {
namespace {

namespace fs = std::filesystem;

/// In two shards, cut at half of the bytes.
void save_halves(const fs::path& folder, const ComponentPlan& plan) {
  int64_t total = 0, reached = 0;
  for (const auto& [key, tensor] : plan.tensors) total += bytes_of(tensor);
  std::vector<TensorPlans> shards(2);
  for (const auto& [key, tensor] : plan.tensors) {
    shards[reached * 2 < total ? 0 : 1][key] = tensor;
    reached += bytes_of(tensor);
  }
  save_shards(folder, stem_of(plan.name), shards, [&](const std::string& key) { return plan.tensor(key); });
}

/// OpenCLIP's with one layer more than is read, and a projection, as SD 2.x's files have them.
ComponentPlan with_unread_parts(const ComponentPlan& plan) {
  ComponentPlan whole = plan;
  const std::string last = fmt::format("encoder.layers.{}.", clip_layers(plan.keys()) - 1);
  const std::string added = fmt::format("encoder.layers.{}.", clip_layers(plan.keys()));
  for (const auto& [key, tensor] : plan.tensors) {
    if (key.starts_with(last)) whole.tensors[added + key.substr(last.size())] = tensor;
  }
  const TensorPlan& norm = plan.tensors.at("final_layer_norm.weight");
  whole.tensors["text_projection.weight"] = {.type = norm.type, .shape = {norm.shape[0], norm.shape[0]}};
  return whole;
}

/// As the original code names them: the whole name without its dots.
void add_ema(FilePlan& file, const std::string& prefix) {
  FilePlan copies;
  for (const auto& [key, tensor] : file.tensors) {
    if (!key.starts_with(prefix)) continue;
    constexpr std::string_view model = "model.";
    std::string name = key.substr(model.size());
    std::erase(name, '.');
    copies.add("model_ema." + name, tensor, file.makers.at(key));
  }
  file.tensors.merge(copies.tensors);
  file.makers.merge(copies.makers);
  constexpr double decay = 0.9999;
  file.add_scalar("model_ema.decay", decay);
}

}  // namespace

bool is_single_file(std::string_view layout) { return layout == "single" || layout == "ckpt"; }

void write_component(const fs::path& folder, const ComponentPlan& plan, std::string_view layout) {
  if (layout == "sharded") {
    start_component(folder, plan.config);
    return save_halves(folder, plan);
  }
  write_component(folder, plan, {.variant = layout == "variant" ? "fp16" : "", .checkpoint = layout == "bin"});
}

void write_part_file(const fs::path& target, const ComponentPlan& plan, bool checkpoint) {
  FilePlan file;
  if (plan.name == "controlnet") {
    file.add_foreign("control_model.", plan, controlnet_to_ldm(plan.keys()));
  } else {
    file.add_same("", plan);
  }
  if (checkpoint) return file.save_as_checkpoint(target, "state_dict");
  file.save(target, pytorch_metadata());
}

void write_single_file(const fs::path& target, const std::vector<ComponentPlan>& plans, Family family,
                       const SingleFileOptions& options) {
  std::vector<ComponentPlan> whole;
  for (const ComponentPlan& plan : plans) {
    const bool unread = plan.name.starts_with("text_encoder") && family == Family::sd2;
    whole.push_back(unread ? with_unread_parts(plan) : plan);
  }
  FilePlan file = plan_single_file(whole, family);
  if (options.ema) add_ema(file, ldm_unet_prefix);
  if (options.marked) {
    for (const char* mark : {"v_pred", "ztsnr"}) file.add_mark(mark);
  }
  if (options.checkpoint) return file.save_as_checkpoint(target, "state_dict");
  file.save(target, pytorch_metadata());
}

}  // namespace sdtorch
