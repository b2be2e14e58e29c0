#include "jobs/line_flags.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <optional>

#include "core/error.hpp"
#include "core/utf8.hpp"
#include "jobs/foreign_lines.hpp"
#include "jobs/prompt_faults.hpp"
#include "jobs/prompt_lines.hpp"
#include "text/prompt/syntax_error.hpp"

namespace sdtorch {
namespace {

/// Flags of other tools' prompt files by ours that mean the same.
struct OtherSpelling {
  std::string_view flag, ours;
};
constexpr std::array other_spellings = std::to_array<OtherSpelling>({{"n", "negative-prompt"},
                                                                     {"w", "width"},
                                                                     {"h", "height"},
                                                                     {"d", "seed"},
                                                                     {"l", "cfg-scale"},
                                                                     {"ss", "sampler"},
                                                                     {"ow", "original-size"},
                                                                     {"sampler-name", "sampler"},
                                                                     {"n-iter", "batch-count"},
                                                                     {"batch", "batch-count"}});

bool is_letter_at(std::string_view text, size_t at) {
  return at < text.size() && ((text[at] >= 'a' && text[at] <= 'z') || (text[at] >= 'A' && text[at] <= 'Z'));
}

bool is_long_flag(std::string_view word) { return word.starts_with("--") && is_letter_at(word, 2); }

std::string name_of(std::string_view word) { return std::string(word.substr(0, word.find('='))); }

/// What of a line is a word as a shell splits it.
struct Word {
  size_t start = 0, end = 0;  ///< bytes of the line
  std::string text{};         ///< without its quotes
  bool quoted = false;        ///< it begins with one
};

/// Whether the last flag takes one value, and was given before.
bool ends_in_repetition(const std::vector<GivenFlag>& flags) {
  return !flags.empty() && !flags.back().setting->repeated &&
         std::ranges::count(flags, flags.back().setting, &GivenFlag::setting) > 1;
}

/// Reads a line's words and flags from a place on.
class FlagReader {
 public:
  FlagReader(std::string_view line, size_t at) : line_(line), at_(at) {}

  /// All to the end, or to the first that is given again, which check_given_once refuses: a line of a thousand flags
  /// takes no longer than one of a hundred. Throws LineError.
  std::vector<GivenFlag> read() {
    while (!ends_in_repetition(given_)) {
      const auto word = next_word();
      if (!word) break;
      given_.push_back(flag_of(*word));
    }
    return std::move(given_);
  }

 private:
  [[noreturn]] void fail_at(size_t offset, const std::string& flag, std::string reason, std::string hint = {}) const {
    throw LineError(column_of(line_, offset), {.file = flag, .reason = std::move(reason), .hint = std::move(hint)});
  }

  std::optional<Word> next_word() {
    while (begins_with_blank(line_.substr(at_))) next_code_point(line_, at_);
    if (at_ == line_.size()) return std::nullopt;
    Word word{.start = at_, .quoted = line_[at_] == '"' || line_[at_] == '\''};
    char quote = 0;
    size_t quote_at = 0;
    while (at_ < line_.size()) {
      const char c = line_[at_];
      const char ahead = at_ + 1 < line_.size() ? line_[at_ + 1] : '\0';
      const bool escapes = c == '\\' && ahead != 0 && quote != '\'' && (quote == 0 || ahead == '"' || ahead == '\\');
      if (quote == 0 && !escapes && begins_with_blank(line_.substr(at_))) break;
      if (escapes) {
        word.text += ahead;
        ++at_;
      } else if (quote != 0 && c == quote) {
        quote = 0;
      } else if (quote == 0 && (c == '"' || c == '\'')) {
        quote = c;
        quote_at = at_;
      } else {
        word.text += c;
      }
      ++at_;
    }
    if (quote != 0) fail_at(quote_at, "", fmt::format("a {} has no end", quote), "quote the value by the other kind");
    word.end = at_;
    return word;
  }

  /// The flag that a word is, or begins.
  GivenFlag flag_of(const Word& word) {
    const bool is_long = is_long_flag(word.text), is_short = !is_long && is_letter_at(word.text, 1);
    if (word.quoted || word.text.front() != '-' || (!is_long && !is_short)) refuse_word(word);
    const std::string spelling = is_long ? name_of(word.text) : word.text.substr(0, 2);
    const Setting& setting = known_setting(word, spelling);
    const bool is_switch = setting.value.empty();
    if (is_short && setting_of_flag("-" + name_of(word.text))) {
      fail_at(word.start, name_of(word.text), std::string(unknown_flag), fmt::format("write -{}", name_of(word.text)));
    }
    const size_t value_at = spelling.size() + (is_long ? 1 : 0);
    GivenFlag given{.setting = &setting, .flag = spelling, .column = column_of(line_, word.start)};
    if (word.text.size() > spelling.size()) {
      given.text = word.text.substr(value_at);
      if (is_switch) fail_at(word.start, spelling, fmt::format("takes no value, got '{}'", given.text));
    } else if (!is_switch) {
      given.text = value_behind(word, spelling);
    }
    return given;
  }

  std::string value_behind(const Word& word, const std::string& spelling) {
    const auto value = next_word();
    const auto is_flag = [](const Word& next) {
      const bool known = next.text.size() == 2 && next.text.front() == '-' && setting_of_flag(next.text);
      return !next.quoted && (is_long_flag(next.text) || known);
    };
    if (!value || is_flag(*value)) fail_at(word.start, spelling, "needs a value");
    return value->text;
  }

  const Setting& known_setting(const Word& word, const std::string& spelling) const {
    const bool misspelled = spelling.size() == 2 && !setting_of_flag(spelling) && !is_run_flag(spelling);
    const std::string whole = misspelled ? name_of(word.text) : spelling;
    try {
      return flag_of_line(whole, whole);
    } catch (const Error& error) {
      std::string hint = error.parts().hint;
      std::string name = whole.substr(whole.find_first_not_of('-'));
      std::ranges::replace(name, '_', '-');
      const auto* other = std::ranges::find(other_spellings, name, &OtherSpelling::flag);
      if (other != other_spellings.end()) hint = fmt::format("did you mean --{}?", other->ours);
      if (hint.empty()) hint = "what is text belongs into a .jsonl or .csv file, where no text is a flag";
      fail_at(word.start, whole, error.parts().reason, hint);
    }
  }

  [[noreturn]] void refuse_word(const Word& word) const {
    const std::string shown = shortened(word.text, 40);
    for (const std::string_view dash : {"\xE2\x80\x94", "\xE2\x80\x93"}) {  // em and en dash
      if (!word.text.starts_with(dash) || !is_letter_at(word.text, dash.size())) continue;
      fail_at(word.start, shown, "begins with a dash that typesetting has put there",
              fmt::format("write --{}", shown.substr(dash.size())));
    }
    fail_at(word.start, fmt::format("'{}'", shown), "stands where a flag belongs",
            given_.empty() ? "" : "a value with blanks stands in quotes");
  }

  std::string_view line_;
  size_t at_;
  std::vector<GivenFlag> given_{};
};

/// Throws LineError where reading ended at a flag that takes one value and has two.
void check_given_once(const std::vector<GivenFlag>& flags) {
  if (!ends_in_repetition(flags)) return;
  throw LineError(flags.back().column, {.file = flags.back().flag, .reason = "given 2 times, takes one value"});
}

/// The flags from a place on, if all that stands there is flags with values that they take.
std::optional<std::vector<GivenFlag>> flags_if_legal(std::string_view line, size_t at, const Settings& base) {
  try {
    std::vector<GivenFlag> flags = FlagReader(line, at).read();
    Settings tried = base;
    apply_flags(tried, flags);
    check_ranges(tried);
    return flags;
  } catch (const Error&) {
    return std::nullopt;
  }
}

/// A dash and the letter of a flag that a line may have, alone or with its value behind it.
bool begins_short_flag(std::string_view text) {
  if (!text.starts_with('-') || !is_letter_at(text, 1)) return false;
  const Setting* setting = setting_of_flag(text.substr(0, 2));
  return setting || is_run_flag(text.substr(0, 2));
}

/// The word at the front of a text that looks like such a flag, or like a long one with a single dash; else empty.
std::string word_like_flag(std::string_view text) {
  size_t end = 0;
  while (end < text.size() && !begins_with_blank(text.substr(end))) ++end;
  const std::string word(text.substr(0, end));
  const bool is_short = begins_short_flag(word) && (word.size() == 2 || word[2] == '=');
  return is_short || setting_of_flag("-" + name_of(word)) ? word : "";
}

/// Where a line's flags begin, and what they are.
void find_flags(std::string_view line, const Settings& base, FlaggedLine& read, size_t& start) {
  char32_t before = ' ';
  for (size_t at = 0, after = 0; at < line.size(); at = after) {
    const std::string_view rest = line.substr(at);
    const bool behind_blank = at == 0 || is_blank(before);
    const bool begins_long = (behind_blank || before == ',') && begins_flag(rest);
    if (begins_long && !behind_blank) {
      throw LineError(column_of(line, at), {.file = name_of(rest.substr(0, rest.find_first_of(" \t"))),
                                            .reason = "stands right behind a comma",
                                            .hint = "put a blank before it"});
    }
    if (begins_long) {
      read.flags = FlagReader(line, at).read();
      check_given_once(read.flags);
      start = at;
      return;
    }
    if (behind_blank && begins_short_flag(rest)) {
      if (auto flags = flags_if_legal(line, at, base)) {
        read.flags = std::move(*flags);
        check_given_once(read.flags);
        start = at;
        return;
      }
    }
    if (behind_blank && read.text_column == 0 && rest.starts_with('-') && is_letter_at(rest, 1)) {
      read.text_flag = word_like_flag(rest);
      if (!read.text_flag.empty()) read.text_column = column_of(line, at);
    }
    before = next_code_point(line, after);
  }
}

/// The first flag that neither we nor kohya's files have, else the first that is none of ours: what is theirs in part
/// is told by what is not theirs.
void name_unknown_flag(std::string_view line) {
  for (const std::string_view flag : flags_in(line)) {
    if (!flag.starts_with("--") || setting_of_flag(flag) || is_run_flag(flag) || is_kohya_flag(flag)) continue;
    FlagReader(line, static_cast<size_t>(flag.data() - line.data())).read();
  }
}

}  // namespace

FlaggedLine read_flagged_line(std::string_view line, const Settings& base) {
  FlaggedLine read;
  size_t start = line.size();
  try {
    find_flags(line, base, read, start);
  } catch (const LineError& error) {
    if (error.parts().reason == unknown_flag) name_unknown_flag(line);
    throw;
  }
  read.prompt = without_blanks(line.substr(0, start));
  const auto given = std::ranges::find_if(read.flags, [](const GivenFlag& f) { return f.setting->name == "prompt"; });
  if (given != read.flags.end() && !read.prompt.empty()) {
    throw LineError(
        given->column,
        {.file = given->flag, .reason = "the prompt stands before the flags already", .hint = "leave one of them out"});
  }
  if (given == read.flags.end() && read.prompt.empty()) {
    throw LineError(1, {.reason = "the prompt is missing", .hint = "it stands before the flags"});
  }
  return read;
}

}  // namespace sdtorch
