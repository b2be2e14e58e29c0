#include "cli/report.hpp"

#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cmath>
#include <nlohmann/json.hpp>
#include <system_error>

#include "core/error.hpp"
#include "core/interrupt.hpp"
#include "core/log.hpp"
#include "io/read_picture.hpp"

namespace sdtorch {
namespace {

using nlohmann::ordered_json;

constexpr double plain_interval = 5;   // seconds between lines where there is no terminal, at first
constexpr double bar_interval = 0.05;  // between redraws

/// What the terminal shows below the log; empty where there is no bar. Log lines are written above it.
std::string bar;

/// Lines of a preview right above the bar, which the next one takes; 0 where something else stands there.
int preview_rows = 0;

void clear_bar() {
  if (!bar.empty()) std::fputs("\r\033[K", stderr);
}

void draw_bar() {
  std::fputs(bar.c_str(), stderr);
  std::fflush(stderr);
}

void put_bar(std::string text) {
  clear_bar();
  bar = std::move(text);
  draw_bar();
}

double milliseconds(double seconds) { return std::round(seconds * 1000) / 1000; }

std::string json_line(const ordered_json& object) {
  return object.dump(-1, ' ', false, ordered_json::error_handler_t::replace) + "\n";
}

/// An event's line on stderr. Nobody may listen.
void tell(const ordered_json& event) {
  const std::string line = json_line(event);
  std::fwrite(line.data(), 1, line.size(), stderr);
  std::fflush(stderr);
}

}  // namespace

void print_log_line(LogKind kind, std::string_view line) {
  const char* mark = kind == LogKind::warning ? "warning: " : kind == LogKind::error ? "error: " : "";
  const std::string text = fmt::format("{}{}\n", mark, line);
  clear_bar();
  preview_rows = 0;
  std::fwrite(text.data(), 1, text.size(), stderr);
  draw_bar();
}

void print_result(std::string_view text) {
  const bool written = std::fwrite(text.data(), 1, text.size(), stdout) == text.size() && std::fflush(stdout) == 0;
  if (written) return;
  throw Error(ErrorKind::output,
              {.file = "<stdout>", .reason = "cannot be written: " + std::generic_category().message(errno)});
}

std::string result_line(const ImageResult& result, bool json) {
  if (!json) return result.path.string() + "\n";
  const Request& request = result.request;
  return json_line({{"event", "image"},
                    {"path", result.path.string()},
                    {"index", result.index},
                    {"seed", request.seed},
                    {"prompt", request.prompt},
                    {"width", result.width},
                    {"height", result.height},
                    {"sampler", result.sampler},
                    {"steps", request.steps},
                    {"seconds", milliseconds(result.seconds)}});
}

std::string failed_line(const FailedImage& failed) {
  return json_line({{"event", "failed"},
                    {"index", failed.index},
                    {"seed", failed.request.seed},
                    {"prompt", failed.request.prompt},
                    {"source", failed.source},
                    {"error", failed.error},
                    {"exit_code", failed.exit_code}});
}

ConsoleReporter::ConsoleReporter(const ReportOptions& options)
    : options_(options), start_(std::chrono::steady_clock::now()) {}

ConsoleReporter::~ConsoleReporter() {
  clear_bar();
  bar.clear();
  preview_rows = 0;
}

double ConsoleReporter::now() const {
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - start_).count();
}

void ConsoleReporter::on_loading() {
  if (options_.json && options_.progress) tell({{"event", "loading"}});
}

void ConsoleReporter::on_done_before(int64_t index, const std::filesystem::path& path) {
  progress_.done_before();
  if (options_.sheet) options_.sheet->add(index, path);
}

void ConsoleReporter::on_batch(std::span<const int64_t> numbers, int64_t total) {
  throw_if_interrupted();
  batch_start_ = now();
  if (progress_.total() == 0) last_shown_ = batch_start_;
  numbers_.assign(numbers.begin(), numbers.end());
  progress_.batch(std::ssize(numbers_), total, batch_start_);
  if (options_.json && options_.progress) tell({{"event", "batch"}, {"images", numbers_}, {"total", total}});
}

void ConsoleReporter::on_step(const Step& step) {
  throw_if_interrupted();
  progress_.step(step.index + 1, step.count, now());
  if (options_.progress) tell_step(step);
}

void ConsoleReporter::tell_step(const Step& step) {
  const double time = now();
  if (options_.json) {
    tell({{"event", "step"},
          {"index", step.index},
          {"count", step.count},
          {"images", numbers_},
          {"seconds", milliseconds(progress_.seconds(time))},
          {"images_per_second", progress_.images_per_second(time)},
          {"seconds_left", milliseconds(progress_.seconds_left(time))}});
    return;
  }
  const int64_t done = step.index + 1;
  const bool last = done == step.count;
  if (progress_.total() > 1) return tell_progress(last);
  if (!last && time - last_shown_ < (options_.terminal ? bar_interval : plain_interval)) return;
  last_shown_ = time;
  const double seconds = time - batch_start_;
  if (options_.terminal) {
    put_bar(progress_line("", done, step.count, seconds, terminal_size().columns));
  } else {
    const double per_second = static_cast<double>(done) / std::max(seconds, 1e-6);
    const std::string rest =
        last ? "" : fmt::format(", {} left", duration(static_cast<double>(step.count - done) / per_second));
    log_info(fmt::format("step {}/{}, {}{}", done, step.count, rate(per_second), rest));
  }
}

/// Of the whole run, where it is time. last: of a batch's steps.
void ConsoleReporter::tell_progress(bool last) {
  // Lines of a run of days are not to fill a log.
  constexpr double longest_interval = 60, share = 0.1;
  const double time = now();
  if (options_.json) {
    return tell({{"event", "progress"},
                 {"done", progress_.settled()},
                 {"total", progress_.total()},
                 {"seconds", milliseconds(progress_.seconds(time))},
                 {"images_per_second", progress_.images_per_second(time)},
                 {"seconds_left", milliseconds(progress_.seconds_left(time))}});
  }
  const double interval =
      options_.terminal ? bar_interval : std::clamp(progress_.seconds(time) * share, plain_interval, longest_interval);
  if (time - last_shown_ < interval && !(last && options_.terminal)) return;
  last_shown_ = time;
  if (options_.terminal) {
    put_bar(progress_.bar(time, terminal_size().columns));
  } else {
    log_info(progress_.line(time));
  }
}

void ConsoleReporter::on_preview(const PreviewResult& preview) {
  if (options_.json && options_.progress) {
    tell({{"event", "preview"},
          {"path", preview.path.string()},
          {"image", preview.index},
          {"step", preview.step},
          {"steps", preview.steps}});
  }
  if (options_.show && options_.terminal) show(preview.path, true);
}

void ConsoleReporter::on_image(const ImageResult& result) {
  progress_.image();
  if (options_.sheet) options_.sheet->add(result.index, result.path);
  clear_bar();
  bar.clear();
  if (options_.show) show(result.path, false);
  print_result(result_line(result, options_.json));
  preview_rows = 0;
  // Where others draw, their pictures are all that is heard of.
  const bool is_silent = options_.json ? options_.by_devices : !progress_.is_stepping();
  if (options_.progress && is_silent && progress_.total() > 1) tell_progress(false);
}

void ConsoleReporter::on_failed(const FailedImage& failed) {
  progress_.failed();
  if (options_.sheet) options_.sheet->add_failed(failed.index);
  const std::string place = failed.source.empty() ? fmt::format("picture {}", failed.index) : failed.source;
  if (!failed.ends_run) log_error(fmt::format("{}: {}", place, failed.error));
  if (options_.json) print_result(failed_line(failed));
}

/// Reads the picture back from disk. On a terminal it takes the place of the last preview; in_place: is one itself.
void ConsoleReporter::show(const std::filesystem::path& file, bool in_place) {
  TerminalPicture picture;
  try {
    picture = terminal_picture(compose_on_white(read_picture(file)), *options_.show, terminal_size(), environ);
  } catch (const Error& error) {
    log_warning(fmt::format("--show: {}", error.what()));
    return;
  }
  std::string text = picture.text + "\n";
  if (options_.terminal) {
    // Room is made first, and the cursor comes back from wherever a picture leaves it.
    const std::string room(static_cast<size_t>(picture.rows), '\n');
    const std::string over = preview_rows > 0 ? fmt::format("\033[{}A\033[J", preview_rows) : "";
    text = fmt::format("\r{}{}\033[{}A\0337{}\0338\033[{}B", over, room, picture.rows, picture.text, picture.rows);
  }
  clear_bar();
  std::fwrite(text.data(), 1, text.size(), stderr);
  draw_bar();
  preview_rows = in_place ? picture.rows : 0;
}

void ConsoleReporter::on_page(const std::filesystem::path& path) {
  if (!options_.progress) return;
  if (options_.json) {
    tell({{"event", "page"}, {"path", path.string()}});
  } else {
    log_info(path.string());
  }
}

void ConsoleReporter::finish() {
  clear_bar();
  bar.clear();
  const int64_t known = progress_.settled();
  if (!options_.progress || known == 0) return;
  const double time = now();
  if (options_.json) {
    tell({{"event", "summary"},
          {"images", progress_.finished()},
          {"failed", progress_.failures()},
          {"done_before", progress_.resumed()},
          {"seconds", milliseconds(progress_.seconds(time))}});
  } else if (known > 1) {
    log_info(progress_.summary(time));
  }
}

}  // namespace sdtorch
