// Text in pictures.
#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "io/image.hpp"

namespace sdtorch {

/// A TrueType font at one size. Characters that it lacks are drawn as its box for such; scripts are not shaped, and run
/// from left to right.
class Font {
 public:
  /// pixels: from the top of the tallest character to the foot of the lowest.
  /// Throws ErrorKind::output naming the file where it is not there or no such font.
  Font(const std::filesystem::path& file, double pixels);
  Font(const Font&) = delete;
  Font& operator=(const Font&) = delete;
  ~Font();

  /// Pixels from one line's top to the next.
  int64_t line_height() const { return line_height_; }

  /// Whether it has all of a text's characters.
  bool holds(std::string_view text) const;

  /// Pixels that a line takes, rounded up.
  int64_t width(std::string_view text) const;

  /// The text in at most `lines` lines of at most `width` pixels, broken at blanks where there are any, else inside a
  /// word; what does not fit becomes `…`. Control characters and bytes that are no UTF-8 are `?`, line breaks blanks.
  std::vector<std::string> wrap(std::string_view text, int64_t width, size_t lines) const;

  /// Draws one line in a grey (0 is black) onto the picture, its top left corner at x and y; what lies outside of the
  /// picture is left out.
  void draw(Image& image, int64_t x, int64_t y, std::string_view text, uint8_t grey) const;

 private:
  struct Face;

  std::unique_ptr<Face> face_;
  int64_t line_height_ = 0;
};

/// The font that comes with the program.
std::filesystem::path font_file();

}  // namespace sdtorch
