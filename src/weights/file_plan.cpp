#include "weights/file_plan.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "core/error.hpp"
#include "weights/component_writer.hpp"
#include "weights/midas_keys.hpp"

namespace sdtorch {
namespace {

using Recipes = std::map<std::string, ForeignTensor>;

[[noreturn]] void fail_placeless(const ComponentPlan& plan, const std::string& key) {
  fail(ErrorKind::model, plan.name, key, "has no place in a single file in the original code's layout",
       "write a folder: OUT without .safetensors");
}

/// Whether every key is read back as itself, through a table that is made of the foreign names alone.
void check_readable(const ComponentPlan& plan, const Recipes& recipes, const KeyTable& table) {
  for (const auto& [foreign, recipe] : recipes) {
    if (table.to_ours(foreign) != recipe.sources.front()) fail_placeless(plan, recipe.sources.front());
  }
}

KeySet names_of(const Recipes& recipes) {
  KeySet names;
  for (const auto& [key, recipe] : recipes) names.insert(names.end(), key);
  return names;
}

Recipes foreign_recipes(const ComponentPlan& plan, Recipes (*to_foreign)(const KeySet& keys)) {
  try {
    return to_foreign(plan.keys());
  } catch (const Error& error) {
    if (error.kind() != ErrorKind::bug) throw;
    fail_placeless(plan, error.parts().place);  // a key without a foreign name
  }
}

void add_text_encoder(FilePlan& file, const ComponentPlan& plan, Family family) {
  if (family == Family::sd1) {
    const std::string prefix = "cond_stage_model.transformer.text_model.";
    file.add_same(prefix, plan);
    const int64_t positions = plan.tensors.at("embeddings.position_embedding.weight").shape.at(0);
    file.add(prefix + "embeddings.position_ids", {.type = at::kLong, .shape = {1, positions}},
             [positions] { return at::arange(positions, at::kLong).unsqueeze(0); });
  } else if (plan.name == "text_encoder" && family == Family::sdxl) {
    file.add_same("conditioner.embedders.0.transformer.text_model.", plan);
  } else {
    const std::string prefix = family == Family::sd2    ? "cond_stage_model.model."
                               : family == Family::sdxl ? "conditioner.embedders.1.model."
                                                        : "conditioner.embedders.0.model.";
    file.add_foreign(prefix, plan, foreign_recipes(plan, clip_to_open_clip));
    constexpr double trained = 4.6052;  // ln 100, where CLIP's training clamps it
    file.add_scalar(prefix + "logit_scale", trained);
  }
}

}  // namespace

void FilePlan::add(const std::string& key, TensorPlan plan, std::function<at::Tensor()> maker) {
  tensors[key] = std::move(plan);
  makers[key] = std::move(maker);
}

void FilePlan::add_same(const std::string& prefix, const ComponentPlan& plan) {
  for (const auto& [key, tensor] : plan.tensors) {
    add(prefix + key, tensor, [&plan, key = key] { return plan.tensor(key); });
  }
}

void FilePlan::add_foreign(const std::string& prefix, const ComponentPlan& plan, const Recipes& recipes) {
  for (const auto& [key, recipe] : recipes) {
    TensorPlan foreign = plan.tensors.at(recipe.sources.front());
    for (const std::string& source : recipe.sources) {
      // Parts of one tensor are of one type: the one that holds them all.
      foreign.type = at::promote_types(foreign.type, plan.tensors.at(source).type);
    }
    foreign.shape.at(0) *= static_cast<int64_t>(recipe.sources.size());
    if (recipe.shape == ForeignTensor::Shape::transposed) std::swap(foreign.shape.at(0), foreign.shape.at(1));
    if (recipe.shape == ForeignTensor::Shape::convolution) foreign.shape.insert(foreign.shape.end(), {1, 1});
    add(prefix + key, foreign, [&plan, recipe = recipe] {
      return make_foreign(recipe, [&](const std::string& source) { return plan.tensor(source); });
    });
  }
}

void FilePlan::add_scalar(const std::string& key, double value) {
  add(key, {.type = at::kFloat}, [value] { return at::scalar_tensor(value, at::kFloat); });
}

void FilePlan::add_mark(const std::string& key) {
  add(key, {.type = at::kFloat, .shape = {0}}, [] { return at::empty({0}); });
}

void FilePlan::save(const std::filesystem::path& file, const std::map<std::string, std::string>& metadata) const {
  save_safetensors(
      file, tensors, [&](const std::string& key) { return makers.at(key)(); }, metadata);
}

void FilePlan::save_as_checkpoint(const std::filesystem::path& file, const std::string& root) const {
  save_checkpoint(
      file, tensors, [&](const std::string& key) { return makers.at(key)(); }, root);
}

FilePlan plan_single_file(std::span<const ComponentPlan> components, Family family) {
  const char* vae_prefix = components.size() == 1 ? "" : "first_stage_model.";
  FilePlan file;
  for (const ComponentPlan& component : components) {
    if (component.name.starts_with("text_encoder")) {
      add_text_encoder(file, component, family);
    } else if (component.name == "unet") {
      const Recipes recipes = foreign_recipes(component, unet_to_ldm);
      check_readable(component, recipes, unet_key_table(ldm_unet_layout(names_of(recipes))));
      file.add_foreign(ldm_unet_prefix, component, recipes);
    } else if (component.name == "vae") {
      const Recipes recipes = foreign_recipes(component, vae_to_ldm);
      check_readable(component, recipes, vae_key_table(ldm_vae_layout(names_of(recipes))));
      file.add_foreign(vae_prefix, component, recipes);
    } else if (component.name == "depth_estimator") {
      file.add_foreign("depth_model.", component, foreign_recipes(component, depth_estimator_to_midas));
    }
  }
  return file;
}

}  // namespace sdtorch
