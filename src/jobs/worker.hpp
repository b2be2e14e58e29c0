// `--from-file -`: a worker, which keeps its model loaded and answers each line of standard input when it comes.
#pragma once

#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "io/arriving_lines.hpp"
#include "jobs/job.hpp"
#include "jobs/output_options.hpp"
#include "sdtorch/pipeline.hpp"

namespace sdtorch {

struct WorkerOptions {
  ModelChoice choice{};        ///< opened before the first line has come
  OutputOptions output{};      ///< a folder and a template of names alone
  std::optional<bool> json{};  ///< whether lines are JSON; none: from the first one on that is
  /// The jobs of one line, or of one object of a list, which may have `id` and `output`; none for a comment or an empty
  /// line. column: where the text begins in its line. Throws sdtorch::Error for what is wrong with it.
  std::function<std::vector<Job>(std::string_view text, size_t number, size_t column)> read{};
  /// Takes the bytes that go to standard output, and has flushed them when it returns. Throws ErrorKind::output where
  /// nobody takes them, which ends the worker.
  std::function<void(std::string_view)> answer{};
};

/// Draws each line as it comes and answers it, before it reads the next one, by one JSON object on a line:
/// - {"id": …, "path": …, "index": 0, "seed": …, "prompt": …, "width": …, "height": …, "sampler": …, "steps": …,
///   "seconds": …}; index counts the worker's pictures. Where there were any, "notes" tells of fallbacks, and
///   "warnings" of what may not be what was meant. A line that asks for several pictures is answered by its first one
///   with all of them under "pictures".
/// - {"id": …, "error": …, "exit_code": …} for what could not be drawn; exit_code as of a run of its own.
/// `id` is what the line gives, any JSON value; without one, and where the line is no JSON, it is the line's number.
/// Beside the settings' names a line of JSON may have
/// - "id";
/// - "output": the picture's file name in the folder, replaced if it is there and no run's, instead of one by the
///   template; or "-": the picture itself, whose PNG of so many "bytes" follows the answer's line.
/// A line may also be a list of such objects, which share U-Net calls where they can and are answered one by one.
/// SIGINT and SIGTERM end the worker once the pictures in flight are answered. Returns the exit code at the end of the
/// lines: 0, or 3 where a line failed. Throws for what concerns all lines: the model, the folder, closed streams.
int run_worker(ArrivingLines& lines, const WorkerOptions& options);

}  // namespace sdtorch
