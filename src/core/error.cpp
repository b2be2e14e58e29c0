#include "sdtorch/core/error.hpp"

namespace sdtorch {
namespace {

std::string message(const ErrorParts& parts) {
  std::string text;
  for (const std::string* part : {&parts.file, &parts.place}) {
    if (!part->empty()) text += *part + ": ";
  }
  text += parts.reason;
  if (!parts.hint.empty()) text += "; " + parts.hint;
  return text;
}

}  // namespace

Error::Error(ErrorKind kind, ErrorParts parts)
    : std::runtime_error(message(parts)), kind_(kind), parts_(std::move(parts)) {}

}  // namespace sdtorch
