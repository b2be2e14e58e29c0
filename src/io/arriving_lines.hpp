// Lines of a pipe or a terminal, each as soon as it is there.
#pragma once

#include <cstddef>
#include <functional>
#include <optional>
#include <string>

namespace sdtorch {

/// Reads a file descriptor line by line, never waiting for more than the line that is asked for.
class ArrivingLines {
 public:
  static constexpr size_t longest = size_t{64} << 20;  ///< bytes

  /// file: stays open; name: for messages; while_waiting: asked several times a second, may throw to end the wait.
  ArrivingLines(int file, std::string name, std::function<void()> while_waiting);

  /// The next line without its end (LF or CR LF); none at the end of the file, whose last line may lack its end.
  /// Throws ErrorKind::input where the file cannot be read, which then has ended, and for a line that is too long,
  /// which is passed over.
  std::optional<std::string> next();

  /// Whether a line has begun to arrive, or the file has ended: the next call need not wait long.
  bool has_more() const;

 private:
  bool fill();
  bool is_readable(int milliseconds) const;

  int file_;
  std::string name_;
  std::function<void()> while_waiting_;
  std::string buffer_{};
  size_t searched_ = 0;  ///< bytes of the buffer that hold no end of a line
  bool ended_ = false;
};

}  // namespace sdtorch
