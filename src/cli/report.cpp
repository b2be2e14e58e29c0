#include "cli/report.hpp"

#include <fmt/format.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cmath>
#include <nlohmann/json.hpp>
#include <system_error>

#include "core/error.hpp"
#include "core/interrupt.hpp"
#include "core/log.hpp"

namespace sdtorch {
namespace {

constexpr auto plain_interval = std::chrono::seconds(5);      // between lines where there is no terminal
constexpr auto bar_interval = std::chrono::milliseconds(50);  // between redraws
constexpr int default_columns = 80;

/// What the terminal shows below the log; empty where there is no bar. Log lines are written above it.
std::string bar;

void clear_bar() {
  if (!bar.empty()) std::fputs("\r\033[K", stderr);
}

void draw_bar() {
  std::fputs(bar.c_str(), stderr);
  std::fflush(stderr);
}

int terminal_columns() {
  winsize size{};
  const bool known = ioctl(STDERR_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col > 0;
  return known ? size.ws_col : default_columns;
}

std::string duration(double seconds) {
  const auto whole = static_cast<int64_t>(std::ceil(std::min(seconds, 1e9)));
  if (whole < 60) return fmt::format("{}s", whole);
  if (whole < 3600) return fmt::format("{}m{:02}s", whole / 60, whole % 60);
  return fmt::format("{}h{:02}m", whole / 3600, whole / 60 % 60);
}

/// `1.9 it/s`, or `12.5 s/it` where that says more.
std::string rate(double steps_per_second) {
  return steps_per_second >= 1 ? fmt::format("{:.1f} it/s", steps_per_second)
                               : fmt::format("{:.1f} s/it", 1 / std::max(steps_per_second, 1e-6));
}

}  // namespace

void print_log_line(LogKind kind, std::string_view line) {
  const char* mark = kind == LogKind::warning ? "warning: " : kind == LogKind::error ? "error: " : "";
  const std::string text = fmt::format("{}{}\n", mark, line);
  clear_bar();
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
  const nlohmann::ordered_json object = {
      {"path", result.path.string()}, {"index", result.index},  {"seed", request.seed},
      {"prompt", request.prompt},     {"width", result.width},  {"height", result.height},
      {"sampler", result.sampler},    {"steps", request.steps}, {"seconds", std::round(result.seconds * 1000) / 1000}};
  return object.dump(-1, ' ', false, nlohmann::ordered_json::error_handler_t::replace) + "\n";
}

std::string progress_line(const std::string& prefix, int64_t done, int64_t count, double seconds, int columns) {
  const double per_second = static_cast<double>(done) / std::max(seconds, 1e-6);
  const std::string left = fmt::format("{}step {}/{} ", prefix, done, count);
  const std::string right =
      fmt::format(" {}, {} left", rate(per_second), duration(static_cast<double>(count - done) / per_second));
  constexpr int64_t widest = 40, narrowest = 5, brackets = 2;
  const int64_t room = columns - 1 - static_cast<int64_t>(left.size() + right.size()) - brackets;
  const int64_t width = std::min(room, widest);
  if (width < narrowest) return (left + right.substr(1)).substr(0, static_cast<size_t>(std::max(columns - 1, 0)));
  const auto filled = static_cast<size_t>(width * done / std::max<int64_t>(count, 1));
  return left + "[" + std::string(filled, '=') + std::string(static_cast<size_t>(width) - filled, ' ') + "]" + right;
}

ConsoleReporter::ConsoleReporter(const ReportOptions& options) : options_(options) {}

ConsoleReporter::~ConsoleReporter() {
  clear_bar();
  bar.clear();
}

void ConsoleReporter::on_batch(int64_t first, int64_t images, int64_t total) {
  throw_if_interrupted();
  prefix_ = total == 1    ? ""
            : images == 1 ? fmt::format("image {}/{} ", first + 1, total)
                          : fmt::format("images {}-{}/{} ", first + 1, first + images, total);
  batch_start_ = last_shown_ = Clock::now();
}

void ConsoleReporter::on_step(const Step& step) {
  throw_if_interrupted();
  if (!options_.progress) return;
  const auto now = Clock::now();
  const int64_t done = step.index + 1;
  const bool last = done == step.count;
  if (!last &&
      now - last_shown_ < (options_.terminal ? Clock::duration(bar_interval) : Clock::duration(plain_interval))) {
    return;
  }
  last_shown_ = now;
  const double seconds = std::chrono::duration<double>(now - batch_start_).count();
  if (options_.terminal) {
    clear_bar();
    bar = progress_line(prefix_, done, step.count, seconds, terminal_columns());
    draw_bar();
  } else {
    const double per_second = static_cast<double>(done) / std::max(seconds, 1e-6);
    const std::string rest =
        last ? "" : fmt::format(", {} left", duration(static_cast<double>(step.count - done) / per_second));
    log_info(fmt::format("{}step {}/{}, {}{}", prefix_, done, step.count, rate(per_second), rest));
  }
}

void ConsoleReporter::on_image(const ImageResult& result) {
  clear_bar();
  bar.clear();
  print_result(result_line(result, options_.json));
}

void ConsoleReporter::on_failed(const FailedImage& failed) {
  const std::string place = failed.source.empty() ? fmt::format("picture {}", failed.index) : failed.source;
  log_error(fmt::format("{}: {}", place, failed.error));
}

}  // namespace sdtorch
