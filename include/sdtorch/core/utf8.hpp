// Whether bytes are text.
#pragma once

#include <cstddef>
#include <optional>
#include <string_view>

namespace sdtorch {

/// The offset of the first byte that does not belong to well-formed UTF-8 (RFC 3629: no overlong forms, no
/// surrogates, nothing above U+10FFFF), or none.
std::optional<size_t> invalid_utf8_offset(std::string_view text);

}  // namespace sdtorch
