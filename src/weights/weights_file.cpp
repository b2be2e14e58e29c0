#include "sdtorch/weights/weights_file.hpp"

#include "sdtorch/core/error.hpp"
#include "sdtorch/io/mapped_file.hpp"
#include "sdtorch/io/safetensors.hpp"

namespace sdtorch {

WeightsFile load_weights(const std::filesystem::path& file, const LoadOptions&) {
  const MappedFile mapped(file, ErrorKind::model);
  const WeightsFormat format = weights_format(mapped.bytes(), file.string());
  if (format != WeightsFormat::safetensors) {
    throw Error(ErrorKind::model, {.file = file.string(),
                                   .reason = "is a PyTorch checkpoint, which this version does not read",
                                   .hint = "convert it to safetensors"});
  }
  return {.format = format,
          .tensors = load_safetensors(file),
          .metadata = read_safetensors_header(mapped.bytes(), file.string()).metadata};
}

}  // namespace sdtorch
