#include "networks/depth_picture.hpp"

#include <fmt/format.h>

#include <cmath>
#include <nlohmann/json.hpp>

#include "core/config_reader.hpp"

namespace sdtorch {
namespace {

/// One side for both, or {"height", "width"}.
std::array<int64_t, 2> read_size(ConfigReader& reader, const std::string& file, std::array<int64_t, 2> fallback) {
  if (!reader.given("size")) return fallback;
  const nlohmann::json& found = *reader.value("size");
  if (!found.is_object()) {
    const int64_t side = reader.integer("size", 0);
    return {side, side};
  }
  ConfigReader sides(found, file + ": size");
  const std::array<int64_t, 2> size{sides.integer("height", 0), sides.integer("width", 0)};
  for (const char* key : {"height", "width"}) {
    if (!sides.has(key)) sides.fail(key, "an integer");
  }
  sides.finish();
  return size;
}

/// Half goes to the even one, as in Python.
int64_t to_multiple(double size, int64_t multiple) {
  const auto unit = static_cast<double>(multiple);
  return std::lrint(std::nearbyint(size / unit)) * multiple;
}

}  // namespace

DepthPreparation DepthPreparation::from_json(const nlohmann::json& json, const std::string& file,
                                             const ReadOptions& options) {
  ConfigReader reader(json, file, options);
  DepthPreparation made;
  made.resize = reader.flag("do_resize", made.resize);
  made.size = read_size(reader, file, made.size);
  made.keep_aspect_ratio = reader.flag("keep_aspect_ratio", made.keep_aspect_ratio);
  made.ensure_multiple_of = reader.integer("ensure_multiple_of", made.ensure_multiple_of);
  made.filter = read_filter(reader);
  made.colours = read_colour_scale(reader, {0.5, 0.5, 0.5}, {0.5, 0.5, 0.5});
  reader.only("do_pad", false);
  reader.only("do_center_crop", false);
  // What padding, cropping and segmentation would need, and the classes.
  reader.ignore({"pad_size", "size_divisor", "crop_size", "do_reduce_labels"});
  reader.ignore({"feature_extractor_type", "image_processor_type"});
  ignore_what_prepares_nothing(reader);
  reader.finish();
  return made;
}

std::array<int64_t, 2> DepthPreparation::size_of(int64_t height, int64_t width) const {
  if (!resize) return {height, width};
  double down = static_cast<double>(size[0]) / static_cast<double>(height);
  double across = static_cast<double>(size[1]) / static_cast<double>(width);
  if (keep_aspect_ratio) {
    if (std::abs(1 - across) < std::abs(1 - down)) {
      down = across;
    } else {
      across = down;
    }
  }
  const auto side = [&](double exact) {
    const int64_t nearest = to_multiple(exact, ensure_multiple_of);
    return nearest >= 1 ? nearest : ensure_multiple_of;  // the reference fails on a side of 0
  };
  return {side(down * static_cast<double>(height)), side(across * static_cast<double>(width))};
}

at::Tensor depth_channel(const at::Tensor& depth, at::IntArrayRef size) {
  const at::Tensor fitted = at::upsample_bicubic2d(depth.unsqueeze(1), size, /*align_corners=*/false);
  const at::Tensor least = fitted.amin({1, 2, 3}, /*keepdim=*/true);
  const at::Tensor range = fitted.amax({1, 2, 3}, /*keepdim=*/true) - least;
  return at::where(range > 0, 2 * (fitted - least) / range - 1, at::zeros_like(fitted));
}

}  // namespace sdtorch
