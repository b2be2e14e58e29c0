#include "io/arriving_lines.hpp"

#include <fcntl.h>
#include <unistd.h>

#include <array>
#include <string_view>

#include "support/catch.hpp"
#include "support/errors.hpp"

using namespace sdtorch;

namespace {

/// A pipe that the test writes into.
class Pipe {
 public:
  Pipe() { REQUIRE(pipe(ends_.data()) == 0); }
  ~Pipe() {
    close(ends_[0]);
    end();
  }
  Pipe(const Pipe&) = delete;
  Pipe& operator=(const Pipe&) = delete;

  int file() const { return ends_[0]; }
  void say(std::string_view text) { REQUIRE(write(ends_[1], text.data(), text.size()) == std::ssize(text)); }
  void end() {
    if (ends_[1] >= 0) close(ends_[1]);
    ends_[1] = -1;
  }

 private:
  std::array<int, 2> ends_{};
};

void fail_to_wait() { throw Error(ErrorKind::interrupted, {.reason = "would wait"}); }

}  // namespace

TEST_CASE("a line is there as soon as its end is", "[io]") {
  Pipe pipe;
  ArrivingLines lines(pipe.file(), "<pipe>", fail_to_wait);
  CHECK_FALSE(lines.has_more());
  pipe.say("one\ntwo\r\n\nhal");
  CHECK(lines.has_more());
  CHECK(lines.next() == "one");
  CHECK(lines.next() == "two");
  CHECK(lines.next() == "");
  check_error(ErrorKind::interrupted, "would wait", [&] { lines.next(); });
  pipe.say("f\nlast");
  CHECK(lines.next() == "half");
  pipe.end();
  CHECK(lines.next() == "last");
  CHECK(lines.has_more());
  CHECK_FALSE(lines.next());
  CHECK_FALSE(lines.next());
}

TEST_CASE("what cannot be read is told once, and is the end", "[io]") {
  const int folder = open("/", O_RDONLY);
  ArrivingLines lines(folder, "<stdin>", [] {});
  check_error(ErrorKind::input, "<stdin>: cannot be read", [&] { lines.next(); });
  CHECK_FALSE(lines.next());
  close(folder);
}
