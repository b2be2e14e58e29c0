#include "io/font.hpp"

#include <algorithm>
#include <numeric>

#include "support/catch.hpp"
#include "support/errors.hpp"
#include "support/files.hpp"
#include "support/temp_dir.hpp"

using namespace sdtorch;

namespace {

Image white(int64_t width, int64_t height) {
  return {
      .width = width, .height = height, .pixels = std::vector<uint8_t>(static_cast<size_t>(3 * width * height), 255)};
}

/// Pixels that something was drawn on.
int64_t dark(const Image& image) {
  return std::ranges::count_if(image.pixels, [](uint8_t v) { return v < 128; }) / 3;
}

}  // namespace

TEST_CASE("text is drawn where it is said, and nowhere else", "[io]") {
  const Font font(font_file(), 16);
  Image image = white(120, 40);
  font.draw(image, 10, 8, "Hello", 0);
  CHECK(dark(image) > 50);
  for (int64_t y = 0; y < image.height; ++y) {
    for (int64_t x = 0; x < image.width; ++x) {
      const bool inside = x >= 9 && x <= 11 + font.width("Hello") && y >= 8 && y <= 8 + font.line_height();
      if (!inside) REQUIRE(image.pixels[static_cast<size_t>(3 * (y * image.width + x))] == 255);
    }
  }
  CHECK(font.width("Hello, world") > font.width("Hello"));
  CHECK(font.width("") == 0);
}

TEST_CASE("any text can be drawn, on any edge", "[io]") {
  const Font font(font_file(), 16);
  for (const char* text :
       {"海賊船 🏴‍☠️", "\xFF\xFE broken", "a\nb\tc\r\x01", "é ü ñ", "\xE2\x80\xAE rtl"}) {
    Image image = white(60, 20);
    for (const int64_t x : {-30, 0, 50, 100}) {
      for (const int64_t y : {-10, 0, 15, 100}) CHECK_NOTHROW(font.draw(image, x, y, text, 0));
    }
    CHECK(dark(image) > 0);
  }
  CHECK(font.holds("a lake, Straße, озеро\n"));
  CHECK_FALSE(font.holds("a 海"));
  Image image = white(40, 24);
  font.draw(image, 2, 2, "海", 0);  // a character that the font lacks is its box
  CHECK(dark(image) > 5);
}

TEST_CASE("text is broken into lines that fit", "[io]") {
  const Font font(font_file(), 16);
  const int64_t width = font.width("a pirate ship");
  const auto lines = font.wrap("a pirate ship near a paradise beach", width, 5);
  REQUIRE(lines.size() > 2);
  CHECK(lines[0] == "a pirate ship");
  for (const std::string& line : lines) CHECK(font.width(line) <= width);
  const auto cut = font.wrap("a pirate ship near a paradise beach", width, 2);
  REQUIRE(cut.size() == 2);
  CHECK(cut[1].ends_with("…"));
  CHECK(font.width(cut[1]) <= width);
  const auto word = font.wrap(std::string(100, 'w') + "海", width, 3);
  REQUIRE(word.size() == 3);
  for (const std::string& line : word) CHECK(font.width(line) <= width);
  CHECK(font.wrap("", width, 3).empty());
  CHECK(font.wrap("  \n ", width, 3).empty());
  CHECK(font.wrap("wide", 1, 2).size() <= 2);
}

TEST_CASE("what is no font is an error that names it", "[io]") {
  const TempDir folder;
  write_file(folder / "x.ttf", std::string(1000, 'x'));
  check_error(ErrorKind::output, "is no TrueType font", [&] { Font(folder / "x.ttf", 16); });
  check_error(ErrorKind::output, "the font for labels is not there", [&] { Font(folder / "y.ttf", 16); });
}
