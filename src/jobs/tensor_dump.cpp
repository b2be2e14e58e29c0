#include "jobs/tensor_dump.hpp"

#include "weights/state_dict.hpp"

namespace sdtorch {
namespace {

/// The plan's own numbers are the same for every batch.
bool is_shared_by_batches(std::string_view name) { return name.ends_with("timesteps") || name.ends_with("sigmas"); }

}  // namespace

void TensorDump::add(std::string_view name, const at::Tensor& tensor) {
  std::vector<at::Tensor>& batches = batches_[std::string(name)];
  if (is_shared_by_batches(name) && !batches.empty()) return;
  batches.push_back(tensor.to(at::kCPU).clone(at::MemoryFormat::Contiguous));
}

void TensorDump::save(const std::filesystem::path& file) const {
  std::map<std::string, at::Tensor> tensors;
  for (const auto& [name, batches] : batches_) tensors.emplace(name, at::cat(batches));
  save_safetensors(file, tensors);
}

}  // namespace sdtorch
