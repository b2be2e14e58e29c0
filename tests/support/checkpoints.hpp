// Checkpoints put together byte by byte, so that each byte can be wrong.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

/// N bytes, little-endian.
std::string little_endian(uint64_t number, size_t bytes);

/// A .safetensors file: the header's length, the header, so many bytes of data.
std::string safetensors_file(const std::string& header, size_t data);

struct ZipPart {
  std::string name, data;
  uint16_t method = 0;
  uint16_t flags = 0;
  uint32_t checksum = 0;                    ///< 0: not computed
  std::optional<uint32_t> size{};           ///< unpacked; none: the data's
  std::optional<uint32_t> header{};         ///< where the directory places it; none: where it is
  std::optional<std::string> local_name{};  ///< in front of the data; none: the directory's
};

std::string zip_file(const std::vector<ZipPart>& parts);

/// Instructions of a pickle that put one value on the stack.
namespace pickled {

std::string text(const std::string& value);
std::string integer(int64_t value);
std::string global(const std::string& module, const std::string& name);
std::string tuple(const std::vector<std::string>& items);
std::string integers(const std::vector<int64_t>& values);
std::string dict(const std::vector<std::string>& keys_and_values);
std::string call(const std::string& function, const std::vector<std::string>& arguments);

/// A whole pickle of protocol 2.
std::string whole(const std::string& value);

struct Storage {
  std::string key = "0", kind = "FloatStorage";
  int64_t elements = 4;
};
std::string storage(const Storage& storage = {});

struct TensorParts {
  Storage storage{};
  int64_t offset = 0;
  std::vector<int64_t> shape = {2, 2}, strides = {2, 1};
};
std::string tensor(const TensorParts& tensor = {});

}  // namespace pickled

/// torch.save's archive of a value; the storage "0" has so many bytes.
std::string torch_zip(const std::string& value, size_t bytes = 16);

/// The same with other entries behind those.
std::string torch_zip_with(const std::string& value, const std::vector<ZipPart>& more);

/// The format before 1.6: `keys` and `data` follow the value.
std::string torch_legacy(const std::string& value, const std::string& keys, const std::string& data);
