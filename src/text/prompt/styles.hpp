// Styles as A1111 keeps them: a CSV table of names, and of what each adds to the prompts.
#pragma once

#include <filesystem>
#include <string>
#include <string_view>
#include <vector>

namespace sdtorch {

struct PromptStyle {
  std::string name{}, prompt{}, negative_prompt{};

  bool operator==(const PromptStyle&) const = default;
};

/// The table's styles in their order. Its first line names the columns: name, prompt (text, in old files),
/// negative_prompt (may be missing), and others, which are not looked at. Fields stand between commas, in quotation
/// marks where they hold such, doubled marks or line breaks; blanks before a field do not count; empty lines neither.
/// Throws ErrorKind::input naming file and line.
std::vector<PromptStyle> read_styles(const std::filesystem::path& file);

/// The same of a text. file: for messages.
std::vector<PromptStyle> parse_styles(std::string_view text, const std::filesystem::path& file);

/// A prompt with what a style adds: in the place of each `{prompt}` of it, or before it, with a comma.
std::string with_style(std::string_view style, std::string_view prompt);

}  // namespace sdtorch
