// PyTorch's own files as named tensors.
#pragma once

#include <memory>

#include "io/mapped_file.hpp"
#include "weights/weights_file.hpp"

namespace sdtorch {

/// Reads what torch.save wrote (torch_file.hpp). Tensors with the same storage share its bytes, which stay in the file
/// where they lie there as the machine wants them. Throws ErrorKind::model.
/// Their checksums are left to SourcedTensor::verify.
WeightsFile load_torch_weights(const std::shared_ptr<MappedFile>& file, WeightsFormat format);

}  // namespace sdtorch
