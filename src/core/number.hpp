// Numbers as people and files write them, read strictly: all of the text, no overflow, no NaN, no infinity.
#pragma once

#include <cstdint>
#include <optional>
#include <string_view>

namespace sdtorch {

/// Decimal digits with an optional `-`; nothing else before, between or after them.
std::optional<int64_t> parse_int(std::string_view text);

/// Decimal digits alone, 0…2^64-1.
std::optional<uint64_t> parse_unsigned(std::string_view text);

/// A finite decimal number: `7`, `7.5`, `.5`, `-1e-3`.
std::optional<double> parse_real(std::string_view text);

}  // namespace sdtorch
