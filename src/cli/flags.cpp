#include "cli/flags.hpp"

#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <algorithm>

#include "core/error.hpp"
#include "core/suggest.hpp"

namespace sdtorch {
namespace {

std::vector<std::string> split_names(const Flag& flag) {
  std::vector<std::string> names;
  for (size_t start = 0; start < flag.names.size();) {
    const size_t end = std::min(flag.names.find(", ", start), flag.names.size());
    names.push_back(flag.names.substr(start, end - start));
    start = end + 2;
  }
  return names;
}

/// CLI11 takes `--prompt=` for a flag whose value follows, and splits `[a,b]` into two values. An argument that it
/// could misread so travels with a mark at its end, which no argument has of its own (it is not text).
constexpr char mark = '\x01';

std::string marked(std::string argument) {
  const bool empty_value = argument.starts_with("--") && argument.ends_with('=');
  if (empty_value || argument.starts_with('[')) argument += mark;
  return argument;
}

std::string unmarked(std::string argument) {
  if (argument.ends_with(mark)) argument.pop_back();
  return argument;
}

struct Bound {
  const Flag* flag;
  CLI::Option* option;
};

std::vector<Bound> bind_flags(const CommandSpec& command, CLI::App& app, size_t most_values) {
  std::vector<Bound> bound;
  for (const FlagGroup& group : command.groups) {
    for (const Flag& flag : group.flags) {
      std::string names;
      for (const std::string& name : split_names(flag)) names += (names.empty() ? "" : ",") + name;
      const bool positional = !flag.names.starts_with('-');
      const bool is_switch = flag.value.empty() && !positional;
      CLI::Option* option = is_switch ? app.add_flag(names) : app.add_option(names);
      if (flag.value.starts_with('[')) {
        option->expected(0, 1);
      } else if (!is_switch) {
        option->expected(positional ? static_cast<int>(most_values) : 1);
      }
      option->multi_option_policy(CLI::MultiOptionPolicy::TakeAll);
      bound.push_back({&flag, option});
    }
  }
  return bound;
}

[[noreturn]] void refuse_positional(const std::string& argument) {
  refuse(fmt::format("'{}'", argument), "unexpected argument", "a prompt is given by --prompt; see --help");
}

[[noreturn]] void refuse_unknown(const std::string& argument, const CommandSpec& command) {
  if (argument.size() < 2 || argument.front() != '-') refuse_positional(argument);
  const std::string name = argument.substr(0, argument.find('='));
  std::vector<std::string> known;
  for (const FlagGroup& group : command.groups) {
    for (const Flag& flag : group.flags) {
      for (const std::string& spelling : split_names(flag)) {
        if (spelling.starts_with("--")) known.push_back(spelling.substr(2));
      }
    }
  }
  const std::string near = name.starts_with("--") ? nearest(name.substr(2), known) : nearest(name.substr(1), known);
  refuse(name, "unknown flag", near.empty() ? "see --help" : fmt::format("did you mean --{}?", near));
}

void apply(const Bound& bound) {
  const Flag& flag = *bound.flag;
  const std::string name = main_name(flag);
  const std::vector<std::string> results = bound.option->results();
  const bool positional = !flag.names.starts_with('-');
  const bool is_switch = flag.value.empty() && !positional;
  if (is_switch) {
    const bool valued = std::any_of(results.begin(), results.end(), [](const auto& r) { return r != "true"; });
    if (valued) refuse(name, fmt::format("takes no value, got '{}'", results.front()));
    if (!results.empty()) flag.apply(name, "");
    return;
  }
  if (results.size() > 1 && !flag.repeated) {
    refuse(name, fmt::format("given {} times, takes one value", results.size()),
           positional ? fmt::format("'{}' is one too many", unmarked(results[1])) : "");
  }
  for (const std::string& result : results) flag.apply(name, unmarked(result));
}

}  // namespace

std::string main_name(const Flag& flag) {
  const std::vector<std::string> names = split_names(flag);
  const auto found = std::find_if(names.begin(), names.end(), [](const auto& name) { return name.starts_with("--"); });
  return found == names.end() ? names.front() : *found;
}

bool parse_flags(const CommandSpec& command, const std::vector<std::string>& arguments) {
  CLI::App app;
  app.set_help_flag();
  app.allow_extras();
  const std::vector<Bound> bound = bind_flags(command, app, arguments.size() + 1);
  std::vector<std::string> reversed;  // CLI11 takes them from the back
  std::transform(arguments.rbegin(), arguments.rend(), std::back_inserter(reversed), marked);
  try {
    app.parse(reversed);
  } catch (const CLI::ArgumentMismatch&) {
    refuse(arguments.back(), "needs a value");  // CLI11 runs out of arguments only behind the last one
  } catch (const CLI::ParseError& error) {
    refuse(arguments.empty() ? "sdtorch" : arguments.back(), error.what());
  }
  const auto asks_help = [](const Bound& b) { return main_name(*b.flag) == "--help" && !b.option->empty(); };
  if (std::any_of(bound.begin(), bound.end(), asks_help)) return false;
  bool behind_separator = false;
  for (const std::string& left : app.remaining()) {
    if (behind_separator) refuse_positional(unmarked(left));
    if (left != "--") refuse_unknown(unmarked(left), command);
    behind_separator = true;
  }
  std::for_each(bound.begin(), bound.end(), apply);
  return true;
}

}  // namespace sdtorch
