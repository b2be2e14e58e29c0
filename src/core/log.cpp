#include "core/log.hpp"

#include <cstdio>
#include <mutex>
#include <set>
#include <string>

#include "core/utf8.hpp"

namespace sdtorch {
namespace {

LogLevel level_ = LogLevel::normal;
void (*guard_)(bool) = nullptr;

void write_line(std::string_view text) {
  const std::string line = harmless(text) + '\n';
  if (guard_) guard_(true);
  std::fwrite(line.data(), 1, line.size(), stderr);
  if (guard_) guard_(false);
}

}  // namespace

void set_log_level(LogLevel level) { level_ = level; }
LogLevel log_level() { return level_; }
void set_log_guard(void (*guard)(bool)) { guard_ = guard; }

void log_detail(std::string_view line) {
  if (level_ == LogLevel::verbose) write_line(line);
}

void log_info(std::string_view line) {
  if (level_ != LogLevel::quiet) write_line(line);
}

void log_warning(std::string_view line) { write_line("warning: " + std::string(line)); }

void log_warning_once(std::string_view line) {
  static std::mutex mutex;
  static std::set<std::string, std::less<>> written;
  {
    const std::lock_guard lock(mutex);
    if (!written.emplace(line).second) return;
  }
  log_warning(line);
}

void log_error(std::string_view line) { write_line("error: " + std::string(line)); }

}  // namespace sdtorch
