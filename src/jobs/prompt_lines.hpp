// What a prompt file's bytes are, before anything is read from them: text or something else, which format, which lines.
#pragma once

#include <array>
#include <string>
#include <string_view>
#include <vector>

namespace sdtorch {

enum class PromptFormat {
  txt,    ///< a prompt a line
  jsonl,  ///< an object a line
  csv,    ///< a table whose first row names the flags
  a1111,  ///< a line of A1111's script "Prompts from file or textbox"
  kohya   ///< a line of kohya's sd-scripts
};

/// Their names, in their order.
inline constexpr std::array<std::string_view, 5> prompt_format_names = {"txt", "jsonl", "csv", "a1111", "kohya"};

/// Throws ErrorKind::input for what is no list of lines in UTF-8: UTF-16 and UTF-32 (by their byte-order mark, or by
/// NULs at every other place), pictures, archives and other binary files. name: the file's, for messages.
void check_is_text(std::string_view text, const std::string& name);

/// Throws ErrorKind::input for one JSON value over the whole text where an object a line is expected: an array of
/// objects or strings, or an object over several lines.
void check_is_no_document(std::string_view text, const std::string& name);

/// jsonl if the text, but for blanks and comments before it, begins as a JSON object does: `{}`, or `{` and a key in
/// quotes before a colon: a prompt may begin with a brace, `{red|blue} cat`. csv if the first line is names of flags
/// alone, `prompt` and another one, written as long flags without their dashes. Else txt.
PromptFormat format_by_content(std::string_view text);

/// Whether a line begins as a JSON object does.
bool begins_as_object(std::string_view line);

/// The text's lines, which end in LF, CR LF or CR, without their ends; a byte-order mark before the first is left out.
std::vector<std::string_view> split_lines(std::string_view text);

/// Without the blanks at both ends: white space of any kind, and characters without width. line: UTF-8; what follows
/// an ill-formed byte is not looked at.
std::string_view without_blanks(std::string_view line);

/// White space of any kind, and characters without width.
bool is_blank(char32_t c);

/// Whether such a one comes first. text: UTF-8.
bool begins_with_blank(std::string_view text);

/// Whether a flag comes first: two dashes before an ASCII letter, or a dash that typesetting makes of them before a
/// flag's name.
bool begins_flag(std::string_view text);

/// The flags that a line holds as other tools write them into prompt files, with their dashes: `--steps` of
/// `a boat --steps 5`. Two dashes count at the line's start or behind a blank, and before an ASCII letter: those in
/// `a -- b` and `well--known` are punctuation.
std::vector<std::string_view> flags_in(std::string_view line);

/// Throws ErrorKind::input for a text whose first line looks like that of a table or a list of settings (CSV, YAML):
/// `prompt` comes first in it. Nobody has said that it is one, and other columns are no flags' names.
void refuse_table(std::string_view text, const std::string& name);

}  // namespace sdtorch
