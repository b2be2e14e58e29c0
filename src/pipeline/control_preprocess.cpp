#include "pipeline/control_preprocess.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <utility>
#include <vector>

#include "core/error.hpp"
#include "core/number.hpp"
#include "core/suggest.hpp"
#include "io/canny.hpp"
#include "io/grey_image.hpp"

namespace sdtorch {
namespace {

constexpr const char* preprocess_flag = "--control-preprocess";
constexpr std::string_view canny_prefix = "canny:";

Image negative_of(Image picture) {
  for (uint8_t& value : picture.pixels) value = static_cast<uint8_t>(255 - value);
  return picture;
}

CannyThresholds thresholds_of(const std::string& name) {
  const std::string numbers = name.substr(canny_prefix.size());
  const size_t comma = std::min(numbers.find(','), numbers.size());
  const auto low = parse_real(numbers.substr(0, comma));
  const auto high = parse_real(numbers.substr(std::min(comma + 1, numbers.size())));
  if (!low || !high || !(0 <= *low && *low <= *high)) {
    refuse(preprocess_flag, fmt::format("'{}' has no thresholds 0 ≤ LOW ≤ HIGH", name), "as canny:100,200");
  }
  return {.low = *low, .high = *high};
}

Preprocess edges(CannyThresholds thresholds) {
  return [thresholds](const Image& picture) { return to_rgb(canny(picture, thresholds)); };
}

}  // namespace

Preprocess preprocess_of(const std::string& name) {
  if (name == "none" || name == masking_preprocess || name == depth_preprocess)
    return [](Image picture) { return picture; };
  if (name == "invert") return negative_of;
  if (name == "canny") return edges({});
  if (name.starts_with(canny_prefix)) return edges(thresholds_of(name));
  const std::vector<std::string> names{"canny", "invert", std::string(depth_preprocess),
                                       std::string(masking_preprocess), "none"};
  refuse(preprocess_flag, fmt::format("'{}' is not a choice", name), did_you_mean(name, names));
}

}  // namespace sdtorch
