#include "io/webp.hpp"

#include "io/base64.hpp"
#include "io/read_picture.hpp"
#include "support/catch.hpp"
#include "support/errors.hpp"
#include "support/pictures.hpp"

using namespace sdtorch;

TEST_CASE("a picture comes back from WebP nearly as it was", "[io]") {
  Image image{.width = 40, .height = 30, .pixels = std::vector<uint8_t>(3 * 40 * 30)};
  for (size_t i = 0; i < image.pixels.size(); i += 3) {
    image.pixels[i] = static_cast<uint8_t>(i / 3 % 40 * 6);
    image.pixels[i + 1] = static_cast<uint8_t>(i / 120 * 8);
    image.pixels[i + 2] = 90;
  }
  const Bytes bytes = encode_webp(image, 90);
  CHECK((bytes == encode_webp(image, 90)));
  const Image again = read_picture(bytes, "a.webp").image;
  REQUIRE(again.width == 40);
  REQUIRE(again.height == 30);
  CHECK(largest_difference(image, again) < 30);
  const Image huge{.width = 20000, .height = 1, .pixels = std::vector<uint8_t>(60000)};
  check_error(ErrorKind::output, "20000x1 pixels cannot be encoded", [&] { encode_webp(huge, 90); });
}

TEST_CASE("base 64 is that of RFC 4648's own examples", "[io]") {
  const auto encoded = [](std::string_view text) { return base64(std::as_bytes(std::span(text.data(), text.size()))); };
  CHECK(encoded("") == "");
  CHECK(encoded("f") == "Zg==");
  CHECK(encoded("fo") == "Zm8=");
  CHECK(encoded("foo") == "Zm9v");
  CHECK(encoded("foobar") == "Zm9vYmFy");
  const std::string large(size_t{4} << 20, 'x');
  CHECK(encoded(large).size() == ((size_t{4} << 20) + 2) / 3 * 4);
}
