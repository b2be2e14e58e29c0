#include "jobs/foreign_lines.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <optional>

#include "core/error.hpp"
#include "core/number.hpp"
#include "core/suggest.hpp"
#include "jobs/prompt_lines.hpp"

namespace sdtorch {
namespace {

/// A flag of another tool: the setting that means the same, or what is said where there is none.
struct LineFlag {
  std::string_view flag;
  std::string_view setting{};  ///< empty: left out
};

constexpr std::array a1111_flags = std::to_array<LineFlag>({
    {"prompt", "prompt"},
    {"negative_prompt", "negative-prompt"},
    {"styles", "style"},
    {"seed", "seed"},
    {"subseed", "variation-seed"},
    {"subseed_strength", "variation-strength"},
    {"seed_resize_from_h"},
    {"seed_resize_from_w"},
    {"sampler_name", "sampler"},
    {"sampler_index"},
    {"batch_size", "batch-size"},
    {"n_iter", "batch-count"},
    {"steps", "steps"},
    {"cfg_scale", "cfg-scale"},
    {"width", "width"},
    {"height", "height"},
    {"sd_model"},
    {"outpath_samples"},
    {"outpath_grids"},
    {"prompt_for_display"},
    {"restore_faces"},
    {"tiling"},
    {"do_not_save_samples"},
    {"do_not_save_grid"},
});

constexpr std::array kohya_flags = std::to_array<LineFlag>({
    {"n", "negative-prompt"},
    {"w", "width"},
    {"h", "height"},
    {"d", "seed"},
    {"s", "steps"},
    {"l", "cfg-scale"},
    {"ss", "sampler"},
    {"t", "strength"},
    {"ow"},
    {"oh"},
    {"ct"},
    {"cl"},
    {"nl"},
    {"am"},
    {"c"},
});

template <size_t count>
const LineFlag* find_flag(const std::array<LineFlag, count>& flags, std::string_view name) {
  const auto* found = std::ranges::find(flags, name, &LineFlag::flag);
  return found == flags.end() ? nullptr : found;
}

const Setting* setting_of(const LineFlag* flag) { return flag ? find_setting(flag->setting) : nullptr; }

template <size_t count>
[[noreturn]] void refuse_unknown(const std::array<LineFlag, count>& flags, std::string_view shown,
                                 const std::string& name) {
  std::vector<std::string> names;
  for (const LineFlag& flag : flags) names.emplace_back(flag.flag);
  refuse(shown, "is no flag of that tool's prompt files", did_you_mean(name, names));
}

/// A script's flag by its name there, hyphens for underscores allowed; empty for what is no flag.
std::string a1111_name(std::string_view word) {
  if (!word.starts_with("--")) return "";
  std::string name(word.substr(2));
  std::ranges::replace(name, '-', '_');
  return name;
}

/// Words as a POSIX shell splits them, without expansion. Throws for a quote that has no end.
std::vector<std::string> shell_words(std::string_view line) {
  std::vector<std::string> words;
  std::optional<std::string> word;
  char quote = 0;
  for (size_t i = 0; i < line.size(); ++i) {
    const char c = line[i];
    const bool escapes = c == '\\' && quote != '\'' && i + 1 < line.size();
    if (escapes && (quote == 0 || line[i + 1] == '"' || line[i + 1] == '\\')) {
      word = word.value_or("") + line[++i];
    } else if (quote != 0 && c == quote) {
      quote = 0;
    } else if (quote == 0 && (c == '"' || c == '\'')) {
      quote = c;
      word = word.value_or("");
    } else if (quote == 0 && (c == ' ' || c == '\t')) {
      if (word) words.push_back(*word);
      word.reset();
    } else {
      word = word.value_or("") + c;
    }
  }
  if (quote != 0) refuse("", fmt::format("a {} has no end", quote), "quote the prompt by the other kind");
  if (word) words.push_back(*word);
  return words;
}

void take_value(Settings& request, std::string_view setting, const std::string& flag, const std::string& value) {
  set_from_text(request, *find_setting(setting), flag, value);
}

int64_t pixels(const std::string& flag, const std::string& value) {
  const auto number = parse_int(value);
  if (!number) refuse(flag, fmt::format("'{}' is not a whole number", value));
  return *number;
}

/// A1111's flags without a setting: what changes the picture is told.
void leave_out(ForeignLine& line, const std::string& name, const std::string& value) {
  if (name == "sd_model") {
    refuse("--sd_model", "the model holds for the whole run, not for a line", "give --model on the command line");
  }
  const std::string lower = ascii_lower(value);
  const bool off = lower == "false" || lower == "0" || lower == "no" || lower.empty();
  const bool changes = name == "sampler_index" || name == "restore_faces" || name == "tiling";
  if (changes && (name == "sampler_index" || !off)) {
    line.left_out.push_back(fmt::format("--{} has no counterpart here and is left out", name));
  }
}

/// Where the flags of kohya's begin: at each ` --` before a letter.
std::vector<std::string_view> kohya_parts(std::string_view line) {
  constexpr std::string_view mark = " --";
  const auto is_letter = [](char c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z'); };
  std::vector<std::string_view> parts;
  size_t start = 0;
  for (size_t at = line.find(mark); at != std::string_view::npos; at = line.find(mark, at + 1)) {
    const size_t word = at + mark.size();
    if (word >= line.size() || !is_letter(line[word])) continue;
    parts.push_back(line.substr(start, at - start));
    start = word;
  }
  parts.push_back(line.substr(start));
  return parts;
}

struct KohyaFlag {
  std::string name{}, value{};
};
KohyaFlag kohya_flag(std::string_view part) {
  const size_t blank = std::min(part.find_first_of(" \t"), part.size());
  return {.name = ascii_lower(part.substr(0, blank)), .value = std::string(without_blanks(part.substr(blank)))};
}

}  // namespace

bool is_a1111_line(std::string_view line) {
  if (!line.starts_with("--")) return false;
  const std::string_view first = line.substr(0, line.find_first_of(" \t"));
  if (!find_flag(a1111_flags, a1111_name(first))) return false;
  return first == "--prompt" || line.find(" --prompt ") != std::string_view::npos;
}

bool is_a1111_flag(std::string_view flag) { return find_flag(a1111_flags, a1111_name(flag)) != nullptr; }

const Setting* setting_of_a1111(std::string_view flag) { return setting_of(find_flag(a1111_flags, a1111_name(flag))); }

ForeignLine read_a1111_line(std::string_view line, const Settings& base) {
  ForeignLine read{.request = base};
  if (line.find("--") == std::string_view::npos) {
    read.request.prompt = line;
    return read;
  }
  const std::vector<std::string> words = shell_words(line);
  PixelPair other_size;
  bool prompted = false, sized = false;
  for (size_t i = 0; i < words.size(); ++i) {
    const std::string name = a1111_name(words[i]);
    if (name.empty())
      refuse(fmt::format("'{}'", words[i]), "stands where a flag belongs", "put the prompt behind --prompt");
    const LineFlag* flag = find_flag(a1111_flags, name);
    if (!flag) refuse_unknown(a1111_flags, words[i], name);
    if (i + 1 == words.size()) refuse(words[i], "needs a value");
    const std::string shown = words[i];
    std::string value = words[++i];
    const bool is_text = name == "prompt" || name == "negative_prompt";
    while (is_text && i + 1 < words.size() && !words[i + 1].starts_with("--")) value += " " + words[++i];
    prompted = prompted || name == "prompt";
    sized = sized || name == "batch_size";
    if (name == "seed_resize_from_h") {
      other_size.vertical = pixels(shown, value);
    } else if (name == "seed_resize_from_w") {
      other_size.horizontal = pixels(shown, value);
    } else if (!find_setting(flag->setting)) {
      leave_out(read, name, value);
    } else {
      take_value(read.request, flag->setting, shown, value);
    }
  }
  if (!prompted) refuse("--prompt", "is missing");
  if (other_size.vertical > 0 && other_size.horizontal > 0) read.request.seed_resize = other_size;  // else none, there
  if (sized)
    read.request.batch_count *=
        std::max<int64_t>(read.request.batch_size, 1);  // its iterations are of so many pictures each
  return read;
}

bool is_kohya_line(std::string_view line) {
  const std::vector<std::string_view> parts = kohya_parts(line);
  if (parts.size() < 2 || parts.front().starts_with("--") || without_blanks(parts.front()).empty()) return false;
  const bool known = std::all_of(parts.begin() + 1, parts.end(), [](std::string_view part) {
    const KohyaFlag flag = kohya_flag(part);
    return find_flag(kohya_flags, flag.name) && !flag.value.empty();
  });
  return known && flags_in(line).size() == parts.size() - 1;
}

bool is_kohya_flag(std::string_view flag) {
  return flag.starts_with("--") && find_flag(kohya_flags, ascii_lower(flag.substr(2))) != nullptr;
}

const Setting* setting_of_kohya(std::string_view flag) {
  return flag.starts_with("--") ? setting_of(find_flag(kohya_flags, ascii_lower(flag.substr(2)))) : nullptr;
}

ForeignLine read_kohya_line(std::string_view line, const Settings& base) {
  ForeignLine read{.request = base};
  const std::vector<std::string_view> parts = kohya_parts(line);
  read.request.prompt = without_blanks(parts.front());
  if (read.request.prompt.starts_with("--")) refuse("", "the prompt is missing", "it stands before the flags");
  std::optional<PixelPair> original, crop;
  for (size_t i = 1; i < parts.size(); ++i) {
    const auto [name, value] = kohya_flag(parts[i]);
    const std::string shown = "--" + name;
    const LineFlag* flag = find_flag(kohya_flags, name);
    if (!flag) refuse_unknown(kohya_flags, shown, name);
    if (value.empty()) refuse(shown, "needs a value");
    if (name == "d" && value.find(',') != std::string::npos) {
      refuse(shown, "names several seeds", "give a line for each");
    }
    if (name == "ow" || name == "oh") {
      original = original.value_or(PixelPair{});
      (name == "ow" ? original->horizontal : original->vertical) = pixels(shown, value);
    } else if (name == "cl" || name == "ct") {
      crop = crop.value_or(PixelPair{});
      (name == "cl" ? crop->horizontal : crop->vertical) = pixels(shown, value);
    } else if (!find_setting(flag->setting)) {
      read.left_out.push_back(fmt::format("--{} has no counterpart here and is left out", name));
    } else {
      take_value(read.request, flag->setting, shown, value);
    }
  }
  if (original) read.request.original_size = original;
  if (crop) read.request.crop = crop;
  return read;
}

}  // namespace sdtorch
