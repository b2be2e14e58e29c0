#include "io/weights_format.hpp"

#include <fmt/format.h>

#include <algorithm>

#include "core/error.hpp"
#include "core/utf8.hpp"
#include "io/stand_in.hpp"

namespace sdtorch {
namespace {

using namespace std::string_view_literals;

/// What people have instead of weights that can be read, told by bytes at an offset.
struct OtherFile {
  size_t offset;
  std::string_view bytes;
  std::string_view what;
  std::string_view hint;
};

constexpr std::string_view other_model_hint = "use the model's .safetensors or .ckpt files";
constexpr std::string_view unpack_hint = "unpack it, and name the model in it";
constexpr std::string_view picture_hint = "a model was expected";

constexpr OtherFile other_files[] = {
    {0, "GGUF"sv, "is a GGUF model, which is not read", other_model_hint},
    {0, "lmgg"sv, "is a GGML model, which is not read", other_model_hint},
    {0, "\x89HDF\r\n\x1a\n"sv, "is an HDF5 file, such as Keras models, which is not read", other_model_hint},
    {4, "TFL3"sv, "is a TensorFlow Lite model, which is not read", other_model_hint},
    {0, "\x93NUMPY"sv, "is a NumPy array, which is not read", other_model_hint},
    {0, "\x1f\x8b"sv, "is compressed with gzip", unpack_hint},
    {0, "7z\xbc\xaf\x27\x1c"sv, "is a 7z archive", unpack_hint},
    {0, "Rar!\x1a\x07"sv, "is a RAR archive", unpack_hint},
    {0,
     "\xfd"
     "7zXZ\0"sv,
     "is compressed with xz", unpack_hint},
    {0, "\x28\xb5\x2f\xfd"sv, "is compressed with zstd", unpack_hint},
    {0, "BZh"sv, "is compressed with bzip2", unpack_hint},
    {0, "PK\x05\x06"sv, "is a zip archive with nothing in it", "download the file again"},
    {257, "ustar"sv, "is a tar archive", unpack_hint},
    {0, "\x89PNG"sv, "is a PNG picture, not weights", picture_hint},
    {0, "\xff\xd8\xff"sv, "is a JPEG picture, not weights", picture_hint},
    {0, "GIF8"sv, "is a GIF picture, not weights", picture_hint},
    {8, "WEBP"sv, "is a WebP picture, not weights", picture_hint},
    {0, "%PDF"sv, "is a PDF document, not weights", "a model was expected"},
    {0,
     "\x7f"
     "ELF"sv,
     "is a program, not weights", "a model was expected"},
    {0, "\0\x05\x16\x07"sv, "holds a file's attributes as macOS keeps them (`._NAME`), not weights",
     "use the file without `._` in front"},
};

constexpr size_t probe_bytes = 512;  // of text and of zeros; enough to tell, whatever the file's size

uint8_t byte_at(std::string_view text, size_t i) { return i < text.size() ? static_cast<uint8_t>(text[i]) : 0; }

bool is_control(char c) { return static_cast<uint8_t>(c) < 0x20 && c != '\n' && c != '\r' && c != '\t'; }

/// A header's length, which no text has in front of a brace; JSON of the wrong kind is for the reader to name.
bool is_safetensors(std::string_view text) {
  const std::string_view length = text.substr(0, 8);
  const bool below_4_gib = text.size() > 8 && length.ends_with("\0\0\0\0"sv);
  if (below_4_gib && (text[8] == '[' || text[8] == ' ')) return true;
  return byte_at(text, 8) == '{' &&
         (std::any_of(length.begin(), length.end(), is_control) || invalid_utf8_offset(length).has_value());
}

/// A protocol of 2 to 5; what follows is for the reader.
bool is_pickle(std::string_view text) { return byte_at(text, 0) == 0x80 && byte_at(text, 1) - 2U < 4U; }

/// ModelProto (onnx.proto): field 1, the version, as a small number, then one of its first other fields.
bool is_onnx(std::string_view text) {
  constexpr std::string_view next_fields = "\x12\x1a\x22\x2a\x32\x3a\x42";
  return byte_at(text, 0) == 0x08 && byte_at(text, 1) - 1U < 20U && text.size() > 2 &&
         next_fields.find(text[2]) != std::string_view::npos;
}

/// A msgpack map whose first key is a string: how Flax writes parameters.
bool is_msgpack_map(std::string_view text) {
  const uint8_t first = byte_at(text, 0);
  const size_t key = first > 0x80 && first < 0x90 ? 1 : first == 0xde ? 3 : first == 0xdf ? 5 : 0;
  const uint8_t type = byte_at(text, key);
  return key > 0 && ((type > 0xa0 && type < 0xc0) || type == 0xd9 || type == 0xda);
}

/// A character may be cut at the probe's end.
bool is_text(std::string_view probe) {
  const auto invalid = invalid_utf8_offset(probe);
  const bool well_formed = !invalid || (probe.size() == probe_bytes && *invalid + 4 > probe.size());
  return well_formed && std::none_of(probe.begin(), probe.end(), [](char c) { return is_control(c) || c == '\x7f'; });
}

/// The first line, as far as a message has room for it.
std::string quoted_start(std::string_view text) {
  constexpr size_t room = 80;
  return fmt::format("`{}`", shortened(text.substr(0, text.find_first_of("\r\n")), room));
}

}  // namespace

std::string_view name_of(WeightsFormat format) {
  switch (format) {
    case WeightsFormat::torch_zip:
      return "PyTorch (zip)";
    case WeightsFormat::torch_legacy:
      return "PyTorch (legacy)";
    default:
      return "safetensors";
  }
}

WeightsFormat weights_format(std::span<const std::byte> file, const std::string& name) {
  const std::string_view text(reinterpret_cast<const char*>(file.data()), file.size());
  const auto fail = [&](std::string reason, std::string_view hint) {
    throw Error(ErrorKind::model, {.file = name, .reason = std::move(reason), .hint = std::string(hint)});
  };
  constexpr std::string_view again = "download the file again";
  if (text.empty()) fail("is empty, a model's weights were expected", again);
  if (is_safetensors(text)) return WeightsFormat::safetensors;
  if (text.starts_with("PK\x03\x04")) return WeightsFormat::torch_zip;
  if (is_pickle(text)) return WeightsFormat::torch_legacy;

  const std::string_view probe = text.substr(0, probe_bytes);
  const std::string_view start = without_space_in_front(probe);
  if (const auto found = stand_in(probe)) fail(fmt::format("{}, not the weights themselves", found->what), found->hint);
  for (const OtherFile& other : other_files) {
    const std::string_view there = other.offset > 0 ? text.substr(std::min(other.offset, text.size())) : start;
    if (there.starts_with(other.bytes)) fail(std::string(other.what), other.hint);
  }
  if (is_onnx(text)) fail("is an ONNX model, which is not read", other_model_hint);
  if (is_msgpack_map(text)) fail("is a msgpack file, such as Flax models, which is not read", other_model_hint);
  if (probe.find_first_not_of('\0') == std::string_view::npos) {
    fail("begins with zeros alone, like a download that was never finished", again);
  }
  if (is_text(probe)) {
    const bool json = start.starts_with('{') || start.starts_with('[');
    fail(fmt::format("is {}, not weights; it begins with {}", json ? "JSON" : "text", quoted_start(start)),
         json ? "an error message instead of the file, or the weights' index or config" : again);
  }
  fail("is none of the formats that are read: safetensors, PyTorch's .ckpt, .pt, .pth and .bin", again);
  return {};
}

}  // namespace sdtorch
