#include <algorithm>

#include "cli/flags.hpp"

namespace sdtorch {
namespace {

constexpr size_t line_width = 80;
constexpr size_t help_column = 26;  // where a flag's explanation starts, on a line of its own if the names reach it

/// Columns that UTF-8 text takes: what we print has no wide or combining characters.
size_t columns(std::string_view text) {
  return static_cast<size_t>(std::count_if(text.begin(), text.end(), [](char c) { return (c & 0xC0) != 0x80; }));
}

/// Breaks text at spaces; each line starts at `indent`, the first one where `line` already is.
std::string wrap(std::string line, const std::string& text, size_t indent) {
  std::string out;
  bool fresh = true;
  for (size_t start = 0; start < text.size();) {
    const size_t end = std::min(text.find(' ', start), text.size());
    const std::string word = text.substr(start, end - start);
    if (!fresh && columns(line) + 1 + columns(word) > line_width) {
      out += line + "\n";
      line = std::string(indent, ' ');
      fresh = true;
    }
    line += (fresh ? "" : " ") + word;
    fresh = false;
    start = end + 1;
  }
  return out + line + "\n";
}

std::string flag_text(const Flag& flag) {
  const bool short_first = flag.names.starts_with('-') && !flag.names.starts_with("--");
  const std::string indent = short_first || !flag.names.starts_with('-') ? "  " : "      ";
  std::string out;
  std::string line = indent + flag.names + (flag.value.empty() ? "" : " " + flag.value);
  if (columns(line) > line_width) {
    out = wrap(indent, flag.names + " " + flag.value, indent.size());
    line.clear();
  } else if (columns(line) + 2 > help_column) {
    out = line + "\n";
    line.clear();
  }
  line.resize(line.size() + (help_column - columns(line)), ' ');
  return out + wrap(line, flag.help, help_column);
}

}  // namespace

std::string help_text(const CommandSpec& command) {
  std::string out = wrap("usage: ", command.usage, 7) + "\n" + wrap("", command.summary, 0);
  for (const FlagGroup& group : command.groups) {
    out += "\n" + group.title + ":\n";
    for (const Flag& flag : group.flags) out += flag_text(flag);
  }
  return command.footer.empty() ? out : out + "\n" + command.footer;
}

}  // namespace sdtorch
