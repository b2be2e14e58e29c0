#include "sdtorch/core/error.hpp"

#include "sdtorch/core/utf8.hpp"

namespace sdtorch {
namespace {

constexpr size_t shown_place_bytes = 200;  // a place may be a key that is a megabyte long

std::string message(const ErrorParts& parts) {
  std::string text;
  if (!parts.file.empty()) text += parts.file + ": ";
  if (!parts.place.empty()) text += shortened(parts.place, shown_place_bytes) + ": ";
  text += parts.reason;
  if (!parts.hint.empty()) text += "; " + parts.hint;
  return harmless(text);  // a zero byte in a name would end the message there
}

}  // namespace

Error::Error(ErrorKind kind, ErrorParts parts)
    : std::runtime_error(message(parts)), kind_(kind), parts_(std::move(parts)) {}

}  // namespace sdtorch
