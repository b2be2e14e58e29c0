#include "io/image.hpp"

#include <png.h>
#include <zlib.h>

#include <algorithm>
#include <array>
#include <climits>
#include <csetjmp>
#include <cstddef>
#include <cstdint>
#include <new>
#include <string>
#include <string_view>
#include <utility>

#include "core/error.hpp"

namespace sdtorch {
namespace {

constexpr int64_t png_channels = 3;

/// One picture's way through libpng, which leaves its own functions by a jump where something is wrong. So what is to
/// be destroyed lives here.
class PngEncoder {
 public:
  explicit PngEncoder(const Image& image) : image_(image) {
    png_ = png_create_write_struct(PNG_LIBPNG_VER_STRING, this, jump, [](png_structp, png_const_charp) {});
    if (png_) info_ = png_create_info_struct(png_);
    if (!info_) {
      png_destroy_write_struct(&png_, nullptr);
      throw std::bad_alloc();
    }
  }
  PngEncoder(const PngEncoder&) = delete;
  PngEncoder& operator=(const PngEncoder&) = delete;
  ~PngEncoder() { png_destroy_write_struct(&png_, &info_); }

  Bytes encode() {
    if (setjmp(png_jmpbuf(png_))) {
      // Its own allocator, and zlib's, say no more of it than this word.
      if (std::string_view(reason_.data()).find("emory") != std::string_view::npos) throw std::bad_alloc();
      throw Error(ErrorKind::output, {.reason = std::string("the PNG encoder fails: ") + reason_.data()});
    }
    write();
    return std::move(bytes_);
  }

 private:
  static constexpr int bits = 8;
  static constexpr size_t packed_at_once = size_t{1} << 16;  // bytes

  void write() {
    png_set_write_fn(png_, this, take, nullptr);
    png_set_user_limits(png_, INT_MAX, INT_MAX);
    png_set_IHDR(png_, info_, static_cast<png_uint_32>(image_.width), static_cast<png_uint_32>(image_.height), bits,
                 PNG_COLOR_TYPE_RGB, PNG_INTERLACE_NONE, PNG_COMPRESSION_TYPE_DEFAULT, PNG_FILTER_TYPE_DEFAULT);
    // What filters leave of a picture repeats itself in runs or not at all: looking for more takes twice the time, and
    // our pictures do not get smaller by it.
    png_set_filter(png_, PNG_FILTER_TYPE_BASE, PNG_ALL_FILTERS);
    png_set_compression_strategy(png_, Z_RLE);
    png_set_compression_buffer_size(png_, packed_at_once);
    png_write_info(png_, info_);
    for (int64_t row = 0; row < image_.height; ++row) {
      png_write_row(png_, image_.pixels.data() + row * image_.width * png_channels);
    }
    png_write_end(png_, info_);
  }

  [[noreturn]] static void jump(png_structp png, png_const_charp reason) {
    auto* self = static_cast<PngEncoder*>(png_get_error_ptr(png));
    const std::string_view text = reason;
    std::copy_n(text.begin(), std::min(text.size(), self->reason_.size() - 1), self->reason_.begin());
    png_longjmp(png, 1);
  }

  /// No exception goes through libpng.
  static void take(png_structp png, png_bytep bytes, size_t count) {
    auto* self = static_cast<PngEncoder*>(png_get_io_ptr(png));
    try {
      const auto* first = reinterpret_cast<const std::byte*>(bytes);
      self->bytes_.insert(self->bytes_.end(), first, first + count);
      return;
    } catch (const std::bad_alloc&) {  // and no jump goes out of a handler
    }
    png_error(png, "out of memory");
  }

  const Image& image_;
  png_structp png_ = nullptr;
  png_infop info_ = nullptr;
  Bytes bytes_{};
  std::array<char, 200> reason_{};
};

}  // namespace

Bytes encode_png(const Image& image, const std::vector<PngText>& texts) {
  const bool whole = image.width > 0 && image.height > 0 && image.width <= INT_MAX && image.height <= INT_MAX &&
                     static_cast<int64_t>(image.pixels.size()) / image.width / png_channels == image.height &&
                     static_cast<int64_t>(image.pixels.size()) % (image.width * png_channels) == 0;
  if (!whole) throw Error(ErrorKind::bug, {.reason = "a picture's pixels do not match its size"});
  const Bytes png = PngEncoder(image).encode();
  return texts.empty() ? png : add_png_text(png, texts);
}

}  // namespace sdtorch
