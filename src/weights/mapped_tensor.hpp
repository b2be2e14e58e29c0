// Tensors whose numbers lie in a mapped file.
#pragma once

#include <ATen/ATen.h>

#include <cstddef>
#include <memory>
#include <span>

#include "io/mapped_file.hpp"

namespace sdtorch {

/// A dense tensor on `bytes` of the file, which it keeps mapped. They begin at a multiple of the type's size and are as
/// many as the shape needs. Read-only: an in-place operation on it ends the process.
at::Tensor map_tensor(std::shared_ptr<const MappedFile> file, std::span<const std::byte> bytes, at::IntArrayRef shape,
                      at::ScalarType type);

/// Lets the memory go that holds a mapped tensor's numbers, or a view's; whoever looks at them again has them read
/// again. Does nothing to any other tensor.
void release_pages(const at::Tensor& tensor);

}  // namespace sdtorch
