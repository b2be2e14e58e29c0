#include "weights/sidecar.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <system_error>
#include <vector>

#include "core/error.hpp"
#include "io/json.hpp"
#include "io/mapped_file.hpp"

namespace sdtorch {
namespace {

constexpr size_t most_bytes = size_t{1} << 20;
constexpr size_t most_levels = 64;

std::string_view trimmed(std::string_view text) {
  const size_t first = text.find_first_not_of(" \r");
  return first == std::string_view::npos ? "" : text.substr(first, text.find_last_not_of(" \r") - first + 1);
}

/// The line without its comment: from a `#` at its start or after a space, outside of quotes.
std::string_view without_comment(std::string_view line) {
  char quote = 0;
  for (size_t i = 0; i < line.size(); ++i) {
    const char c = line[i];
    if (quote != 0) {
      if (c == quote) quote = 0;
    } else if ((c == '"' || c == '\'') && (i == 0 || line[i - 1] == ' ')) {
      quote = c;
    } else if (c == '#' && (i == 0 || line[i - 1] == ' ' || line[i - 1] == '\t')) {
      return line.substr(0, i);
    }
  }
  return line;
}

std::string unquoted(std::string_view text) {
  if (text.size() >= 2 && (text.front() == '"' || text.front() == '\'') && text.back() == text.front()) {
    text = text.substr(1, text.size() - 2);
  }
  return std::string(text);
}

class YamlReader {
 public:
  explicit YamlReader(const std::string& file) : file_(file) {}

  void add(std::string_view line) {
    ++number_;
    line = without_comment(line);
    const size_t indent = line.find_first_not_of(' ');
    std::string_view text = trimmed(line);
    if (text.empty() || text.starts_with("%") || text == "---" || text == "...") return;
    if (indent > skipped_below_) return;  // inside a block of text, or a list over several lines
    skipped_below_ = std::string::npos;
    if (open_brackets_ > 0) return count_brackets(text);
    if (text.front() == '\t') fail("a tab, where YAML wants spaces");
    size_t column = indent;
    while (!levels_.empty() && levels_.back().column >= column) levels_.pop_back();
    while (text.starts_with("- ") || text == "-") {
      push({column, "-"});
      const size_t next = text.find_first_not_of(' ', 1);
      if (next == std::string_view::npos) return;
      column += next;
      text.remove_prefix(next);
    }
    add_entry(column, text);
  }

  std::map<std::string, std::string> take() { return std::move(scalars_); }

 private:
  struct Level {
    size_t column;
    std::string name;
  };

  void add_entry(size_t column, std::string_view text) {
    const size_t colon = text.ends_with(':') ? std::min(text.find(": "), text.size() - 1) : text.find(": ");
    if (colon == std::string_view::npos) {
      const bool item = !levels_.empty() && levels_.back().name == "-";
      if (!item) fail("`key: value` was expected");
      return scalar(unquoted(text));
    }
    push({column, unquoted(trimmed(text.substr(0, colon)))});
    const std::string_view value = trimmed(text.substr(colon + 1));
    if (value.starts_with('|') || value.starts_with('>')) {
      skipped_below_ = column;
    } else if (value.starts_with('{') && value.find_first_of("[]{}", 1) == value.size() - 1) {
      add_inline(value.substr(1, value.size() - 2));
    } else if (value.starts_with('[') || value.starts_with('{')) {
      count_brackets(value);
    } else if (!value.empty()) {
      scalar(unquoted(value));
    }
  }

  /// `a: 1, b: "x"`, what a pair of braces in one line holds.
  void add_inline(std::string_view text) {
    while (!text.empty()) {
      const size_t end = std::min(text.find(','), text.size());
      const std::string_view entry = text.substr(0, end);
      text.remove_prefix(std::min(end + 1, text.size()));
      const size_t colon = entry.find(": ");
      if (colon == std::string_view::npos) continue;
      push({levels_.back().column + 1, unquoted(trimmed(entry.substr(0, colon)))});
      scalar(unquoted(trimmed(entry.substr(colon + 1))));
      levels_.pop_back();
    }
  }

  void push(Level level) {
    if (levels_.size() == most_levels) fail(fmt::format("nested more than {} levels deep", most_levels));
    levels_.push_back(std::move(level));
  }

  void scalar(const std::string& value) {
    std::string path;
    for (const Level& level : levels_) path += (path.empty() ? "" : ".") + level.name;
    scalars_.emplace(path, value);
  }

  void count_brackets(std::string_view text) {
    for (const char c : text) {
      if (c == '[' || c == '{') ++open_brackets_;
      if ((c == ']' || c == '}') && open_brackets_ > 0) --open_brackets_;
    }
  }

  [[noreturn]] void fail(const std::string& reason) const {
    throw Error(ErrorKind::model, {.file = file_, .place = fmt::format("line {}", number_), .reason = reason});
  }

  const std::string& file_;
  size_t number_ = 0, open_brackets_ = 0, skipped_below_ = std::string::npos;
  std::vector<Level> levels_{};
  std::map<std::string, std::string> scalars_{};
};

void flatten(const nlohmann::json& value, const std::string& path, std::map<std::string, std::string>& scalars) {
  if (value.is_object()) {
    const std::string start = path.empty() ? "" : path + ".";
    for (const auto& [key, item] : value.items()) flatten(item, start + key, scalars);
  } else if (value.is_string()) {
    scalars.emplace(path, value.get<std::string>());
  } else if (!value.is_array() && !value.is_null()) {
    scalars.emplace(path, value.dump());
  }
}

}  // namespace

std::optional<std::string> Sidecar::find(std::string_view name) const {
  for (const auto& [path, value] : settings) {
    const bool ends = path.ends_with(name) && path.size() > name.size() && path[path.size() - name.size() - 1] == '.';
    if (path == name || ends) return value;
  }
  return std::nullopt;
}

std::map<std::string, std::string> read_yaml_scalars(std::string_view text, const std::string& file) {
  YamlReader reader(file);
  while (!text.empty()) {
    const size_t end = std::min(text.find('\n'), text.size());
    reader.add(text.substr(0, end));
    text.remove_prefix(std::min(end + 1, text.size()));
  }
  return reader.take();
}

std::optional<Sidecar> find_sidecar(const std::filesystem::path& model) {
  for (const char* suffix : {".yaml", ".yml", ".json"}) {
    std::filesystem::path file = model;
    file.replace_extension(suffix);
    std::error_code ignored;
    if (file == model || !std::filesystem::is_regular_file(file, ignored)) continue;
    Sidecar sidecar{.file = file};
    if (suffix == std::string_view(".json")) {
      sidecar.document = read_json_file(file, ErrorKind::model, {.max_bytes = most_bytes});
      flatten(sidecar.document, {}, sidecar.settings);
      return sidecar;
    }
    const MappedFile mapped(file, ErrorKind::model);
    if (mapped.bytes().size() > most_bytes) {
      throw Error(ErrorKind::model,
                  {.file = file.string(), .reason = fmt::format("is longer than {} bytes", most_bytes)});
    }
    sidecar.settings =
        read_yaml_scalars({reinterpret_cast<const char*>(mapped.bytes().data()), mapped.bytes().size()}, file.string());
    return sidecar;
  }
  return std::nullopt;
}

}  // namespace sdtorch
