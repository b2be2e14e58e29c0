// What is wrong with a prompt file, and where.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "core/error.hpp"
#include "jobs/job.hpp"

namespace sdtorch {

/// A place in a text; both count from 1, columns in characters.
struct TextPlace {
  size_t line = 1, column = 1;
};

/// A usage error whose place is known: in its file, or in its line, whose number is then 0.
class LineError : public Error {
 public:
  LineError(TextPlace place, ErrorParts parts) : Error(ErrorKind::usage, std::move(parts)), place_(place) {}
  LineError(size_t column, ErrorParts parts) : LineError(TextPlace{.line = 0, .column = column}, std::move(parts)) {}

  TextPlace place() const { return place_; }

 private:
  TextPlace place_;
};

/// What `error` says of a value, as ErrorKind::input of the file that holds it: `FILE: line 7, column 9: --steps:
/// reason; hint`. Where the text of a prompt begins there as it is, a column in the prompt becomes one of the line.
Error fault_in(const std::string& file, TextPlace place, const Error& error, bool verbatim = false);

/// The same of an error that names a flag, or a file that a value names: at the one of `values` that it is about, or at
/// `start`.
Error fault_in(const std::string& file, TextPlace start, const std::vector<ValuePlace>& values,
               const Settings& settings, const Error& error);

/// What is wrong with a line of a prompt file.
struct LineFault {
  size_t line = 0;     ///< from 1; 0: of the whole file
  std::string text{};  ///< the message, with file and place
};

/// The fault of the line that an error's place names.
LineFault fault_of(const Error& error);

/// The same for a job of a prompt file that its model cannot draw, with what a sweep made of it.
LineFault fault_of(const Job& job, const Error& error);

/// Whether what kept a job from being drawn is a fault of its line, and not of the model or the folder.
bool is_of_line(const Job& job, const Error& error);

/// Throws one ErrorKind::input with what is wrong with each line, in their order, each said once, as far as a screen
/// holds. faults: at least one.
[[noreturn]] void throw_faults(std::vector<LineFault> faults);

}  // namespace sdtorch
