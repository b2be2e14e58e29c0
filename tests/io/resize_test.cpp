#include "io/resize.hpp"

#include <map>
#include <sstream>

#include "io/blur.hpp"
#include "support/catch.hpp"
#include "support/errors.hpp"
#include "support/golden.hpp"
#include "support/picture_tensors.hpp"

using namespace sdtorch;

namespace {

std::vector<std::string> parts_of(const std::string& key) {
  std::vector<std::string> parts;
  std::istringstream stream(key);
  for (std::string part; std::getline(stream, part, '.');) parts.push_back(part);
  return parts;
}

const std::map<std::string, Resampling> filters = {{"nearest", Resampling::nearest},
                                                   {"box", Resampling::box},
                                                   {"bilinear", Resampling::bilinear},
                                                   {"bicubic", Resampling::bicubic},
                                                   {"lanczos", Resampling::lanczos}};
const std::map<std::string, Fit> fits = {{"default", Fit::stretch}, {"crop", Fit::crop}, {"fill", Fit::pad}};

}  // namespace

TEST_CASE("pictures are resized to Pillow's bytes by every filter", "[io]") {
  const auto golden = load_golden("pictures/resized");
  int compared = 0;
  for (const auto& [key, expected] : golden) {
    const std::vector<std::string> parts = parts_of(key);
    if (parts.size() != 4 || parts[0] == "fit") continue;
    INFO(key);
    const Image source = picture_from<Image>(golden.at(parts[1]));
    const int64_t width = expected.size(1), height = expected.size(0);
    const Resampling filter = filters.at(parts[2]);
    const at::Tensor ours = parts[0] == "L" ? picture_tensor(resize(to_grey(source), width, height, filter))
                                            : picture_tensor(resize(source, width, height, filter));
    CHECK(at::equal(ours, expected));
    ++compared;
  }
  CHECK(compared == 2 * 5 * 17);
}

TEST_CASE("pictures are stretched, cropped and padded as diffusers does it", "[io]") {
  const auto golden = load_golden("pictures/resized");
  int compared = 0;
  for (const auto& [key, expected] : golden) {
    const std::vector<std::string> parts = parts_of(key);
    if (parts[0] != "fit") continue;
    INFO(key);
    const Image source = picture_from<Image>(golden.at(parts[1]));
    CHECK(at::equal(picture_tensor(fit(source, expected.size(1), expected.size(0), fits.at(parts[2]))), expected));
    ++compared;
  }
  CHECK(compared > 45);
}

TEST_CASE("a picture fits where diffusers leaves black lines or fails", "[io]") {
  const Image line{.width = 100, .height = 1, .pixels = std::vector<uint8_t>(300, 77)};
  for (const Fit how : {Fit::stretch, Fit::crop, Fit::pad}) {
    const Image fitted = fit(line, 9, 7, how);
    CHECK(fitted == Image{.width = 9, .height = 7, .pixels = std::vector<uint8_t>(3 * 9 * 7, 77)});
  }
  const GreyImage column{.width = 1, .height = 10'000'000, .pixels = std::vector<uint8_t>(10'000'000, 5)};
  CHECK(fit(column, 512, 512, Fit::crop).pixels == std::vector<uint8_t>(512 * 512, 5));
  check_error(ErrorKind::bug, "without pixels", [&] { resize(line, 0, 3); });
  check_error(ErrorKind::bug, "without pixels", [&] { fit(Image{}, 3, 3, Fit::pad); });
}

TEST_CASE("masks are blurred to Pillow's bytes", "[io]") {
  const auto golden = load_golden("pictures/blurred");
  int compared = 0;
  for (const auto& [key, expected] : golden) {
    const size_t dot = key.find('.');
    if (dot == std::string::npos) continue;
    INFO(key);
    const auto source = picture_from<GreyImage>(golden.at(key.substr(0, dot)));
    CHECK(at::equal(picture_tensor(gaussian_blur(source, std::stof(key.substr(dot + 1)))), expected));
    ++compared;
  }
  CHECK(compared == 32);
  check_error(ErrorKind::bug, "radius", [] { gaussian_blur({}, -1); });
  check_error(ErrorKind::bug, "radius", [] { gaussian_blur({}, std::stof("nan")); });
}
