#include "pipeline/flag_names.hpp"

#include <fmt/format.h>

#include <string>

#include "pipeline/settings.hpp"

namespace sdtorch {
namespace {

std::string flagged(std::string text) {
  for (const Setting& setting : settings()) {
    const std::string name = fmt::format("{{{}}}", setting.name), flag = fmt::format("--{}", setting.name);
    for (size_t at = text.find(name); at != std::string::npos; at = text.find(name, at)) {
      text.replace(at, name.size(), flag);
    }
  }
  return text;
}

}  // namespace

Error with_flags(const Error& error) {
  ErrorParts parts = error.parts();
  if (error.kind() == ErrorKind::usage && parts.file.empty()) parts.file = "--" + std::exchange(parts.place, "");
  parts.reason = flagged(std::move(parts.reason));
  parts.hint = flagged(std::move(parts.hint));
  return {error.kind(), std::move(parts)};
}

}  // namespace sdtorch
