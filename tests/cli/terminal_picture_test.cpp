#include "cli/terminal_picture.hpp"

#include <algorithm>
#include <vector>

#include "support/catch.hpp"

using namespace sdtorch;

namespace {

/// Red above, blue below.
Image two_colours(int64_t width, int64_t height) {
  Image image{
      .width = width, .height = height, .pixels = std::vector<uint8_t>(static_cast<size_t>(3 * width * height))};
  for (int64_t i = 0; i < width * height; ++i) {
    image.pixels[static_cast<size_t>(3 * i + (i < width * height / 2 ? 0 : 2))] = 255;
  }
  return image;
}

TerminalPicture shown(const Image& image, ShowAs how, std::vector<std::string> environment,
                      const TerminalSize& terminal = {}) {
  std::vector<char*> pointers;
  for (std::string& entry : environment) pointers.push_back(entry.data());
  pointers.push_back(nullptr);
  return terminal_picture(image, how, terminal, pointers.data());
}

bool holds(const TerminalPicture& picture, const char* part) { return picture.text.find(part) != std::string::npos; }

constexpr const char* kitty_mark = "\033_G";
constexpr const char* iterm_mark = "\033]1337;File=";
constexpr const char* sixel_mark = "\033P";

}  // namespace

TEST_CASE("a terminal is shown pictures in the way that it knows", "[cli]") {
  const Image image = two_colours(64, 64);
  CHECK(holds(shown(image, ShowAs::automatic, {"TERM=xterm-kitty"}), kitty_mark));
  CHECK(holds(shown(image, ShowAs::automatic, {"TERM=xterm-256color", "TERM_PROGRAM=iTerm.app"}), iterm_mark));
  CHECK(holds(shown(image, ShowAs::automatic, {"TERM=mlterm"}), sixel_mark));
  CHECK(holds(shown(image, ShowAs::automatic, {"TERM=xterm-ghostty", "TERM_PROGRAM=ghostty"}), kitty_mark));
  CHECK(holds(shown(image, ShowAs::automatic, {"TERM=xterm-256color", "TERM_PROGRAM=ghostty"}), kitty_mark));
  CHECK_FALSE(holds(shown(image, ShowAs::automatic, {"TERM=screen", "TERM_PROGRAM=ghostty"}), kitty_mark));
  for (const char* term : {"TERM=xterm-256color", "TERM=linux", "TERM=dumb", "TERM="}) {
    const TerminalPicture blocks = shown(image, ShowAs::automatic, {term});
    for (const char* mark : {kitty_mark, iterm_mark, sixel_mark}) CHECK_FALSE(holds(blocks, mark));
    CHECK(std::ranges::count(blocks.text, '\n') == blocks.rows - 1);
  }
}

TEST_CASE("what is asked for is done, whatever the terminal says", "[cli]") {
  const Image image = two_colours(64, 64);
  CHECK(holds(shown(image, ShowAs::kitty, {"TERM=xterm"}), kitty_mark));
  CHECK(holds(shown(image, ShowAs::iterm, {"TERM=xterm"}), iterm_mark));
  CHECK(holds(shown(image, ShowAs::sixel, {}), sixel_mark));
  CHECK_FALSE(holds(shown(image, ShowAs::blocks, {"TERM=xterm-kitty"}), kitty_mark));
}

TEST_CASE("blocks have as many colours as the terminal", "[cli]") {
  const Image image = two_colours(16, 16);
  CHECK(holds(shown(image, ShowAs::blocks, {"TERM=xterm-256color"}), "8;2;255;0;0"));
  CHECK(holds(shown(image, ShowAs::blocks, {"TERM=screen-256color"}), "8;5;"));
  CHECK_FALSE(holds(shown(image, ShowAs::blocks, {"TERM=linux"}), "8;5;"));
}

TEST_CASE("a picture keeps its shape and fits the terminal", "[cli]") {
  const TerminalSize terminal{.columns = 100, .rows = 40, .width = 1000, .height = 800};  // cells of 10 by 20
  for (const ShowAs how : {ShowAs::kitty, ShowAs::blocks}) {
    const TerminalPicture square = shown(two_colours(2048, 2048), how, {}, terminal);
    CHECK(square.rows == 38);
    CHECK(square.columns == 76);
    const TerminalPicture wide = shown(two_colours(4000, 400), how, {}, terminal);
    CHECK(wide.columns == 99);
    CHECK(wide.rows == 5);
    const TerminalPicture tall = shown(two_colours(4, 4000), how, {}, terminal);
    CHECK(tall.columns == 1);
    CHECK(tall.rows <= 38);
  }
  // No larger than it is.
  CHECK(shown(two_colours(100, 100), ShowAs::kitty, {}, terminal).columns == 10);
  CHECK(shown(two_colours(16, 16), ShowAs::blocks, {}, terminal).columns == 16);
  CHECK(shown(two_colours(64, 64), ShowAs::blocks, {}, {.columns = 1, .rows = 1}).rows == 1);
}
