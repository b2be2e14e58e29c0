#include "core/utf8.hpp"

#include <utf8proc.h>

#include <algorithm>

namespace sdtorch {

namespace {

/// Bytes of the well-formed character that the text begins with, 0 where it begins with none.
size_t character_length(std::string_view text) {
  utf8proc_int32_t code_point = 0;
  const auto* bytes = reinterpret_cast<const utf8proc_uint8_t*>(text.data());
  const utf8proc_ssize_t length = utf8proc_iterate(bytes, static_cast<utf8proc_ssize_t>(text.size()), &code_point);
  return length > 0 ? static_cast<size_t>(length) : 0;
}

}  // namespace

std::optional<size_t> invalid_utf8_offset(std::string_view text) {
  for (size_t offset = 0; offset < text.size();) {
    const size_t length = character_length(text.substr(offset));
    if (length == 0) return offset;
    offset += length;
  }
  return std::nullopt;
}

std::string harmless(std::string_view text) {
  std::string shown;
  shown.reserve(text.size());
  for (size_t i = 0; i < text.size();) {
    const size_t length = character_length(text.substr(i));
    const auto code = static_cast<unsigned char>(text[i]);
    const bool c0 = (code < 0x20 && code != '\n' && code != '\t') || code == 0x7F;
    const bool c1 = code == 0xC2 && length == 2 && static_cast<unsigned char>(text[i + 1]) < 0xA0;
    if (length == 0 || c0 || c1) {
      shown += '?';
    } else {
      shown += text.substr(i, length);
    }
    i += std::max<size_t>(length, 1);
  }
  return shown;
}

std::string shortened(std::string_view text, size_t bytes) {
  if (text.size() <= bytes) return std::string(text);
  size_t end = 0;
  while (end < bytes) {
    const size_t length = std::max<size_t>(character_length(text.substr(end)), 1);
    if (length > bytes - end) break;
    end += length;
  }
  return std::string(text.substr(0, end)) + "…";
}

}  // namespace sdtorch
