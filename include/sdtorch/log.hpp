// What the library has to say to a person: warnings above all. It prints nothing by itself.
#pragma once

#include <string_view>

namespace sdtorch {

enum class LogKind {
  detail,   ///< for whoever looks for something
  info,     ///< what happens
  warning,  ///< what may not be what was meant
  error
};

/// Takes each line, without a line break at its end. May be called from any thread that uses the library, one at a time.
using LogSink = void (*)(LogKind kind, std::string_view line);

/// Where lines go from here on; nullptr, as at the start: nowhere.
void set_log_sink(LogSink sink);

}  // namespace sdtorch
