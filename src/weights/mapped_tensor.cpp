#include "weights/mapped_tensor.hpp"

#include <utility>

namespace sdtorch {
namespace {

/// What a mapped tensor's storage owns. Its deleter tells such a storage from all others.
struct MappedStorage {
  std::shared_ptr<const MappedFile> file;
  std::span<const std::byte> bytes;
};

void delete_mapped_storage(void* storage) { delete static_cast<MappedStorage*>(storage); }

}  // namespace

at::Tensor map_tensor(std::shared_ptr<const MappedFile> file, std::span<const std::byte> bytes, at::IntArrayRef shape,
                      at::ScalarType type) {
  auto storage = std::make_unique<MappedStorage>(MappedStorage{.file = std::move(file), .bytes = bytes});
  // LibTorch has no tensor of const data; nobody writes through this one.
  return at::for_blob(const_cast<std::byte*>(bytes.data()), shape)
      .context(storage.release(), delete_mapped_storage)
      .options(at::TensorOptions(type))
      .make_tensor();
}

void release_pages(const at::Tensor& tensor) {
  if (!tensor.has_storage() || tensor.numel() == 0) return;
  const auto* mapped = tensor.storage().data_ptr().cast_context<MappedStorage>(delete_mapped_storage);
  if (!mapped) return;
  const auto* begin = static_cast<const std::byte*>(tensor.const_data_ptr());
  mapped->file->release(tensor.is_contiguous() ? std::span(begin, tensor.nbytes()) : mapped->bytes);
}

}  // namespace sdtorch
