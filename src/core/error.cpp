#include "core/error.hpp"

#include "core/utf8.hpp"

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

void refuse(std::string_view flag, std::string reason, std::string hint) {
  throw Error(ErrorKind::usage, {.file = std::string(flag), .reason = std::move(reason), .hint = std::move(hint)});
}

void fail(ErrorKind kind, const std::filesystem::path& file, std::string place, std::string reason, std::string hint) {
  throw Error(kind,
              {.file = file.string(), .place = std::move(place), .reason = std::move(reason), .hint = std::move(hint)});
}

}  // namespace sdtorch
