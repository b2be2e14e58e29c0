// The safetensors format (https://github.com/huggingface/safetensors#format): a header of names, types, shapes and
// ranges, then the tensors' bytes.
#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "core/dtype.hpp"

namespace sdtorch {

struct TensorEntry {
  at::ScalarType type = at::kFloat;  ///< one that the format has a name for
  std::vector<int64_t> shape{};
  size_t begin = 0;  ///< first byte, counted from the start of the file
  size_t end = 0;    ///< one past the last; end - begin is the size of shape × type
};

struct SafetensorsHeader {
  std::map<std::string, TensorEntry> tensors{};
  std::map<std::string, std::string> metadata{};
};

/// Checks and reads the header of a whole file; name is the file's in messages. Every rule of the format is held: a
/// header of at most 100 MB that is a JSON object without duplicate keys, ranges that cover the rest of the file
/// without holes or overlap, each as long as its shape and type say. Throws ErrorKind::model naming tensor and place;
/// a Git LFS pointer, an HTML page or a pickle under the name of a weights file is called what it is.
SafetensorsHeader read_safetensors_header(std::span<const std::byte> file, const std::string& name);

/// The bytes in front of the tensors' own: the header's length and the header, padded to a multiple of 8. Ranges are
/// given out in the order of `tensors`, whose begin and end are filled in.
std::string make_safetensors_header(std::vector<std::pair<std::string, TensorEntry>>& tensors,
                                    const std::map<std::string, std::string>& metadata);

}  // namespace sdtorch
