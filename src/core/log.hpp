// Messages to a person, by way of whatever sink the program has set.
#pragma once

#include <string_view>

#include "sdtorch/log.hpp"

namespace sdtorch {

enum class LogLevel { quiet, normal, verbose };

/// Sets what is shown: `quiet` warnings only, `normal` also information, `verbose` also details.
void set_log_level(LogLevel level);
LogLevel log_level();

/// One line for the sink each, made harmless (utf8.hpp). Text only: format it with fmt::format.
void log_detail(std::string_view line);
void log_info(std::string_view line);
void log_warning(std::string_view line);
void log_error(std::string_view line);

/// The same warning is written once a run: of what is read for every picture anew.
void log_warning_once(std::string_view line);

/// Called with `true` before and `false` after a line is written, so that a progress bar can step aside.
/// One at a time; nullptr for none.
void set_log_guard(void (*guard)(bool writing));

}  // namespace sdtorch
