#include <fmt/format.h>
#include <png.h>

#include <array>
#include <climits>
#include <csetjmp>
#include <cstring>
#include <new>

#include "io/exif.hpp"
#include "io/picture_formats.hpp"

namespace sdtorch {
namespace {

/// One file's way through libpng, which leaves its own functions by a jump where something is wrong. So what is to be
/// destroyed lives here, and no function between guarded() and libpng owns anything.
class PngDecoder {
 public:
  explicit PngDecoder(const PictureFile& file) : file_(file) {
    png_ = png_create_read_struct(PNG_LIBPNG_VER_STRING, this, jump, [](png_structp, png_const_charp) {});
    if (png_) info_ = png_create_info_struct(png_);
    if (info_) end_ = png_create_info_struct(png_);
    if (!end_) {
      png_destroy_read_struct(&png_, &info_, nullptr);
      throw std::bad_alloc();
    }
  }
  PngDecoder(const PngDecoder&) = delete;
  PngDecoder& operator=(const PngDecoder&) = delete;
  ~PngDecoder() { png_destroy_read_struct(&png_, &info_, &end_); }

  StoredPicture decode() {
    guarded([this] { read_header(); });
    const int64_t width = png_get_image_width(png_, info_), height = png_get_image_height(png_, info_);
    file_.check_size(width, height);
    guarded([this] { ask_for_bytes(); });
    const int channels = png_get_channels(png_, info_);
    const int64_t row_bytes = width * channels;
    std::vector<uint8_t> values(static_cast<size_t>(row_bytes * height));
    guarded([&] { read_rows(values.data(), row_bytes, height); });
    row_ = -1;
    guarded([this] { png_read_end(png_, end_); });
    return {.picture = picture_of(std::move(values), width, height, channels), .orientation = orientation()};
  }

 private:
  template <class Step>
  void guarded(const Step& step) {
    if (setjmp(png_jmpbuf(png_))) file_.fail(place(), reason_.data());
    step();
  }

  [[noreturn]] static void jump(png_structp png, png_const_charp reason) {
    auto* self = static_cast<PngDecoder*>(png_get_error_ptr(png));
    std::strncpy(self->reason_.data(), reason, self->reason_.size() - 1);
    png_longjmp(png, 1);
  }

  static void give(png_structp png, png_bytep to, size_t count) {
    auto* self = static_cast<PngDecoder*>(png_get_io_ptr(png));
    if (count > self->file_.bytes.size() - self->offset_) {
      self->offset_ = self->file_.bytes.size();
      png_error(png, "the file ends early");
    }
    std::memcpy(to, self->file_.bytes.data() + self->offset_, count);
    self->offset_ += count;
  }

  void read_header() {
    // Nothing that a picture's pixels do not depend on, some of it compressed.
    static constexpr std::array<png_byte, 9 * 5> unread = {'i', 'C', 'C', 'P', 0,   't', 'E', 'X', 't', 0,   'z', 'T',
                                                           'X', 't', 0,   'i', 'T', 'X', 't', 0,   's', 'P', 'L', 'T',
                                                           0,   'p', 'C', 'A', 'L', 0,   's', 'C', 'A', 'L', 0,   'h',
                                                           'I', 'S', 'T', 0,   's', 'R', 'G', 'B', 0};
    png_set_read_fn(png_, this, give);
    png_set_user_limits(png_, INT_MAX, INT_MAX);  // ours is checked behind the header
    png_set_crc_action(png_, PNG_CRC_ERROR_QUIT, PNG_CRC_ERROR_QUIT);
    png_set_keep_unknown_chunks(png_, PNG_HANDLE_CHUNK_NEVER, unread.data(), static_cast<int>(unread.size() / 5));
    png_read_info(png_, info_);
  }

  /// 8 bits a channel, RGB or RGBA.
  void ask_for_bytes() {
    png_set_expand(png_);    // palettes to colours, 1, 2 and 4 bits of grey to 8, tRNS to alpha
    png_set_strip_16(png_);  // behind that: tRNS names a colour in all 16 bits
    png_set_gray_to_rgb(png_);
    png_set_interlace_handling(png_);
    png_read_update_info(png_, info_);
  }

  void read_rows(uint8_t* values, int64_t row_bytes, int64_t height) {
    const int passes = png_get_interlace_type(png_, info_) == PNG_INTERLACE_ADAM7 ? PNG_INTERLACE_ADAM7_PASSES : 1;
    for (int pass = 0; pass < passes; ++pass) {
      for (row_ = 0; row_ < height; ++row_) png_read_row(png_, values + row_ * row_bytes, nullptr);
    }
  }

  std::string place() const { return row_ >= 0 ? fmt::format("row {}", row_) : fmt::format("byte {}", offset_); }

  /// eXIf may stand before the pixels or behind them.
  int orientation() {
    png_uint_32 size = 0;
    png_bytep exif = nullptr;
    if (!png_get_eXIf_1(png_, info_, &size, &exif) && !png_get_eXIf_1(png_, end_, &size, &exif)) return 1;
    return exif_orientation({reinterpret_cast<const std::byte*>(exif), size});
  }

  const PictureFile& file_;
  png_structp png_ = nullptr;
  png_infop info_ = nullptr, end_ = nullptr;
  size_t offset_ = 0;  // of what libpng has not had yet
  int64_t row_ = -1;   // that is being read; -1: none
  std::array<char, 200> reason_{};
};

}  // namespace

StoredPicture decode_png(const PictureFile& file) { return PngDecoder(file).decode(); }

}  // namespace sdtorch
