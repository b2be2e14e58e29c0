#include "sdtorch/core/utf8.hpp"

#include <utf8proc.h>

namespace sdtorch {

std::optional<size_t> invalid_utf8_offset(std::string_view text) {
  const auto* bytes = reinterpret_cast<const utf8proc_uint8_t*>(text.data());
  for (size_t offset = 0; offset < text.size();) {
    utf8proc_int32_t code_point = 0;
    const auto left = static_cast<utf8proc_ssize_t>(text.size() - offset);
    const utf8proc_ssize_t length = utf8proc_iterate(bytes + offset, left, &code_point);
    if (length <= 0) return offset;
    offset += static_cast<size_t>(length);
  }
  return std::nullopt;
}

std::string harmless(std::string_view text) {
  std::string shown;
  shown.reserve(text.size());
  const auto* bytes = reinterpret_cast<const utf8proc_uint8_t*>(text.data());
  for (size_t offset = 0; offset < text.size();) {
    utf8proc_int32_t code = 0;
    const auto left = static_cast<utf8proc_ssize_t>(text.size() - offset);
    const utf8proc_ssize_t length = utf8proc_iterate(bytes + offset, left, &code);
    const size_t taken = length > 0 ? static_cast<size_t>(length) : 1;
    const bool c0 = (code < 0x20 && code != '\n' && code != '\t') || code == 0x7F;
    const bool c1 = code >= 0x80 && code < 0xA0;
    if (length <= 0 || c0 || c1) {
      shown += '?';
    } else {
      shown += text.substr(offset, taken);
    }
    offset += taken;
  }
  return shown;
}

}  // namespace sdtorch
