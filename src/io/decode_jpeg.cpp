#include <fmt/format.h>

#include <csetjmp>
#include <cstdio>  // jpeglib.h wants it first
#include <new>

#include <jpeglib.h>
// Behind it:
#include <jerror.h>

#include <algorithm>
#include <array>
#include <string_view>

#include "io/exif.hpp"
#include "io/picture_formats.hpp"

namespace sdtorch {
namespace {

constexpr int most_scans = 500;  // of a progressive picture; some ten are usual, and each costs a walk over all of it

/// Warnings that leave the pixels as they were meant; the others mean that some were made up.
bool harmless_warning(int code) {
  return code == JWRN_EXTRANEOUS_DATA || code == JWRN_JFIF_MAJOR || code == JWRN_ADOBE_XFORM || code == JWRN_BOGUS_ICC;
}

/// One file's way through libjpeg, which leaves its own functions by a jump where something is wrong. So what is to be
/// destroyed lives here, and no function between guarded() and libjpeg owns anything.
class JpegDecoder {
 public:
  explicit JpegDecoder(const PictureFile& file) : file_(file) {
    jpeg_.err = jpeg_std_error(&errors_);
    jpeg_.client_data = this;
    errors_.error_exit = [](j_common_ptr jpeg) { of(jpeg).jump(); };
    errors_.emit_message = [](j_common_ptr jpeg, int level) {
      if (level < 0 && !harmless_warning(jpeg->err->msg_code)) of(jpeg).jump();
    };
    errors_.output_message = [](j_common_ptr) {};
    progress_.progress_monitor = [](j_common_ptr jpeg) {
      JpegDecoder& self = of(jpeg);
      if (self.jpeg_.input_scan_number > most_scans) self.jump("too many scans");
    };
  }
  JpegDecoder(const JpegDecoder&) = delete;
  JpegDecoder& operator=(const JpegDecoder&) = delete;
  ~JpegDecoder() { jpeg_destroy_decompress(&jpeg_); }

  StoredPicture decode() {
    guarded([this] { read_header(); });
    file_.check_size(jpeg_.image_width, jpeg_.image_height);
    const int channels = jpeg_.out_color_components;
    const int64_t width = jpeg_.image_width, height = jpeg_.image_height;
    std::vector<uint8_t> values(static_cast<size_t>(width * height * channels));
    guarded([&] { read_rows(values.data(), width * channels); });
    if (channels == 4) values = rgb_of_cmyk(std::move(values));
    return {.picture = picture_of(std::move(values), width, height, std::min(channels, 3)),
            .orientation = orientation_};
  }

 private:
  static JpegDecoder& of(j_common_ptr jpeg) { return *static_cast<JpegDecoder*>(jpeg->client_data); }

  template <class Step>
  void guarded(const Step& step) {
    if (setjmp(jump_)) file_.fail(place(), reason_.data());
    step();
  }

  [[noreturn]] void jump() {
    errors_.format_message(reinterpret_cast<j_common_ptr>(&jpeg_), reason_.data());
    std::longjmp(jump_, 1);
  }

  [[noreturn]] void jump(std::string_view reason) {
    reason.copy(reason_.data(), reason_.size() - 1);
    std::longjmp(jump_, 1);
  }

  void read_header() {
    jpeg_create_decompress(&jpeg_);
    jpeg_.progress = &progress_;
    jpeg_save_markers(&jpeg_, exif_marker, 0xFFFF);
    jpeg_mem_src(&jpeg_, reinterpret_cast<const unsigned char*>(file_.bytes.data()), file_.bytes.size());
    jpeg_read_header(&jpeg_, TRUE);
    switch (jpeg_.num_components) {
      case 1:
        jpeg_.out_color_space = JCS_GRAYSCALE;
        break;
      case 3:
        jpeg_.out_color_space = JCS_RGB;
        break;
      case 4:
        jpeg_.out_color_space = JCS_CMYK;
        break;
      default:
        jump("a picture of one, three or four channels was expected");
    }
    jpeg_calc_output_dimensions(&jpeg_);
    orientation_ = orientation();  // now: finishing drops the markers
  }

  void read_rows(uint8_t* values, int64_t row_values) {
    jpeg_start_decompress(&jpeg_);
    while (jpeg_.output_scanline < jpeg_.output_height) {
      reading_rows_ = true;
      JSAMPROW row = values + jpeg_.output_scanline * row_values;
      jpeg_read_scanlines(&jpeg_, &row, 1);
    }
    jpeg_finish_decompress(&jpeg_);
  }

  std::string place() const {
    const std::string byte = fmt::format("byte {}", file_.bytes.size() - (jpeg_.src ? jpeg_.src->bytes_in_buffer : 0));
    return reading_rows_ ? fmt::format("row {}, {}", jpeg_.output_scanline, byte) : byte;
  }

  /// Inks as Adobe stores them, 255 for none, and the light that they leave.
  static std::vector<uint8_t> rgb_of_cmyk(std::vector<uint8_t> cmyk) {
    size_t out = 0;
    for (size_t in = 0; in < cmyk.size(); in += 4) {
      const int key = cmyk[in + 3];
      for (size_t c = 0; c < 3; ++c) {
        const int ink = 255 - cmyk[in + c];
        cmyk[out++] = static_cast<uint8_t>(key - (ink * key + 127) / 255);
      }
    }
    cmyk.resize(out);
    return cmyk;
  }

  int orientation() const {
    for (jpeg_saved_marker_ptr marker = jpeg_.marker_list; marker; marker = marker->next) {
      const std::string_view data(reinterpret_cast<const char*>(marker->data), marker->data_length);
      if (marker->marker == exif_marker && data.starts_with("Exif"))
        return exif_orientation({reinterpret_cast<const std::byte*>(data.data()), data.size()});
    }
    return 1;
  }

  static constexpr int exif_marker = JPEG_APP0 + 1;

  const PictureFile& file_;
  jpeg_decompress_struct jpeg_{};
  jpeg_error_mgr errors_{};
  jpeg_progress_mgr progress_{};
  std::jmp_buf jump_{};
  std::array<char, JMSG_LENGTH_MAX> reason_{};
  bool reading_rows_ = false;
  int orientation_ = 1;
};

}  // namespace

StoredPicture decode_jpeg(const PictureFile& file) { return JpegDecoder(file).decode(); }

}  // namespace sdtorch
