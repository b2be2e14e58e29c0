#include "pipeline/flag_names.hpp"

#include <string>
#include <string_view>

namespace sdtorch {
namespace {

constexpr std::string_view field_names[]{"sampler", "scheduler",  "sigmas",  "spacing", "eta",
                                         "steps",   "prediction", "refiner", "strength"};

std::string flagged(std::string text) {
  for (const std::string_view field : field_names) {
    const std::string name = "{" + std::string(field) + "}", flag = "--" + std::string(field);
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
