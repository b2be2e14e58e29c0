// Flags as data: what CLI11 parses, what --help prints and what a value does come from one table.
#pragma once

#include <functional>
#include <string>
#include <vector>

namespace sdtorch {

/// One flag of a command, or its positional argument.
struct Flag {
  std::string names{};  ///< as --help shows them, the long name first or second: "-s, --seed"; "PATH" is positional
  std::string
      value{};         ///< placeholder of its value; empty is a switch; `[FILE]`: it may be left out, and is empty then
  std::string help{};  ///< one sentence or two, without a full stop
  /// Takes a value (empty for a switch); `flag` is the long name, for messages. Called once, or for a flag
  /// that is `repeated`, for each value.
  std::function<void(const std::string& flag, const std::string& value)> apply{};
  bool repeated = false;  ///< may be given several times
};

struct FlagGroup {
  std::string title{};
  std::vector<Flag> flags{};
};

/// A command as --help shows it.
struct CommandSpec {
  std::string usage{};  ///< after "usage: "
  std::string summary{};
  std::vector<FlagGroup> groups{};  ///< flags are applied in this order, whatever their order on the command line
  std::string footer{};
};

/// Reads `arguments` (without the program's and the command's name) and applies them.
/// Returns false, with nothing applied, where --help is among them.
/// Throws ErrorKind::usage: an unknown flag with the nearest, a missing value, a single flag given twice.
bool parse_flags(const CommandSpec& command, const std::vector<std::string>& arguments);

/// The command's help, no line wider than 80 columns.
std::string help_text(const CommandSpec& command);

/// The long name ("--seed") of a flag, or its only one.
std::string main_name(const Flag& flag);

}  // namespace sdtorch
