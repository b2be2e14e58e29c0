// The command line, read: argv → Invocation.
#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "adapters/extract_lora.hpp"
#include "cli/inspect.hpp"
#include "cli/seeing.hpp"
#include "cli/tokenize.hpp"
#include "cli/verify.hpp"
#include "core/log.hpp"
#include "jobs/convert.hpp"
#include "jobs/expansion.hpp"
#include "jobs/merge.hpp"
#include "jobs/output_options.hpp"
#include "jobs/prompt_lines.hpp"
#include "jobs/run_options.hpp"
#include "pipeline/settings.hpp"
#include "recipes/init_model.hpp"

namespace sdtorch {

enum class Command {
  print,  ///< only `text`: --help and --version
  generate,
  inspect,
  tokenize,
  init_model,
  extract_lora,
  convert,
  merge,
  bench,
  gallery,
  verify
};

/// What the command line asks for. Fields of other commands than `command` keep their defaults.
struct Invocation {
  Command command = Command::generate;
  std::string text{};                              ///< print: what goes to stdout
  Settings settings{};                             ///< generate, bench; valid as far as no model is needed
  std::string from_image{};                        ///< generate, bench: the picture that the settings come from
  std::vector<std::string> given{};                ///< names of the settings that flags gave
  std::optional<std::string> from_file{};          ///< generate: a prompt file, `-` is standard input
  std::optional<PromptFormat> from_file_format{};  ///< generate: of that file; none is told by its ending or content
  Expansion expansion{};                           ///< generate: what makes several jobs of one
  OutputOptions output{};                          ///< generate
  SeeingOptions seeing{};                          ///< generate; gallery: its page
  std::string shard{};                             ///< generate: as parse_shard takes it; empty: everything
  std::vector<std::string> devices{};              ///< generate: of --device (split_devices), where there are several
  bool resume = false;                             ///< generate: what the folder's journal lacks
  bool wait = false;                               ///< generate: for a folder in which another run works
  std::optional<bool> keep_going{};                ///< generate: after a picture that fails; none: with a prompt file
  DrawnSeeds drawn{};                              ///< by the command line's flags: a drawn seed is to be reported
  bool json = false;                               ///< results as JSON lines
  bool profile = false;                            ///< bench: each kind of layer, and the machine's rate
  bool by_turns = false;                           ///< bench: a line of standard input before each part
  bool dry_run = false;                            ///< check everything, load nothing
  int threads = 0;                                 ///< inside an operator; 0 is LibTorch's own choice
  LogLevel log_level = LogLevel::normal;
  InspectOptions inspect{};
  TokenizeOptions tokenize{};
  InitModelOptions init_model{};
  ExtractLoraOptions extract_lora{};
  ConvertOptions convert{};
  MergeOptions merge{};
  VerifyOptions verify{};
};

/// Reads the command line, and the picture that --from-image names.
/// Throws ErrorKind::usage naming flag and reason, with the nearest name where one is unknown, and
/// ErrorKind::input for that picture.
Invocation parse_command_line(int argc, const char* const* argv);

}  // namespace sdtorch
