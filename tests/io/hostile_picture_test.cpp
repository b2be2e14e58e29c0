// What must never crash, hang, or pass for a picture that it is not.
#include <zlib.h>

#include <random>

#include "io/read_picture.hpp"
#include "support/catch.hpp"
#include "support/errors.hpp"
#include "support/files.hpp"
#include "support/golden.hpp"

using namespace sdtorch;
using namespace std::string_literals;

namespace {

/// What reading these bytes leads to: the error's message, or nothing where they are a picture.
std::string complaint_about(const std::string& file, const std::string& name = "x") {
  try {
    const InputPicture seen =
        read_picture(std::as_bytes(std::span(file.data(), file.size())), name, {.pixels = 1 << 20});
    const auto pixels = static_cast<size_t>(seen.image.width * seen.image.height);
    const bool whole =
        pixels > 0 && seen.image.pixels.size() == 3 * pixels && (!seen.alpha || seen.alpha->pixels.size() == pixels);
    CHECK(whole);
    return {};
  } catch (const Error& error) {
    CHECK(error.kind() == ErrorKind::input);
    CHECK(error.parts().file == name);
    CHECK(!error.parts().reason.empty());
    return error.what();
  }
}

std::string picture_file(const std::string& name) { return file_contents(golden_path("pictures/" + name)); }

std::string four_bytes(uint32_t value) {
  return {static_cast<char>(value >> 24), static_cast<char>(value >> 16), static_cast<char>(value >> 8),
          static_cast<char>(value)};
}

std::string png_chunk(const std::string& type, const std::string& data) {
  const std::string body = type + data;
  const auto crc = crc32(0, reinterpret_cast<const Bytef*>(body.data()), static_cast<uInt>(body.size()));
  return four_bytes(static_cast<uint32_t>(data.size())) + body + four_bytes(static_cast<uint32_t>(crc));
}

std::string deflated(const std::string& data) {
  std::string out(compressBound(data.size()), '\0');
  uLongf size = out.size();
  compress(reinterpret_cast<Bytef*>(out.data()), &size, reinterpret_cast<const Bytef*>(data.data()), data.size());
  return out.substr(0, size);
}

/// A PNG of 8-bit grey that claims a size and holds this data.
std::string grey_png(uint32_t width, uint32_t height, const std::string& rows, const std::string& before = {}) {
  return "\x89PNG\r\n\x1a\n" + png_chunk("IHDR", four_bytes(width) + four_bytes(height) + "\x08\0\0\0\0"s) + before +
         png_chunk("IDAT", deflated(rows)) + png_chunk("IEND", "");
}

const std::vector<std::string> of_each_kind = {"rgba8-interlaced.png",
                                               "palette4-trns-interlaced.png",
                                               "exif-behind.png",
                                               "grey16.png",
                                               "baseline.jpg",
                                               "progressive.jpg",
                                               "cmyk.jpg",
                                               "half-colour.jpg",
                                               "exif6.jpg",
                                               "lossy-alpha.webp",
                                               "lossless-alpha.webp",
                                               "exif.webp"};

}  // namespace

TEST_CASE("a picture that is cut short anywhere is refused", "[io]") {
  for (const std::string& name : of_each_kind) {
    const std::string file = picture_file(name);
    REQUIRE(complaint_about(file).empty());
    CHECK(complaint_about(file + "trailing bytes").empty());
    for (size_t bytes = 0; bytes < file.size(); ++bytes) {
      if (!complaint_about(file.substr(0, bytes)).empty()) continue;
      FAIL_CHECK(name << " cut to " << bytes << " of " << file.size() << " bytes passes for a picture");
    }
  }
}

TEST_CASE("a picture with wrong bytes is refused or another picture", "[io]") {
  std::mt19937 random(1);
  for (const std::string& name : of_each_kind) {
    const std::string file = picture_file(name);
    INFO(name);
    int refused = 0;
    for (int i = 0; i < 700; ++i) {
      std::string damaged = file;
      for (uint32_t flips = 1 + random() % 3; flips > 0; --flips)
        damaged[random() % damaged.size()] ^= static_cast<char>(1U << random() % 8);
      refused += complaint_about(damaged).empty() ? 0 : 1;
    }
    CHECK(refused > 0);
    if (name.ends_with(".png")) CHECK(refused > 690);  // every chunk has a checksum
  }
}

TEST_CASE("wrong pictures are refused with what is wrong and where", "[io]") {
  struct Case {
    std::string file;
    std::string message;
  };
  const std::string png = picture_file("filtered.png"), jpeg = picture_file("baseline.jpg");
  const std::string webp = picture_file("lossy.webp");
  std::string wrong_crc = png;
  wrong_crc[30] ^= 1;
  const std::string two_rows = "\0ab\0cd"s;
  const std::vector<Case> cases = {
      {"", "x: is empty"},
      {"GIF89a...", "x: is GIF, which is not supported; convert it to PNG, JPEG or WebP"},
      {"BM....", "is BMP"},
      {"II*\0...."s, "is TIFF"},
      {"MM\0*...."s, "is TIFF"},
      {"\0\0\0\x20"
       "ftypavif"s,
       "is AVIF"},
      {"\0\0\0\x20"
       "ftypheic"s,
       "is HEIC"},
      {"\0\0\0\x0cJXL \r\n\x87\n"s, "is JPEG XL"},
      {"RIFF\0\0\0\0WAVE"s, "is no picture"},
      {"hello", "x: is no picture in PNG, JPEG or WebP"},
      {"\x89PNG\r\n\x1a\n", "x: byte 8: the file ends early"},
      {png.substr(0, png.size() - 30), "the file ends early"},
      {png.substr(0, png.size() - 6), "the file ends early"},
      {wrong_crc, "x: byte 33: IHDR: CRC error"},
      {grey_png(2, 2, two_rows), ""},
      {grey_png(60000, 60000, two_rows), "x: 60000x60000 pixels are more than the limit of 1048576"},
      {grey_png(0x7fffffff, 0x7fffffff, two_rows), "2147483647x2147483647 pixels are more than"},
      {grey_png(0, 2, two_rows), "Invalid IHDR data"},
      {grey_png(2, 0, two_rows), "Invalid IHDR data"},
      {grey_png(2, 3, two_rows), "x: row 2: Not enough image data"},
      {grey_png(2, 2,
                "\0ab\x09"
                "cd"s),
       "x: row 1: bad adaptive filter value"},
      {grey_png(2, 2, two_rows, png_chunk("ABCD", "critical, but unknown")), "ABCD: unhandled critical chunk"},
      {jpeg.substr(0, jpeg.size() / 2), "Premature end of JPEG file"},
      {jpeg.substr(0, jpeg.size() - 100), "x: row "},
      {jpeg.substr(0, jpeg.size() - 2), "Premature end of JPEG file"},
      {"\xff\xd8\xff\xe0", "Premature end of JPEG file"},
      {"\xff\xd8\xff\xd9", "JPEG datastream contains no image"},
      {webp.substr(0, webp.size() / 2), "x: byte " + std::to_string(webp.size() / 2) + ": the file ends early"},
      {webp.substr(0, 12) + std::string(webp.size() - 12, '\0'), "damaged"},
      {picture_file("animation.webp"), "x: is an animation"},
  };
  for (const Case& c : cases) {
    const std::string complaint = complaint_about(c.file);
    INFO("wanted:  " << c.message);
    INFO("message: " << complaint);
    CHECK((c.message.empty() ? complaint.empty() : complaint.find(c.message) != std::string::npos));
  }
}

TEST_CASE("a JPEG of endless scans is refused", "[io]") {
  const std::string file = picture_file("grey-progressive.jpg");
  const size_t scan = file.find("\xff\xda"), end = file.find("\xff\xc4", scan);
  std::string first = file.substr(scan, end - scan);  // the averages of the blocks
  first[9] = 0;                                       // in all their bits, which may come again and again
  const auto of_scans = [&](int count) {
    std::string whole = file.substr(0, scan);
    for (int i = 0; i < count; ++i) whole += first;
    return whole + "\xff\xd9";
  };
  CHECK(complaint_about(of_scans(100)).empty());
  CHECK(complaint_about(of_scans(1000)).find("too many scans") != std::string::npos);
}
