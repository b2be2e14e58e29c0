#include "io/read_picture.hpp"

#include <unistd.h>

#include "io/exif.hpp"
#include "support/catch.hpp"
#include "support/errors.hpp"
#include "support/files.hpp"
#include "support/golden.hpp"
#include "support/picture_tensors.hpp"
#include "support/temp_dir.hpp"

using namespace sdtorch;

namespace {

/// The channels of a picture and its alpha side by side: [height, width, 3 or 4].
at::Tensor rgba_tensor(const InputPicture& seen) {
  const at::Tensor colours = picture_tensor(seen.image);
  return seen.alpha ? at::cat({colours, picture_tensor(*seen.alpha).unsqueeze(-1)}, -1) : colours;
}

/// The largest difference of two pictures' values; 256 where their shapes differ.
int most_off(const at::Tensor& a, const at::Tensor& b) {
  if (a.sizes() != b.sizes()) return 256;
  return (a.to(at::kInt) - b.to(at::kInt)).abs().max().item<int>();
}

std::string tiff(const std::string& entries, uint8_t count) {
  return std::string("II*\0\x08\0\0\0", 8) + static_cast<char>(count) + std::string(1, '\0') + entries;
}

int orientation_of(const std::string& exif) {
  return exif_orientation(std::as_bytes(std::span(exif.data(), exif.size())));
}

}  // namespace

TEST_CASE("pictures of every kind are read as Pillow reads them", "[io]") {
  const auto decoded = load_golden("pictures/decoded");
  CHECK(decoded.size() > 50);
  for (const auto& [name, expected] : decoded) {
    INFO(name);
    const InputPicture seen = read_picture(golden_path("pictures/" + name));
    // libjpeg-turbo and libwebp's lossy coder leave the last bit to their version.
    const bool lossy = name.ends_with(".jpg") || name.starts_with("lossy");
    CHECK(most_off(rgba_tensor(seen), expected) <= (lossy ? 1 : 0));
  }
}

TEST_CASE("transparent pictures before white are Pillow's", "[io]") {
  for (const auto& [name, expected] : load_golden("pictures/composed")) {
    INFO(name);
    const InputPicture seen = read_picture(golden_path("pictures/" + name));
    CHECK(most_off(picture_tensor(compose_on_white(seen)), expected) == 0);
  }
  const InputPicture opaque = read_picture(golden_path("pictures/rgb8.png"));
  CHECK(!opaque.alpha);
  CHECK(compose_on_white(opaque) == opaque.image);
}

TEST_CASE("grey is Pillow's luma", "[io]") {
  for (const auto& [name, expected] : load_golden("pictures/greys")) {
    INFO(name);
    const GreyImage grey = to_grey(read_picture(golden_path("pictures/" + name)).image);
    CHECK(most_off(picture_tensor(grey), expected) == 0);
    CHECK(to_grey(to_rgb(grey)) == grey);
  }
}

TEST_CASE("the orientation is found wherever its directory lies, and damaged EXIF means none", "[io]") {
  const std::string six("\x12\x01\x03\0\x01\0\0\0\x06\0\0\0", 12), other("\0\x01\x03\0\x01\0\0\0\x05\0\0\0", 12);
  CHECK(orientation_of(tiff(six, 1)) == 6);
  CHECK(orientation_of(tiff(other + six, 2)) == 6);
  CHECK(orientation_of(std::string("Exif\0\0", 6) + tiff(six, 1)) == 6);
  CHECK(orientation_of(tiff(other, 1)) == 1);
  CHECK(orientation_of(tiff("", 200)) == 1);
  CHECK(orientation_of(std::string("II*\0\xff\xff\xff\xff", 8) + six) == 1);
  CHECK(orientation_of("II") == 1);
  CHECK(orientation_of("") == 1);
  std::string nine = six;
  nine[8] = 9;
  CHECK(orientation_of(tiff(nine, 1)) == 1);
  std::string text = six;
  text[2] = 2;  // the type of letters
  CHECK(orientation_of(tiff(text, 1)) == 1);
}

TEST_CASE("a picture comes through a pipe, up to a limit", "[io]") {
  const std::string file = file_contents(golden_path("pictures/rgb8.png"));
  const auto through_pipe = [&](const PictureLimits& limits) {
    int ends[2];
    REQUIRE(pipe(ends) == 0);
    REQUIRE(write(ends[1], file.data(), file.size()) == static_cast<ssize_t>(file.size()));
    close(ends[1]);
    const struct Closer {
      int end;
      ~Closer() { close(end); }
    } closer{ends[0]};
    return read_stream(ends[0], "standard input", limits);
  };
  const InputPicture seen = read_picture(through_pipe({}), "standard input");
  CHECK(seen.image == read_picture(golden_path("pictures/rgb8.png")).image);
  check_error(ErrorKind::input, "standard input: is longer than 100 bytes",
              [&] { through_pipe({.stream_bytes = 100}); });
  check_error(ErrorKind::input, "standard input: cannot be read", [] { read_stream(-1, "standard input"); });
}

TEST_CASE("a picture's limit is its number of pixels", "[io]") {
  for (const std::string name : {"rgb8.png", "baseline.jpg", "lossy.webp"}) {
    INFO(name);
    const std::filesystem::path path = golden_path("pictures/" + name);
    const Image image = read_picture(path).image;
    const int64_t pixels = image.width * image.height;
    CHECK(read_picture(path, {.pixels = pixels}).image == image);
    check_error(ErrorKind::input,
                name + ": " + std::to_string(image.width) + "x" + std::to_string(image.height) +
                    " pixels are more than the limit of " + std::to_string(pixels - 1) + "; --max-pixels",
                [&] { read_picture(path, {.pixels = pixels - 1}); });
  }
}

TEST_CASE("paths that lead to no file are refused", "[io]") {
  const TempDir folder;
  check_error(ErrorKind::input, "is a folder", [&] { read_picture(folder.path()); });
  check_error(ErrorKind::input, "cannot be opened", [&] { read_picture(folder / "none.png"); });
  write_file(folder / "empty.png", "");
  check_error(ErrorKind::input, "empty.png: is empty", [&] { read_picture(folder / "empty.png"); });
}
