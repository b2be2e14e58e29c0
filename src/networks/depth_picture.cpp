#include "networks/depth_picture.hpp"

#include <fmt/format.h>

#include <cmath>
#include <nlohmann/json.hpp>

#include "core/config_reader.hpp"

namespace sdtorch {
namespace {

constexpr size_t colours = 3;

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

PillowFilter read_filter(ConfigReader& reader) {
  const int64_t number = reader.integer("resample", static_cast<int64_t>(PillowFilter::bicubic), {.min = 0});
  if (number > static_cast<int64_t>(PillowFilter::bicubic)) {
    reader.fail("resample", "0 (nearest), 1 (Lanczos), 2 (bilinear) or 3 (bicubic)");
  }
  return static_cast<PillowFilter>(number);
}

std::vector<double> read_colours(ConfigReader& reader, const char* key, double fallback) {
  if (!reader.given(key)) return std::vector<double>(colours, fallback);
  const nlohmann::json& found = *reader.value(key);
  if (!found.is_array()) return std::vector<double>(colours, reader.number(key, fallback));
  if (found.size() != colours) reader.fail(key, fmt::format("a number, or {} of them", colours));
  std::vector<double> numbers;
  for (const nlohmann::json& item : found) numbers.push_back(reader.as_number(key, item));
  return numbers;
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
  const double factor = reader.number("rescale_factor", made.rescale_factor);
  made.rescale_factor = reader.flag("do_rescale", true) ? factor : 1;
  made.mean = read_colours(reader, "image_mean", 0.5);
  made.deviation = read_colours(reader, "image_std", 0.5);
  for (const double deviation : made.deviation) {
    if (deviation == 0) reader.fail("image_std", "numbers other than 0");
  }
  if (!reader.flag("do_normalize", true)) {
    made.mean.assign(colours, 0);
    made.deviation.assign(colours, 1);
  }
  reader.only("do_pad", false);
  reader.only("do_center_crop", false);
  // What padding, cropping and segmentation would need, and the form of what is returned.
  reader.ignore({"pad_size", "size_divisor", "crop_size", "do_reduce_labels", "do_convert_rgb", "default_to_square",
                 "data_format", "input_data_format", "return_tensors", "device", "disable_grouping"});
  reader.ignore({"feature_extractor_type", "image_processor_type", "processor_class"});
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

at::Tensor DepthPreparation::normalised(const at::Tensor& pixels) const {
  const auto of_channels = [](const std::vector<double>& numbers) { return at::tensor(numbers, at::kFloat); };
  // The reference rescales in fp64, and goes on in fp32.
  const at::Tensor rescaled = (pixels.to(at::kDouble) * rescale_factor).to(at::kFloat);
  return ((rescaled - of_channels(mean)) / of_channels(deviation)).permute({2, 0, 1}).unsqueeze(0).contiguous();
}

at::Tensor depth_channel(const at::Tensor& depth, at::IntArrayRef size) {
  const at::Tensor fitted = at::upsample_bicubic2d(depth.unsqueeze(1), size, /*align_corners=*/false);
  const at::Tensor least = fitted.amin({1, 2, 3}, /*keepdim=*/true);
  const at::Tensor range = fitted.amax({1, 2, 3}, /*keepdim=*/true) - least;
  return at::where(range > 0, 2 * (fitted - least) / range - 1, at::zeros_like(fitted));
}

}  // namespace sdtorch
