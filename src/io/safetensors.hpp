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

namespace sdtorch {

/// The element types that are read and written, by the format's own names.
enum class TensorType {
  f64,
  f32,
  f16,
  bf16,
  f8_e4m3,
  f8_e5m2,
  f8_e4m3fnuz,
  f8_e5m2fnuz,
  f8_e8m0,
  c64,
  i64,
  i32,
  i16,
  i8,
  u64,
  u32,
  u16,
  u8,
  boolean
};

/// "F32", …
std::string_view name_of(TensorType type);

/// Bytes of one element.
size_t size_of(TensorType type);

struct TensorEntry {
  TensorType type = TensorType::f32;
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
