#include "recipes/model_layout.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <system_error>
#include <utility>

#include "core/error.hpp"
#include "io/atomic_file.hpp"
#include "io/torch_zip_writer.hpp"
#include "weights/ldm_keys.hpp"
#include "weights/midas_keys.hpp"

namespace sdtorch {
namespace {

namespace fs = std::filesystem;
using nlohmann::json;

using Plans = std::map<std::string, TensorPlan>;
using Make = std::function<at::Tensor(const std::string& key)>;

const std::map<std::string, std::string> safetensors_metadata = {{"format", "pt"}};

void save_checkpoint(const fs::path& file, const Plans& plans, const Make& make, const std::string& root) {
  std::vector<PickledTensor> tensors;
  for (const auto& [key, plan] : plans) {
    tensors.push_back({.name = key, .type = plan.type, .shape = plan.shape});
  }
  TorchZipWriter output(file, tensors, root);
  for (const auto& [key, plan] : plans) {
    const at::Tensor tensor = make(key).detach().to(at::kCPU, plan.type).contiguous();
    output.write(std::span(static_cast<const std::byte*>(tensor.const_data_ptr()), tensor.nbytes()));
  }
  output.commit();
}

int64_t bytes_of(const TensorPlan& plan) {
  auto bytes = static_cast<int64_t>(at::elementSize(plan.type));
  for (const int64_t extent : plan.shape) bytes *= extent;
  return bytes;
}

/// Two shards, cut at half of the bytes, and their index.
void save_sharded(const fs::path& folder, const std::string& stem, const Plans& plans, const Make& make) {
  int64_t total = 0, reached = 0;
  for (const auto& [key, plan] : plans) total += bytes_of(plan);
  constexpr size_t count = 2;
  std::array<Plans, count> shards;
  json map = json::object();
  for (const auto& [key, plan] : plans) {
    const size_t shard = reached * 2 < total ? 0 : 1;
    const std::string file = fmt::format("{}-{:05}-of-{:05}.safetensors", stem, shard + 1, count);
    shards.at(shard)[key] = plan;
    map[key] = file;
    reached += bytes_of(plan);
  }
  for (size_t i = 0; i < count; ++i) {
    const std::string file = fmt::format("{}-{:05}-of-{:05}.safetensors", stem, i + 1, count);
    save_safetensors(folder / file, shards.at(i), make, safetensors_metadata);
  }
  const json index = {{"metadata", {{"total_size", total}}}, {"weight_map", map}};
  write_file_atomically(folder / (stem + ".safetensors.index.json"), index.dump(2) + "\n");
}

/// All tensors of a file, and how each is made.
struct FilePlan {
  Plans tensors{};
  std::map<std::string, std::function<at::Tensor()>> makers{};

  void add(const std::string& key, TensorPlan plan, std::function<at::Tensor()> maker) {
    tensors[key] = std::move(plan);
    makers[key] = std::move(maker);
  }

  void add_same(const std::string& prefix, const ComponentPlan& plan) {
    for (const auto& [key, tensor] : plan.tensors) {
      add(prefix + key, tensor, [&plan, key = key] { return plan.tensor(key); });
    }
  }

  void add_foreign(const std::string& prefix, const ComponentPlan& plan,
                   const std::map<std::string, ForeignTensor>& recipes) {
    for (const auto& [key, recipe] : recipes) {
      const TensorPlan& first = plan.tensors.at(recipe.sources.front());
      TensorPlan foreign = first;
      foreign.shape[0] *= static_cast<int64_t>(recipe.sources.size());
      if (recipe.shape == ForeignTensor::Shape::transposed) std::swap(foreign.shape[0], foreign.shape[1]);
      if (recipe.shape == ForeignTensor::Shape::convolution) foreign.shape.insert(foreign.shape.end(), {1, 1});
      add(prefix + key, foreign, [&plan, recipe = recipe] {
        return make_foreign(recipe, [&](const std::string& source) { return plan.tensor(source); });
      });
    }
  }

  void add_scalar(const std::string& key, double value) {
    add(key, {.type = at::kFloat}, [value] { return at::scalar_tensor(value, at::kFloat); });
  }
};

KeySet keys_of(const ComponentPlan& plan) {
  KeySet keys;
  for (const auto& [key, tensor] : plan.tensors) keys.insert(key);
  return keys;
}

/// OpenCLIP's with one layer more than is read, and a projection, as SD 2.x's files have them.
ComponentPlan with_unread_parts(const ComponentPlan& plan) {
  ComponentPlan whole = plan;
  const std::string last = fmt::format("encoder.layers.{}.", clip_layers(keys_of(plan)) - 1);
  const std::string added = fmt::format("encoder.layers.{}.", clip_layers(keys_of(plan)));
  for (const auto& [key, tensor] : plan.tensors) {
    if (key.starts_with(last)) whole.tensors[added + key.substr(last.size())] = tensor;
  }
  const TensorPlan& norm = plan.tensors.at("final_layer_norm.weight");
  whole.tensors["text_projection.weight"] = {.type = norm.type, .shape = {norm.shape[0], norm.shape[0]}};
  return whole;
}

void add_text_encoder(FilePlan& file, const ComponentPlan& plan, Family family) {
  if (family == Family::sd1) {
    const std::string prefix = "cond_stage_model.transformer.text_model.";
    file.add_same(prefix, plan);
    const int64_t positions = plan.tensors.at("embeddings.position_embedding.weight").shape[0];
    file.add(prefix + "embeddings.position_ids", {.type = at::kLong, .shape = {1, positions}},
             [positions] { return at::arange(positions, at::kLong).unsqueeze(0); });
  } else if (plan.name == "text_encoder" && family == Family::sdxl) {
    file.add_same("conditioner.embedders.0.transformer.text_model.", plan);
  } else {
    const std::string prefix = family == Family::sd2    ? "cond_stage_model.model."
                               : family == Family::sdxl ? "conditioner.embedders.1.model."
                                                        : "conditioner.embedders.0.model.";
    file.add_foreign(prefix, plan, clip_to_open_clip(keys_of(plan)));
    constexpr double trained = 4.6052;  // ln 100, where CLIP's training clamps it
    file.add_scalar(prefix + "logit_scale", trained);
  }
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
  std::error_code error;
  fs::create_directories(folder, error);
  if (error) throw Error(ErrorKind::output, {.file = folder.string(), .reason = error.message()});
  write_file_atomically(folder / "config.json", plan.config.dump(2) + "\n");
  const bool transformers = plan.name.starts_with("text_encoder") || plan.name == "depth_estimator";
  const std::string stem = transformers ? "model" : "diffusion_pytorch_model";
  const Make make = [&](const std::string& key) { return plan.tensor(key); };
  if (layout == "sharded") return save_sharded(folder, stem, plan.tensors, make);
  if (layout == "bin") {
    return save_checkpoint(folder / (transformers ? "pytorch_model.bin" : stem + ".bin"), plan.tensors, make, "");
  }
  const std::string variant = layout == "variant" ? ".fp16" : "";
  save_safetensors(folder / (stem + variant + ".safetensors"), plan.tensors, make, safetensors_metadata);
}

void write_part_file(const fs::path& target, const ComponentPlan& plan, bool checkpoint) {
  FilePlan file;
  if (plan.name == "controlnet") {
    file.add_foreign("control_model.", plan, controlnet_to_ldm(keys_of(plan)));
  } else {
    file.add_same("", plan);
  }
  const Make make = [&](const std::string& key) { return file.makers.at(key)(); };
  if (checkpoint) return save_checkpoint(target, file.tensors, make, "state_dict");
  save_safetensors(target, file.tensors, make, safetensors_metadata);
}

void write_single_file(const fs::path& target, const std::vector<ComponentPlan>& plans, Family family,
                       const SingleFileOptions& options) {
  constexpr const char* unet_prefix = "model.diffusion_model.";
  const char* vae_prefix = plans.size() == 1 ? "" : "first_stage_model.";
  FilePlan file;
  std::vector<ComponentPlan> changed;
  changed.reserve(plans.size());  // makers point into it
  for (const ComponentPlan& plan : plans) {
    const bool text = plan.name.starts_with("text_encoder");
    changed.push_back(text && family == Family::sd2 ? with_unread_parts(plan) : plan);
    const ComponentPlan& component = changed.back();
    if (text) add_text_encoder(file, component, family);
    if (component.name == "unet") file.add_foreign(unet_prefix, component, unet_to_ldm(keys_of(component)));
    if (component.name == "depth_estimator") {
      file.add_foreign("depth_model.", component, depth_estimator_to_midas(keys_of(component)));
    }
    if (component.name == "vae") file.add_foreign(vae_prefix, component, vae_to_ldm(keys_of(component)));
  }
  if (options.ema) add_ema(file, unet_prefix);
  if (options.marked) {
    for (const char* mark : {"v_pred", "ztsnr"}) {
      file.add(mark, {.type = at::kFloat, .shape = {0}}, [] { return at::empty({0}); });
    }
  }
  const Make make = [&](const std::string& key) { return file.makers.at(key)(); };
  if (options.checkpoint) return save_checkpoint(target, file.tensors, make, "state_dict");
  save_safetensors(target, file.tensors, make, safetensors_metadata);
}

}  // namespace sdtorch
