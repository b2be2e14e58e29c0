#include "networks/picture_preparation.hpp"

#include <fmt/format.h>

#include <nlohmann/json.hpp>

namespace sdtorch {
namespace {

constexpr size_t colours = 3;

std::vector<double> read_colours(ConfigReader& reader, const char* key, const std::vector<double>& fallback) {
  if (!reader.given(key)) return fallback;
  const nlohmann::json& found = *reader.value(key);
  if (!found.is_array()) return std::vector<double>(colours, reader.number(key, 0));
  if (found.size() != colours) reader.fail(key, fmt::format("a number, or {} of them", colours));
  std::vector<double> numbers;
  for (const nlohmann::json& item : found) numbers.push_back(reader.as_number(key, item));
  return numbers;
}

}  // namespace

at::Tensor ColourScale::normalised(const at::Tensor& pixels) const {
  const auto of_channels = [](const std::vector<double>& numbers) { return at::tensor(numbers, at::kFloat); };
  // The reference rescales in fp64, and goes on in fp32.
  const at::Tensor rescaled = (pixels.to(at::kDouble) * rescale_factor).to(at::kFloat);
  return ((rescaled - of_channels(mean)) / of_channels(deviation)).permute({2, 0, 1}).unsqueeze(0).contiguous();
}

PillowFilter read_filter(ConfigReader& reader) {
  const int64_t number = reader.integer("resample", static_cast<int64_t>(PillowFilter::bicubic), {.min = 0});
  if (number > static_cast<int64_t>(PillowFilter::bicubic)) {
    reader.fail("resample", "0 (nearest), 1 (Lanczos), 2 (bilinear) or 3 (bicubic)");
  }
  return static_cast<PillowFilter>(number);
}

ColourScale read_colour_scale(ConfigReader& reader, const std::vector<double>& mean,
                              const std::vector<double>& deviation) {
  ColourScale scale;
  const double factor = reader.number("rescale_factor", scale.rescale_factor);
  scale.rescale_factor = reader.flag("do_rescale", true) ? factor : 1;
  scale.mean = read_colours(reader, "image_mean", mean);
  scale.deviation = read_colours(reader, "image_std", deviation);
  for (const double one : scale.deviation) {
    if (one == 0) reader.fail("image_std", "numbers other than 0");
  }
  if (!reader.flag("do_normalize", true)) {
    scale.mean.assign(colours, 0);
    scale.deviation.assign(colours, 1);
  }
  return scale;
}

void ignore_what_prepares_nothing(ConfigReader& reader) {
  reader.ignore({"do_convert_rgb", "default_to_square", "data_format", "input_data_format", "return_tensors", "device",
                 "disable_grouping", "processor_class"});
}

}  // namespace sdtorch
