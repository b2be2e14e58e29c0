#include "io/font.hpp"

#include <algorithm>
#include <cmath>
#include <fstream>
#include <iterator>
#include <utility>

#include "core/error.hpp"
#include "core/paths.hpp"
#include "core/utf8.hpp"

#define STB_TRUETYPE_IMPLEMENTATION
#define STBTT_STATIC
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wunused-function"
#include <stb/stb_truetype.h>
#pragma GCC diagnostic pop

namespace sdtorch {

struct Font::Face {
  std::vector<unsigned char> file{};  // which `info` points into
  stbtt_fontinfo info{};
  float scale = 0;
  int ascent = 0;  // pixels from a line's top to its baseline

  /// Pixels from one character's place to the next one's.
  double advance(char32_t code) const {
    int advance = 0;
    stbtt_GetCodepointHMetrics(&info, static_cast<int>(code), &advance, nullptr);
    return static_cast<double>(scale) * advance;
  }
};

namespace {

constexpr std::string_view ellipsis = "…";

/// Line breaks and tabs as blanks, and what cannot be shown as `?`.
std::string one_line(std::string_view text) {
  std::string line(text);
  std::ranges::replace_if(
      line, [](char c) { return c == '\n' || c == '\r' || c == '\t'; }, ' ');
  return harmless(line);
}

void drop_last_character(std::string& text) {
  const auto continues = [&] { return (static_cast<unsigned char>(text.back()) & 0xC0) == 0x80; };
  while (!text.empty() && continues()) text.pop_back();
  if (!text.empty()) text.pop_back();
}

std::vector<std::string> words_of(std::string_view text) {
  std::vector<std::string> words;
  const std::string line = one_line(text);
  for (size_t start = 0; start < line.size();) {
    const size_t end = std::min(line.find(' ', start), line.size());
    if (end > start) words.push_back(line.substr(start, end - start));
    start = end + 1;
  }
  return words;
}

}  // namespace

Font::Font(const std::filesystem::path& file, double pixels) : face_(std::make_unique<Face>()) {
  std::ifstream stream(file, std::ios::binary);
  face_->file.assign(std::istreambuf_iterator<char>(stream), {});
  if (face_->file.empty()) {
    fail(ErrorKind::output, file, {}, "the font for labels is not there", "install Debian's fonts-dejavu-core");
  }
  const int offset = stbtt_GetFontOffsetForIndex(face_->file.data(), 0);
  if (offset < 0 || !stbtt_InitFont(&face_->info, face_->file.data(), offset)) {
    fail(ErrorKind::output, file, {}, "is no TrueType font");
  }
  face_->scale = stbtt_ScaleForPixelHeight(&face_->info, static_cast<float>(pixels));
  int ascent = 0, descent = 0, gap = 0;
  stbtt_GetFontVMetrics(&face_->info, &ascent, &descent, &gap);
  face_->ascent = static_cast<int>(std::lround(static_cast<double>(face_->scale) * ascent));
  line_height_ = std::lround(static_cast<double>(face_->scale) * (ascent - descent + gap)) + 1;
}

Font::~Font() = default;

bool Font::holds(std::string_view text) const {
  const std::string line = one_line(text);
  for (size_t at = 0; at < line.size();) {
    if (stbtt_FindGlyphIndex(&face_->info, static_cast<int>(next_code_point(line, at))) == 0) return false;
  }
  return true;
}

int64_t Font::width(std::string_view text) const {
  const std::string line = one_line(text);
  double width = 0;
  for (size_t at = 0; at < line.size();) width += face_->advance(next_code_point(line, at));
  return static_cast<int64_t>(std::ceil(width));
}

std::vector<std::string> Font::wrap(std::string_view text, int64_t most, size_t lines) const {
  std::vector<std::string> wrapped;
  const auto fits = [&](const std::string& line) { return width(line) <= most; };
  std::string line;
  for (std::string word : words_of(text)) {
    if (fits(line.empty() ? word : line + " " + word)) {
      line += (line.empty() ? "" : " ") + word;
      continue;
    }
    if (!line.empty()) wrapped.push_back(std::exchange(line, {}));
    for (size_t at = 0; at < word.size() && wrapped.size() <= lines;) {  // one that is wider than a line is cut
      const size_t start = at;
      next_code_point(word, at);
      const std::string character = word.substr(start, at - start);
      if (!line.empty() && !fits(line + character)) wrapped.push_back(std::exchange(line, {}));
      line += character;
    }
    if (wrapped.size() > lines) break;
  }
  if (!line.empty()) wrapped.push_back(line);
  if (wrapped.size() <= lines) return wrapped;
  wrapped.resize(lines);
  std::string& last = wrapped.back();
  while (!last.empty() && !fits(last + std::string(ellipsis))) drop_last_character(last);
  last += ellipsis;
  return wrapped;
}

void Font::draw(Image& image, int64_t x, int64_t y, std::string_view text, uint8_t grey) const {
  const std::string line = one_line(text);
  double place = 0;
  for (size_t at = 0; at < line.size();) {
    const auto code = static_cast<int>(next_code_point(line, at));
    int width = 0, height = 0, left = 0, top = 0;
    unsigned char* const cover = stbtt_GetCodepointBitmapSubpixel(&face_->info, face_->scale, face_->scale,
                                                                  static_cast<float>(place - std::floor(place)), 0,
                                                                  code, &width, &height, &left, &top);
    const int64_t first_x = x + static_cast<int64_t>(std::floor(place)) + left, first_y = y + face_->ascent + top;
    for (int64_t row = std::max<int64_t>(0, -first_y); row < std::min<int64_t>(height, image.height - first_y); ++row) {
      for (int64_t column = std::max<int64_t>(0, -first_x); column < std::min<int64_t>(width, image.width - first_x);
           ++column) {
        const int covered = cover[row * width + column];
        uint8_t* const pixel =
            &image.pixels[static_cast<size_t>(3 * ((first_y + row) * image.width + first_x + column))];
        for (int c = 0; c < 3; ++c) {
          pixel[c] = static_cast<uint8_t>((pixel[c] * (255 - covered) + grey * covered + 127) / 255);
        }
      }
    }
    stbtt_FreeBitmap(cover, nullptr);
    place += face_->advance(static_cast<char32_t>(code));
  }
}

std::filesystem::path font_file() { return share_folder() / "fonts" / "DejaVuSans.ttf"; }

}  // namespace sdtorch
