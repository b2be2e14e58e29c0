// Prompt files: many requests in one file, read and checked as a whole.
#pragma once

#include <istream>
#include <string>
#include <vector>

#include "jobs/job.hpp"
#include "pipeline/settings.hpp"

namespace sdtorch {

/// The jobs of a prompt file, in its order; each starts from `base`, the command line's request.
///
/// `.txt`: a prompt a line; blank lines and lines that start with `#` are passed over, blanks at both ends of a line
/// are not part of the prompt. `.jsonl`: an object a line, its keys long flag names without their dashes; `model`,
/// `refiner`, `vae`, `device`, `dtype` and `deterministic` hold for the whole run and belong on the command line, and
/// `prompt` is needed. `-` is standard input: .jsonl if its first character that is no blank is `{`, else .txt.
///
/// file: a path or `-`; in: standard input. Throws ErrorKind::input with every line at fault (`FILE: line N: KEY:
/// reason`), for another ending than those two, for text that is not UTF-8 (line and offset in it), for a file without
/// any prompt, and for one that cannot be read.
std::vector<Job> read_prompt_file(const std::string& file, const Settings& base, std::istream& in);

/// Throws one ErrorKind::input with what is wrong with each line, as far as a screen holds. faults: at least one.
[[noreturn]] void throw_faults(const std::vector<std::string>& faults);

}  // namespace sdtorch
