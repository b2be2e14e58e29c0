#include "pipeline/input_pictures.hpp"

#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <utility>

#include "core/error.hpp"
#include "io/blur.hpp"
#include "io/mapped_file.hpp"
#include "io/read_picture.hpp"
#include "io/resize.hpp"
#include "io/sha256.hpp"
#include "pipeline/expand.hpp"
#include "pipeline/settings.hpp"

namespace sdtorch {
namespace {

constexpr std::string_view standard_input = "-";

const Bytes& standard_input_bytes() {
  static const Bytes bytes = read_stream(STDIN_FILENO, "<stdin>");
  return bytes;
}

/// Notes the bytes among the request's inputs, or holds them against what is noted there.
void note_input(Request& request, const std::string& path, std::span<const std::byte> bytes) {
  const std::string digest = sha256(bytes);
  const auto known = std::ranges::find(request.inputs, path, &InputFile::path);
  if (known == request.inputs.end()) {
    request.inputs.push_back({.path = path, .sha256 = digest});
  } else if (known->sha256 != digest) {
    fail(ErrorKind::input, path, "",
         fmt::format("is not the file that it was: its SHA-256 is {}…, and was {}…", digest.substr(0, 12),
                     known->sha256.substr(0, 12)),
         "name it by its flag to take it as it is");
  }
}

InputPicture read_input(Request& request, const std::string& path) {
  const PictureLimits limits{.pixels = request.max_pixels};
  if (path == standard_input) {
    const Bytes& bytes = standard_input_bytes();
    note_input(request, path, bytes);
    return read_picture(bytes, "<stdin>", limits);
  }
  const MappedFile file(path, ErrorKind::input);
  note_input(request, path, file.bytes());
  return read_picture(file.bytes(), path, limits);
}

GreyImage inverted(GreyImage grey) {
  for (uint8_t& pixel : grey.pixels) pixel = static_cast<uint8_t>(255 - pixel);
  return grey;
}

/// The mask at its own size, not blurred.
GreyImage read_mask(Request& request, const InputPicture& start) {
  GreyImage mask;
  if (request.mask_from_alpha) {
    if (!start.alpha) fail(ErrorKind::input, request.init_img, "", "has no transparency to make a mask of");
    mask = inverted(*start.alpha);
  } else {
    mask = to_grey(compose_on_white(read_input(request, request.mask)));
  }
  return request.mask_invert ? inverted(std::move(mask)) : mask;
}

}  // namespace

Fit fit_of(const std::string& name) {
  if (name == "crop") return Fit::crop;
  return name == "pad" ? Fit::pad : Fit::stretch;
}

Image read_on_white(Request& request, const std::string& file) { return compose_on_white(read_input(request, file)); }

void take_size(Request& request, const Image& picture, const std::string& file, int64_t factor,
               std::vector<std::string>& warnings) {
  const bool own_size = !request.width && !request.height;
  const auto side = [&](int64_t pixels) {
    if (pixels >= factor) return pixels / factor * factor;
    fail(ErrorKind::input, file, "",
         fmt::format("{} by {} pixels: the model draws no picture of less than {}", picture.width, picture.height,
                     factor),
         "give --width and --height");
  };
  if (!request.width) request.width = side(picture.width);
  if (!request.height) request.height = side(picture.height);
  if (own_size && (*request.width != picture.width || *request.height != picture.height)) {
    warnings.push_back(fmt::format("{}: {} by {} pixels are drawn as {} by {}, multiples of {}", file, picture.width,
                                   picture.height, *request.width, *request.height, factor));
  }
}

namespace {

/// Cut out around the mask, and continued at its edges where the shape is another, as diffusers does.
StartPicture cut_out_around(const Request& request, const Image& picture, GreyImage mask) {
  if (mask.width != picture.width || mask.height != picture.height) mask = resize(mask, picture.width, picture.height);
  const int64_t width = *request.width, height = *request.height;
  const Region region = region_of(mask, width, height, request.mask_padding);
  StartPicture part{.image = fit(cut_out(picture, region), width, height, Fit::pad),
                    .mask = fit(cut_out(mask, region), width, height, Fit::pad)};
  part.paste = PasteBack{.picture = picture, .mask = std::move(mask), .region = region};
  return part;
}

}  // namespace

StartPicture read_start_picture(Request& request, int64_t factor, std::vector<std::string>& warnings) {
  const InputPicture start = read_input(request, request.init_img);
  Image picture = request.mask_from_alpha ? start.image : compose_on_white(start);
  std::optional<GreyImage> mask;
  if (names_mask(request)) mask = read_mask(request, start);
  if (request.expand) {
    Canvas canvas = expanded(request, picture, mask, factor, warnings);
    picture = std::move(canvas.picture), mask = std::move(canvas.mask);
  } else if (mask && request.mask_blur > 0) {
    mask = gaussian_blur(*mask, static_cast<float>(request.mask_blur));
  }
  if (request.inpaint_area == "masked") return cut_out_around(request, picture, *std::move(mask));
  take_size(request, picture, request.init_img, factor, warnings);
  const Fit how = fit_of(request.resize);
  StartPicture fitted{.image = fit(picture, *request.width, *request.height, how)};
  if (mask) fitted.mask = fit(*mask, *request.width, *request.height, how);
  return fitted;
}

}  // namespace sdtorch
