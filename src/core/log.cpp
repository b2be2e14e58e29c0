#include "core/log.hpp"

#include <mutex>
#include <set>
#include <string>

#include "core/utf8.hpp"

namespace sdtorch {
namespace {

LogLevel level_ = LogLevel::normal;
void (*guard_)(bool) = nullptr;

LogSink sink_ = nullptr;

void tell(LogKind kind, std::string_view text) {
  if (!sink_) return;
  const std::string line = harmless(text);
  if (guard_) guard_(true);
  sink_(kind, line);
  if (guard_) guard_(false);
}

}  // namespace

void set_log_sink(LogSink sink) { sink_ = sink; }
void set_log_level(LogLevel level) { level_ = level; }
LogLevel log_level() { return level_; }
void set_log_guard(void (*guard)(bool)) { guard_ = guard; }

void log_detail(std::string_view line) {
  if (level_ == LogLevel::verbose) tell(LogKind::detail, line);
}

void log_info(std::string_view line) {
  if (level_ != LogLevel::quiet) tell(LogKind::info, line);
}

void log_warning(std::string_view line) { tell(LogKind::warning, line); }

void log_warning_once(std::string_view line) {
  static std::mutex mutex;
  static std::set<std::string, std::less<>> written;
  {
    const std::lock_guard lock(mutex);
    if (!written.emplace(line).second) return;
  }
  log_warning(line);
}

void log_error(std::string_view line) { tell(LogKind::error, line); }

}  // namespace sdtorch
