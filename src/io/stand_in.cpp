#include "io/stand_in.hpp"

#include <fmt/format.h>

namespace sdtorch {
namespace {

constexpr StandIn stand_ins[] = {
    {"version https://git-lfs", "is a Git LFS pointer", "fetch them with `git lfs pull`"},
    {"<?xml", "is XML, an error message perhaps", "download the file again"},
    {"<", "is a web page", "download the file itself, without the page around it"},
};

}  // namespace

std::optional<StandIn> stand_in(std::string_view text) {
  const std::string_view start = without_space_in_front(text);
  for (const StandIn& known : stand_ins) {
    if (start.starts_with(known.begin)) return known;
  }
  return std::nullopt;
}

void refuse_stand_in(std::string_view text, const std::string& file, ErrorKind kind) {
  const auto found = stand_in(text);
  if (!found) return;
  throw Error(kind, {.file = file,
                     .reason = fmt::format("{}, not the contents themselves", found->what),
                     .hint = std::string(found->hint)});
}

std::string_view without_space_in_front(std::string_view text) {
  if (text.starts_with("\xef\xbb\xbf")) text.remove_prefix(3);
  const size_t start = text.find_first_not_of(" \t\r\n");
  return start == std::string_view::npos ? std::string_view() : text.substr(start);
}

}  // namespace sdtorch
