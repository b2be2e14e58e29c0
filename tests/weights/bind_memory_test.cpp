// What loading a model takes in memory beyond the weights that it leaves.
#include <fmt/format.h>
#include <malloc.h>

#include <fstream>
#include <string>

#include "io/torch_zip_writer.hpp"
#include "nn/attach.hpp"
#include "nn/conv.hpp"
#include "nn/linear.hpp"
#include "support/catch.hpp"
#include "support/temp_dir.hpp"
#include "weights/bind.hpp"
#include "weights/weights_file.hpp"

using namespace sdtorch;

namespace {

constexpr int layers = 24;
constexpr int64_t linear_width = 1024, conv_channels = 320;  // 4 MB each in fp32, and packed where the CPU has bf16

struct ManyLayers : torch::nn::Module {
  ManyLayers() {
    for (int i = 0; i < layers; ++i) {
      attach(*this, fmt::format("linear.{}", i), Linear(linear_width, linear_width));
      attach(*this, fmt::format("conv.{}", i), Conv2d(conv_channels, conv_channels, 3));
    }
  }
};

/// Bytes of memory that the process has now (VmRSS), or has had at most since the last reset (VmHWM).
int64_t memory(const std::string& field) {
  std::ifstream status("/proc/self/status");
  for (std::string line; std::getline(status, line);) {
    if (line.starts_with(field + ":")) return std::stoll(line.substr(field.size() + 1)) * 1024;
  }
  return 0;
}

void reset_peak() { std::ofstream("/proc/self/clear_refs") << 5; }

/// Large tensors in memory of their own for as long as it lives: loading is not to make use, unseen, of what others
/// have let go.
struct SeparateMemory {
  SeparateMemory() { mallopt(M_MMAP_THRESHOLD, 1 << 20); }
  ~SeparateMemory() { mallopt(M_MMAP_THRESHOLD, 32 << 20); }  // where glibc's own adjustment ends
};

void write_checkpoint(const std::filesystem::path& file, const ManyLayers& model) {
  std::vector<PickledTensor> tensors;
  for (const auto& item : model.named_parameters()) {
    tensors.push_back({.name = item.key(), .shape = item.value().sizes().vec()});
  }
  TorchZipWriter output(file, tensors, "");
  for (const auto& item : model.named_parameters()) {
    const at::Tensor ones = at::ones(item.value().sizes());
    output.write({static_cast<const std::byte*>(ones.const_data_ptr()), ones.nbytes()});
  }
  output.commit();
}

void write_safetensors(const std::filesystem::path& file, const ManyLayers& model) {
  std::map<std::string, TensorPlan> plans;
  for (const auto& item : model.named_parameters()) plans[item.key()] = {at::kFloat, item.value().sizes().vec()};
  save_safetensors(file, plans, [&](const std::string& key) { return at::ones(plans.at(key).shape); });
}

}  // namespace

TEST_CASE("loading fp32 into bf16 takes little more than the bf16 weights", "[weights][slow]") {
  const SeparateMemory separate;
  const TempDir folder;
  write_safetensors(folder / "model.safetensors", ManyLayers());
  write_checkpoint(folder / "model.ckpt", ManyLayers());
  {
    ManyLayers first;  // brings oneDNN's code into memory, which is nobody's weights
    bind_weights(first, load_weights(folder / "model.safetensors").tensors, at::kBFloat16, at::kCPU, "model");
  }
  for (const char* name : {"model.safetensors", "model.ckpt"}) {
    INFO(name);
    ManyLayers model;
    reset_peak();
    const int64_t before = memory("VmRSS");
    StateDict weights = load_weights(folder / name).tensors;
    const StateDict originals = weights;  // as an adapter keeps them for the next job
    bind_weights(model, std::move(weights), at::kBFloat16, at::kCPU, "model");
    const double peak = static_cast<double>(memory("VmHWM") - before);
    double needed = 0;
    for (const at::Tensor& weight : model.parameters()) {
      needed += static_cast<double>(weight.nbytes());
      const at::Tensor values = weight.is_mkldnn() ? weight.to_dense() : weight;
      CHECK(values.min().item<float>() == 1);
      CHECK(values.max().item<float>() == 1);
    }
    CHECK(needed > 90e6);
    CHECK(peak < 1.2 * needed);
    CHECK(peak > 0.5 * needed);  // it was measured at all
    CHECK(at::equal(originals.at("linear.3.bias").tensor, at::ones({linear_width})));
  }
}
