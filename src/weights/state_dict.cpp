#include "weights/state_dict.hpp"

#include <fmt/format.h>

#include <cstdint>
#include <cstring>
#include <memory>
#include <utility>
#include <vector>

#include "core/dtype.hpp"
#include "core/error.hpp"
#include "io/atomic_file.hpp"
#include "io/mapped_file.hpp"
#include "io/safetensors.hpp"
#include "weights/mapped_tensor.hpp"

namespace sdtorch {
namespace {

/// The type itself, where the format has a name for it.
at::ScalarType safetensors_type(at::ScalarType type, const std::filesystem::path& file, const std::string& key) {
  if (const Dtype* known = find_dtype(type); known && !known->safetensors.empty()) return type;
  throw Error(ErrorKind::output, {.file = file.string(),
                                  .place = key,
                                  .reason = fmt::format("safetensors have no type for {}", c10::toString(type))});
}

at::Tensor tensor_of(const std::shared_ptr<MappedFile>& file, const TensorEntry& entry) {
  // A byte that is neither 0 nor 1 is no bool to the compiler: booleans are read as numbers.
  const bool boolean = entry.type == at::kBool;
  const at::ScalarType type = boolean ? at::kByte : entry.type;
  const std::byte* data = file->bytes().data() + entry.begin;
  if (entry.begin == entry.end) return at::empty(entry.shape, entry.type);
  if (reinterpret_cast<uintptr_t>(data) % at::elementSize(type) != 0) {
    at::Tensor copy = at::empty(entry.shape, type);
    std::memcpy(copy.data_ptr(), data, entry.end - entry.begin);
    return copy;
  }
  const at::Tensor mapped = map_tensor(file, {data, entry.end - entry.begin}, entry.shape, type);
  return boolean ? mapped.ne(0) : mapped;
}

}  // namespace

void verify_checksums(const StateDict& weights) {
  for (const auto& [key, weight] : weights) {
    if (weight.verify) weight.verify();
  }
}

StateDict load_safetensors(const std::shared_ptr<MappedFile>& mapped, const SafetensorsHeader& header) {
  const std::string file = mapped->path().string();
  StateDict tensors;
  for (const auto& [key, entry] : header.tensors) tensors[key] = {tensor_of(mapped, entry), file};
  return tensors;
}

StateDict load_safetensors(const std::filesystem::path& file) {
  const auto mapped = std::make_shared<MappedFile>(file, ErrorKind::model);
  return load_safetensors(mapped, read_safetensors_header(mapped->bytes(), file.string()));
}

void save_safetensors(const std::filesystem::path& file, const std::map<std::string, at::Tensor>& tensors,
                      const std::map<std::string, std::string>& metadata) {
  std::map<std::string, TensorPlan> plans;
  for (const auto& [key, tensor] : tensors) plans[key] = {tensor.scalar_type(), tensor.sizes().vec()};
  save_safetensors(
      file, plans, [&](const std::string& key) { return tensors.at(key); }, metadata);
}

void save_safetensors(const std::filesystem::path& file, const std::map<std::string, TensorPlan>& plans,
                      const std::function<at::Tensor(const std::string& key)>& make,
                      const std::map<std::string, std::string>& metadata) {
  std::vector<std::pair<std::string, TensorEntry>> entries;
  entries.reserve(plans.size());
  for (const auto& [key, plan] : plans) {
    entries.emplace_back(key, TensorEntry{.type = safetensors_type(plan.type, file, key), .shape = plan.shape});
  }
  AtomicFile output(file);
  output.write(make_safetensors_header(entries, metadata));
  for (const auto& [key, plan] : plans) {
    const at::Tensor made = make(key);
    const at::Tensor tensor = made.detach().to(at::kCPU, plan.type).contiguous();
    if (tensor.sizes() != plan.shape)
      throw Error(ErrorKind::bug, {.place = key, .reason = "another shape than planned"});
    output.write(std::span(static_cast<const std::byte*>(tensor.const_data_ptr()), tensor.nbytes()));
    release_pages(made);
  }
  output.commit();
}

}  // namespace sdtorch
