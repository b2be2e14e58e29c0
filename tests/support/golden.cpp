#include "support/golden.hpp"

#include <limits>

#include "io/mapped_file.hpp"
#include "io/safetensors.hpp"
#include "weights/state_dict.hpp"

namespace {

std::filesystem::path safetensors_path(const std::string& name) {
  const std::filesystem::path path = golden_path(name);
  return path.extension() == ".safetensors" ? path : std::filesystem::path(path.string() + ".safetensors");
}

}  // namespace

std::filesystem::path golden_path(const std::string& name) {
  return std::filesystem::path(SDTORCH_SOURCE_DIR) / "tests" / "golden" / name;
}

std::map<std::string, at::Tensor> load_golden(const std::string& name) {
  std::map<std::string, at::Tensor> tensors;
  for (auto& [key, value] : sdtorch::load_safetensors(safetensors_path(name))) tensors.emplace(key, value.tensor);
  return tensors;
}

std::map<std::string, std::string> golden_metadata(const std::string& name) {
  const sdtorch::MappedFile file(safetensors_path(name), sdtorch::ErrorKind::model);
  return sdtorch::read_safetensors_header(file.bytes(), file.path().string()).metadata;
}

double relative_error(const at::Tensor& actual, const at::Tensor& expected) {
  const double infinite = std::numeric_limits<double>::infinity();
  if (actual.sizes() != expected.sizes()) return infinite;
  if (expected.numel() == 0) return 0;
  const at::Tensor a = actual.to(at::kCPU, at::kDouble), b = expected.to(at::kCPU, at::kDouble);
  const double difference = (a - b).abs().max().item<double>();
  if (difference == 0) return 0;
  const double error = difference / b.abs().max().item<double>();
  return error == error ? error : infinite;
}
