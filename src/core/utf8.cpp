#include "core/utf8.hpp"

#include <utf8proc.h>

#include <algorithm>
#include <array>

#include "core/error.hpp"

namespace sdtorch {

Utf8Character first_character(std::string_view text) {
  utf8proc_int32_t code = 0;
  const auto* bytes = reinterpret_cast<const utf8proc_uint8_t*>(text.data());
  const utf8proc_ssize_t length = utf8proc_iterate(bytes, static_cast<utf8proc_ssize_t>(text.size()), &code);
  if (length <= 0) return {};
  return {.code = static_cast<char32_t>(code), .bytes = static_cast<size_t>(length)};
}

char32_t next_code_point(std::string_view text, size_t& offset) {
  const Utf8Character character = first_character(text.substr(offset));
  if (character.bytes == 0) throw Error(ErrorKind::bug, {.reason = "text was not checked to be UTF-8"});
  offset += character.bytes;
  return character.code;
}

std::string utf8(char32_t code) {
  std::array<utf8proc_uint8_t, 4> bytes{};
  const utf8proc_ssize_t size = utf8proc_encode_char(static_cast<utf8proc_int32_t>(code), bytes.data());
  return {bytes.begin(), bytes.begin() + size};
}

std::optional<size_t> invalid_utf8_offset(std::string_view text) {
  for (size_t offset = 0; offset < text.size();) {
    const size_t length = first_character(text.substr(offset)).bytes;
    if (length == 0) return offset;
    offset += length;
  }
  return std::nullopt;
}

std::string harmless(std::string_view text) {
  std::string shown;
  shown.reserve(text.size());
  for (size_t i = 0; i < text.size();) {
    const size_t length = first_character(text.substr(i)).bytes;
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
    const size_t length = std::max<size_t>(first_character(text.substr(end)).bytes, 1);
    if (length > bytes - end) break;
    end += length;
  }
  return std::string(text.substr(0, end)) + "…";
}

}  // namespace sdtorch
