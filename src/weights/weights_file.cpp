#include "weights/weights_file.hpp"

#include <memory>
#include <utility>

#include "core/error.hpp"
#include "io/mapped_file.hpp"
#include "io/safetensors.hpp"
#include "weights/torch_weights.hpp"

namespace sdtorch {
namespace {

WeightsFile load(const std::filesystem::path& file) {
  const auto mapped = std::make_shared<MappedFile>(file, ErrorKind::model);
  const WeightsFormat format = weights_format(mapped->bytes(), file.string());
  if (format != WeightsFormat::safetensors) return load_torch_weights(mapped, format);
  SafetensorsHeader header = read_safetensors_header(mapped->bytes(), file.string());
  return {.tensors = load_safetensors(mapped, header), .metadata = std::move(header.metadata)};
}

}  // namespace

WeightsFile load_weights(const std::filesystem::path& file, const LoadOptions& options) {
  WeightsFile weights = load(file);
  if (weights.tensors.empty()) throw Error(ErrorKind::model, {.file = file.string(), .reason = "holds no tensors"});
  if (options.verify) verify_checksums(weights.tensors);
  return weights;
}

}  // namespace sdtorch
