#include "io/arriving_lines.hpp"

#include <fmt/format.h>
#include <poll.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <system_error>
#include <utility>

#include "core/error.hpp"

namespace sdtorch {
namespace {

constexpr int wait_milliseconds = 100;  // how soon somebody who waits hears of an interrupt

}  // namespace

ArrivingLines::ArrivingLines(int file, std::string name, std::function<void()> while_waiting)
    : file_(file), name_(std::move(name)), while_waiting_(std::move(while_waiting)) {}

std::optional<std::string> ArrivingLines::next() {
  bool too_long = false;
  while (true) {
    const size_t end = buffer_.find('\n', searched_);
    if (end != std::string::npos || (ended_ && (!buffer_.empty() || too_long))) {
      std::string line = buffer_.substr(0, end);
      buffer_.erase(0, end == std::string::npos ? end : end + 1);
      searched_ = 0;
      if (too_long || line.size() > longest)
        fail(ErrorKind::input, name_, "", fmt::format("a line is longer than {} bytes", longest));
      if (line.ends_with('\r')) line.pop_back();
      return line;
    }
    if (ended_) return std::nullopt;
    if (buffer_.size() > longest) {
      too_long = true;
      buffer_.clear();
    }
    searched_ = buffer_.size();
    ended_ = !fill();
  }
}

bool ArrivingLines::has_more() const { return !buffer_.empty() || ended_ || is_readable(0); }

bool ArrivingLines::is_readable(int milliseconds) const {
  pollfd waited{.fd = file_, .events = POLLIN, .revents = 0};
  return poll(&waited, 1, milliseconds) > 0;
}

/// Appends what is there to the buffer, and waits for it where there is nothing; false at the end.
bool ArrivingLines::fill() {
  while (!is_readable(wait_milliseconds)) while_waiting_();
  std::array<char, 1 << 16> bytes{};
  while (true) {
    const ssize_t count = read(file_, bytes.data(), bytes.size());
    if (count > 0) buffer_.append(bytes.data(), static_cast<size_t>(count));
    if (count >= 0) return count > 0;
    if (errno != EINTR && errno != EAGAIN) {
      const int error = errno;
      ended_ = true;  // told once
      buffer_.clear();
      fail(ErrorKind::input, name_, "", "cannot be read: " + std::generic_category().message(error));
    }
    while_waiting_();
  }
}

}  // namespace sdtorch
