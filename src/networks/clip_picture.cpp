#include "networks/clip_picture.hpp"

#include <ATen/ATen.h>

#include <algorithm>
#include <nlohmann/json.hpp>
#include <vector>

namespace sdtorch {
namespace {

const std::vector<double> clip_mean{0.48145466, 0.4578275, 0.40821073};
const std::vector<double> clip_deviation{0.26862954, 0.26130258, 0.27577711};

constexpr IntegerRange side_range{.max = 4096};  // pixels

/// {"height", "width"}, or one number for both.
std::array<int64_t, 2> read_square(ConfigReader& reader, const char* key, const std::string& file) {
  const nlohmann::json& found = *reader.value(key);
  if (!found.is_object()) {
    const int64_t side = reader.integer(key, 0, side_range);
    return {side, side};
  }
  ConfigReader sides(found, file + ": " + key);
  for (const char* side : {"height", "width"}) {
    if (!sides.given(side)) sides.fail(side, "an integer");
  }
  const std::array<int64_t, 2> size{sides.integer("height", 0, side_range), sides.integer("width", 0, side_range)};
  sides.finish();
  return size;
}

/// A number, or {"shortest_edge"}, or {"height", "width"}.
void read_clip_size(ConfigReader& reader, const std::string& file, ClipPreparation& made) {
  constexpr const char *key = "size", *edge_key = "shortest_edge";
  if (!reader.given(key)) return;
  const nlohmann::json& found = *reader.value(key);
  if (found.is_object() && found.contains(edge_key)) {
    ConfigReader edge(found, file + ": " + key);
    made.shortest_edge = edge.integer(edge_key, 0, side_range);
    edge.finish();
  } else if (found.is_object()) {
    made.size = read_square(reader, key, file);
    made.shortest_edge.reset();
  } else {
    made.shortest_edge = reader.integer(key, 0, side_range);
  }
}

/// The processors of other models have other defaults.
void check_class(ConfigReader& reader) {
  for (const char* key : {"image_processor_type", "feature_extractor_type"}) {
    const std::string name = reader.given(key) ? reader.text(key, "") : "CLIP";
    if (!name.starts_with("CLIP")) reader.fail(key, "CLIPImageProcessor");
  }
}

}  // namespace

ClipPreparation ClipPreparation::for_side(int64_t side) {
  return {.shortest_edge = side,
          .crop_size = std::array<int64_t, 2>{side, side},
          .colours = {.mean = clip_mean, .deviation = clip_deviation}};
}

ClipPreparation ClipPreparation::from_json(const nlohmann::json& json, const std::string& file,
                                           const ReadOptions& options) {
  ConfigReader reader(json, file, options);
  ClipPreparation made;
  check_class(reader);
  made.resize = reader.flag("do_resize", made.resize);
  read_clip_size(reader, file, made);
  made.filter = read_filter(reader);
  if (reader.given("crop_size")) made.crop_size = read_square(reader, "crop_size", file);
  if (!reader.flag("do_center_crop", true)) made.crop_size.reset();
  made.colours = read_colour_scale(reader, clip_mean, clip_deviation);
  reader.only("do_pad", false);
  reader.only("use_square_size", false);
  reader.ignore({"pad_size", "size_divisor"});
  ignore_what_prepares_nothing(reader);
  reader.finish();
  return made;
}

std::array<int64_t, 2> ClipPreparation::size_of(int64_t height, int64_t width) const {
  if (!resize) return {height, width};
  if (!shortest_edge) return size;
  const int64_t edge = *shortest_edge;
  return width <= height ? std::array{edge * height / width, edge} : std::array{edge, edge * width / height};
}

std::array<int64_t, 2> ClipPreparation::final_size(int64_t height, int64_t width) const {
  return crop_size.value_or(size_of(height, width));
}

at::Tensor ClipPreparation::cropped(const at::Tensor& pixels) const {
  if (!crop_size) return pixels;
  at::Tensor x = pixels;
  for (const int64_t axis : {0, 1}) {
    const int64_t wanted = (*crop_size)[static_cast<size_t>(axis)], side = x.size(axis);
    if (side >= wanted) {
      x = x.narrow(axis, (side - wanted) / 2, wanted);
      continue;
    }
    std::vector<int64_t> shape = x.sizes().vec();
    shape[static_cast<size_t>(axis)] = wanted;
    at::Tensor padded = at::zeros(shape, x.options());
    padded.narrow(axis, (wanted - side + 1) / 2, side).copy_(x);
    x = padded;
  }
  return x;
}

}  // namespace sdtorch
