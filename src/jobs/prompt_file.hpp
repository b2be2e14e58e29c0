// Prompt files: many requests in one file, read and checked as a whole.
#pragma once

#include <istream>
#include <optional>
#include <string>
#include <vector>

#include "jobs/job.hpp"
#include "jobs/prompt_lines.hpp"
#include "pipeline/settings.hpp"

namespace sdtorch {

/// The jobs of a prompt file, in its order; each starts from `base`, the command line's request.
///
/// Text: a prompt a line, blanks at both ends not part of it. A line that is one of A1111's or kohya's prompt files by
/// its content is read as such (foreign_lines.hpp), unless the format is said; any other that holds a flag
/// (`--steps 5`) is refused rather than drawn as text. JSON lines: an object a line, its keys long flag names without
/// their dashes; `model`, `refiner`, `vae`, `device`, `dtype` and `deterministic` hold for the whole run and belong on
/// the command line (a line may have a control net, a classifier or a depth estimator of its own), and `prompt` is
/// needed. In both, blank lines and lines that start with `#` are passed over, lines end in LF, CR LF or CR, and a
/// byte-order mark may come first.
///
/// file: a path, which may be a pipe and is read once, or `-`; in: standard input. format: none is told by the ending
/// (.txt, .jsonl, in any case), and of other files and standard input by content (format_by_content).
/// Throws ErrorKind::input with every line at fault (`FILE: line N: KEY: reason`), for text that is not UTF-8 (line and
/// offset in it, or UTF-16 by name), for what is no list of lines (a binary file, a JSON array), for lines above 1 MiB,
/// for a file without any prompt, and for one that cannot be read.
std::vector<Job> read_prompt_file(const std::string& file, const Settings& base, std::istream& in,
                                  std::optional<PromptFormat> format = std::nullopt);

/// Throws one ErrorKind::input with what is wrong with each line, as far as a screen holds. faults: at least one.
[[noreturn]] void throw_faults(const std::vector<std::string>& faults);

}  // namespace sdtorch
