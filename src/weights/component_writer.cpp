#include "weights/component_writer.hpp"

#include <fmt/format.h>

#include <span>
#include <system_error>

#include "core/error.hpp"
#include "io/atomic_file.hpp"
#include "io/json_text.hpp"
#include "io/torch_zip_writer.hpp"
#include "weights/mapped_tensor.hpp"

namespace sdtorch {
namespace {

namespace fs = std::filesystem;
using nlohmann::json;

}  // namespace

int64_t bytes_of(const TensorPlan& plan) {
  auto bytes = static_cast<int64_t>(at::elementSize(plan.type));
  for (const int64_t extent : plan.shape) bytes *= extent;
  return bytes;
}

const std::map<std::string, std::string>& pytorch_metadata() {
  static const std::map<std::string, std::string> metadata = {{"format", "pt"}};
  return metadata;
}

void write_json(const fs::path& file, const json& value) { write_file_atomically(file, json_text(value, 2) + "\n"); }

void save_checkpoint(const fs::path& file, const TensorPlans& plans, const MakeTensor& make, const std::string& root) {
  std::vector<PickledTensor> tensors;
  for (const auto& [key, plan] : plans) {
    tensors.push_back({.name = key, .type = plan.type, .shape = plan.shape});
  }
  TorchZipWriter output(file, tensors, root);
  for (const auto& [key, plan] : plans) {
    const at::Tensor made = make(key);
    const at::Tensor tensor = made.detach().to(at::kCPU, plan.type).contiguous();
    output.write(std::span(static_cast<const std::byte*>(tensor.const_data_ptr()), tensor.nbytes()));
    release_pages(made);
  }
  output.commit();
}

std::vector<TensorPlans> cut_into_shards(const TensorPlans& tensors, int64_t most_bytes) {
  std::vector<TensorPlans> shards(1);
  int64_t reached = 0;
  for (const auto& [key, plan] : tensors) {
    const int64_t bytes = bytes_of(plan);
    if (reached > 0 && reached + bytes > most_bytes) {
      shards.emplace_back();
      reached = 0;
    }
    shards.back()[key] = plan;
    reached += bytes;
  }
  return shards;
}

void save_shards(const fs::path& folder, const std::string& stem, const std::vector<TensorPlans>& shards,
                 const MakeTensor& make) {
  int64_t total = 0;
  json map = json::object();
  for (size_t i = 0; i < shards.size(); ++i) {
    const std::string file = fmt::format("{}-{:05}-of-{:05}.safetensors", stem, i + 1, shards.size());
    for (const auto& [key, plan] : shards[i]) {
      map[key] = file;
      total += bytes_of(plan);
    }
    save_safetensors(folder / file, shards[i], make, pytorch_metadata());
  }
  write_json(folder / (stem + ".safetensors.index.json"), {{"metadata", {{"total_size", total}}}, {"weight_map", map}});
}

std::string stem_of(const std::string& component) {
  const bool transformers = component.starts_with("text_encoder") || component == "depth_estimator";
  return transformers ? "model" : "diffusion_pytorch_model";
}

void start_component(const fs::path& folder, const json& config) {
  std::error_code error;
  fs::create_directories(folder, error);
  if (error) fail(ErrorKind::output, folder, {}, error.message());
  write_json(folder / "config.json", config);
}

void write_component(const fs::path& folder, const ComponentPlan& plan, const ComponentLayout& layout) {
  start_component(folder, plan.config);
  const std::string stem = stem_of(plan.name);
  const MakeTensor make = [&](const std::string& key) { return plan.tensor(key); };
  if (layout.checkpoint) {
    return save_checkpoint(folder / (stem == "model" ? "pytorch_model.bin" : stem + ".bin"), plan.tensors, make, "");
  }
  if (layout.most_bytes > 0) {
    const std::vector<TensorPlans> shards = cut_into_shards(plan.tensors, layout.most_bytes);
    if (shards.size() > 1) return save_shards(folder, stem, shards, make);
  }
  const std::string variant = layout.variant.empty() ? "" : "." + layout.variant;
  save_safetensors(folder / (stem + variant + ".safetensors"), plan.tensors, make, pytorch_metadata());
}

}  // namespace sdtorch
