// Base64 (RFC 4648, section 4).
#pragma once

#include <optional>
#include <string>
#include <string_view>

namespace sdtorch {

/// The bytes; nothing where a character is none of its alphabet's. Padding may be missing.
std::optional<std::string> decode_base64(std::string_view text);

}  // namespace sdtorch
