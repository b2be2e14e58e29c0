#include "jobs/wildcards.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <fstream>
#include <optional>

#include "core/error.hpp"
#include "core/suggest.hpp"
#include "core/utf8.hpp"
#include "jobs/prompt_lines.hpp"

namespace sdtorch {
namespace {

namespace fs = std::filesystem;

constexpr std::string_view mark = "__";
constexpr size_t deepest = 20;                           // lists that lead to one another
constexpr size_t longest_text = size_t{1} << 20;         // bytes of an expanded prompt
constexpr uintmax_t largest_list = uintmax_t{64} << 20;  // bytes of a file
constexpr size_t longest_name = 200;                     // bytes
constexpr size_t most_looked_at = 10'000;                // files that near names are looked for among
constexpr size_t most_named = 3;                         // that a message names
constexpr uint64_t golden_ratio = 0x9E3779B97F4A7C15;

uint64_t mix(uint64_t z) {
  z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9;
  z = (z ^ (z >> 27)) * 0x94D049BB133111EB;
  return z ^ (z >> 31);
}

/// Characters that a prompt's grammar has a use for, or that no file's name has, end what could be a name.
bool is_name(std::string_view name) {
  const auto is_outside = [](char c) {
    return static_cast<unsigned char>(c) < 0x20 ||
           std::string_view("(){}[]<>|:,;\"\\?*").find(c) != std::string_view::npos;
  };
  constexpr std::string_view no_ends = " _";
  return !name.empty() && name.size() <= longest_name && no_ends.find(name.front()) == std::string_view::npos &&
         no_ends.find(name.back()) == std::string_view::npos && std::ranges::none_of(name, is_outside);
}

struct Found {
  size_t start = 0, end = 0;  ///< of the whole, marks included
  std::string_view name{};
};

/// The first wildcard from `from` on.
std::optional<Found> find_wildcard(std::string_view text, size_t from) {
  for (size_t start = text.find(mark, from); start != std::string_view::npos; start = text.find(mark, start + 1)) {
    const size_t name_at = start + mark.size();
    const size_t end = text.find(mark, name_at + 1);
    if (end == std::string_view::npos) return std::nullopt;
    const std::string_view name = text.substr(name_at, end - name_at);
    if (is_name(name)) return Found{.start = start, .end = end + mark.size(), .name = name};
  }
  return std::nullopt;
}

std::string flag_of(PromptSide side) { return side == PromptSide::prompt ? "--prompt" : "--negative-prompt"; }

std::string read_list_file(const fs::path& file) {
  std::error_code error;
  if (!fs::is_regular_file(file, error)) fail(ErrorKind::input, file, "", "is no file");
  if (fs::file_size(file, error) > largest_list) {
    fail(ErrorKind::input, file, "", fmt::format("is longer than {} bytes", largest_list));
  }
  std::ifstream in(file, std::ios::binary);
  std::string text{std::istreambuf_iterator<char>(in), std::istreambuf_iterator<char>()};
  if (!in) fail(ErrorKind::input, file, "", "cannot be read");
  return text;
}

}  // namespace

bool has_wildcards(std::string_view text) { return find_wildcard(text, 0).has_value(); }

Wildcards::Wildcards(fs::path folder) : folder_(std::move(folder)) {
  std::error_code error;
  root_ = fs::canonical(folder_, error);
  if (error || !fs::is_directory(root_, error)) {
    refuse("--wildcards", fmt::format("there is no folder '{}'", folder_.string()));
  }
}

fs::path Wildcards::file_of(const std::string& name, const std::string& flag) const {
  const auto refuse_name = [&](std::string reason, std::string hint = {}) {
    const std::string from =
        being_read_.size() > 1 ? fmt::format(" in {}.txt", being_read_[being_read_.size() - 2]) : "";
    refuse(flag, fmt::format("__{}__{}: {}", name, from, reason), std::move(hint));
  };
  for (const fs::path& part : fs::path(name)) {
    if (part == ".." || part == "/" || part == ".") refuse_name(fmt::format("leads out of {}", folder_.string()));
  }
  const fs::path file = folder_ / (name + ".txt");
  std::error_code error;
  if (!fs::exists(file, error)) refuse_name(fmt::format("there is no {}", file.string()), nearest_names(name));
  const fs::path real = fs::canonical(file, error);
  const auto end = std::mismatch(root_.begin(), root_.end(), real.begin(), real.end()).first;
  if (error || end != root_.end()) refuse_name(fmt::format("leads out of {}", folder_.string()));
  return file;
}

std::string Wildcards::nearest_names(const std::string& name) const {
  std::vector<std::string> known;
  std::error_code error;
  fs::recursive_directory_iterator entry(folder_, fs::directory_options::skip_permission_denied, error), end;
  for (; !error && entry != end && known.size() < most_looked_at; entry.increment(error)) {
    if (entry->path().extension() != ".txt") continue;
    known.push_back(entry->path().lexically_relative(folder_).replace_extension().generic_string());
  }
  std::ranges::sort(known);
  std::vector<std::string> near;
  for (const std::string& one : known) {  // colour for animals/colour
    if (fs::path(one).filename() == fs::path(name).filename()) near.push_back(one);
  }
  for (std::string next = nearest(name, known); !next.empty() && near.size() < most_named;
       next = nearest(name, known)) {
    if (std::ranges::find(near, next) == near.end()) near.push_back(next);
    std::erase(known, next);
  }
  if (near.empty() && !known.empty()) {
    known.resize(std::min(known.size(), most_named));
    return fmt::format("there is {}", fmt::join(known, ", "));
  }
  return near.empty() ? "the folder holds no .txt file" : fmt::format("did you mean {}?", fmt::join(near, ", "));
}

Wildcards::List Wildcards::read(const std::string& name, const std::string& flag) {
  const fs::path file = file_of(name, flag);
  const std::string text = read_list_file(file);
  List list;
  size_t number = 0;
  for (const std::string_view line : split_lines(text)) {
    ++number;
    if (const auto offset = invalid_utf8_offset(line)) {
      fail(ErrorKind::input, file, fmt::format("line {}: offset {}", number, *offset), "the text is not UTF-8");
    }
    if (line.find('\0') != std::string_view::npos) {
      fail(ErrorKind::input, file, fmt::format("line {}", number), "the text holds a NUL character");
    }
    const std::string_view content = without_blanks(line);
    if (content.empty() || content.starts_with('#')) continue;
    list.lines.emplace_back(content);
  }
  if (list.lines.empty()) fail(ErrorKind::input, file, "", "holds no line to choose");
  for (const std::string& line : list.lines) {
    for (auto found = find_wildcard(line, 0); found; found = find_wildcard(line, found->end)) {
      list.depth = std::max(list.depth, 1 + this->list(std::string(found->name), flag).depth);
    }
  }
  if (list.depth > deepest) fail(ErrorKind::input, file, "", fmt::format("leads more than {} lists deep", deepest));
  return list;
}

const Wildcards::List& Wildcards::list(const std::string& name, const std::string& flag) {
  if (const auto known = lists_.find(name); known != lists_.end()) return known->second;
  const auto before = std::ranges::find(being_read_, name);
  if (before != being_read_.end()) {
    const std::vector<std::string> round(before, being_read_.end());
    fail(ErrorKind::input, folder_ / (being_read_.back() + ".txt"), "",
         fmt::format("__{}__ leads back to itself: {}, {}", name, fmt::join(round, ", "), name));
  }
  if (being_read_.size() == deepest) {
    fail(ErrorKind::input, folder_ / (being_read_.front() + ".txt"), "",
         fmt::format("leads more than {} lists deep", deepest));
  }
  being_read_.push_back(name);
  try {
    List list = read(name, flag);
    being_read_.pop_back();
    return lists_.emplace(name, std::move(list)).first->second;
  } catch (...) {
    being_read_.pop_back();
    throw;
  }
}

void Wildcards::replace(std::string_view text, uint64_t key, const std::string& flag, std::string& made) {
  size_t at = 0;
  uint64_t place = 0;
  const auto add = [&](std::string_view part) {
    made += part;
    if (made.size() > longest_text) refuse(flag, fmt::format("its wildcards make more than {} bytes", longest_text));
  };
  for (auto found = find_wildcard(text, 0); found; found = find_wildcard(text, at)) {
    add(text.substr(at, found->start - at));
    at = found->end;
    const std::vector<std::string>& lines = list(std::string(found->name), flag).lines;
    const uint64_t own = mix(key + ++place * golden_ratio);
    replace(lines[((own >> 32) * lines.size()) >> 32], own, flag, made);
  }
  add(text.substr(at));
}

std::string Wildcards::expand(std::string_view text, uint64_t seed, PromptSide side) {
  std::string made;
  replace(text, mix(seed + static_cast<uint64_t>(side) * golden_ratio), flag_of(side), made);
  return made;
}

}  // namespace sdtorch
