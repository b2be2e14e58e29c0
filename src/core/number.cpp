#include "core/number.hpp"

#include <charconv>
#include <cmath>

namespace sdtorch {
namespace {

template <typename Number>
std::optional<Number> parse(std::string_view text) {
  Number number{};
  const char* end = text.data() + text.size();
  const auto [stop, error] = std::from_chars(text.data(), end, number);
  if (error != std::errc() || stop != end) return std::nullopt;
  return number;
}

}  // namespace

std::optional<int64_t> parse_int(std::string_view text) { return parse<int64_t>(text); }

std::optional<uint64_t> parse_unsigned(std::string_view text) { return parse<uint64_t>(text); }

std::optional<double> parse_real(std::string_view text) {
  const std::optional<double> number = parse<double>(text);
  return number && std::isfinite(*number) ? number : std::nullopt;
}

}  // namespace sdtorch
