// Prompt files: many requests in one file, read and checked as a whole.
#pragma once

#include <istream>
#include <optional>
#include <string>
#include <vector>

#include "jobs/expansion.hpp"
#include "jobs/job.hpp"
#include "jobs/prompt_faults.hpp"
#include "jobs/prompt_lines.hpp"
#include "pipeline/settings.hpp"

namespace sdtorch {

/// The jobs of a prompt file, in its order; each starts from `base`, the command line's request, and becomes what
/// `expansion` makes of it.
///
/// Text: a prompt a line, blanks at both ends not part of it, and our own flags behind it where it has some
/// (line_flags.hpp). A line that is one of A1111's or kohya's prompt files by its content is read as such
/// (foreign_lines.hpp), unless the format is said. JSON lines: an object a line, its keys long flag names without their
/// dashes, aliases too. Tables: a row a request, the first of them such names (table_columns.hpp). In all of them
/// `model`, `refiner`, `vae`, `device`, `dtype`, `deterministic` and where pictures go hold for the whole run and
/// belong on the command line (a line may have a control net, a classifier or a depth estimator of its own), and the
/// prompt is needed. Blank lines and lines that start with `#` are passed over, lines end in LF, CR LF or CR, and a
/// byte-order mark may come first.
///
/// file: a path, which may be a pipe and is read once, or `-`; in: standard input. format: none is told by the ending
/// (.txt, .jsonl, .csv, in any case), and of other files and standard input by content (format_by_content). faults:
/// takes what is wrong with lines, unless all are at fault, for who finds more to tell about the others. Throws
/// ErrorKind::input with every line at fault (`FILE: line N, column M: KEY: reason`), for text that is not UTF-8 (or
/// UTF-16 by name), for what is no list of lines (a binary file, a JSON array), for lines above 1 MiB, for a file
/// without any prompt, and for one that cannot be read; ErrorKind::usage for more jobs than most_jobs and more pictures
/// than most_pictures.
std::vector<Job> read_prompt_file(const std::string& file, const Settings& base, std::istream& in,
                                  std::optional<PromptFormat> format = std::nullopt, const Expansion& expansion = {},
                                  std::vector<LineFault>* faults = nullptr);

}  // namespace sdtorch
