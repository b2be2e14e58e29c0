// What transformers' image processors have in common: keys of preprocessor_config.json.
#pragma once

#include <ATen/ATen.h>

#include <vector>

#include "core/config_reader.hpp"

namespace sdtorch {

/// Pillow's filters, by the numbers that it gives them.
enum class PillowFilter { nearest = 0, lanczos = 1, bilinear = 2, bicubic = 3 };

/// How 8-bit colours become what a network takes.
struct ColourScale {
  double rescale_factor = 1.0 / 255;  ///< of 8-bit numbers; 1 where the config has them as they are
  std::vector<double> mean{};         ///< of each channel, rescaled
  std::vector<double> deviation{};

  /// pixels: uint8 [H, W, 3] → fp32 [1, 3, H, W]
  at::Tensor normalised(const at::Tensor& pixels) const;
};

/// `resample`; bicubic where nothing says it. Throws as ConfigReader does.
PillowFilter read_filter(ConfigReader& reader);

/// do_rescale, rescale_factor, do_normalize, image_mean, image_std. mean, deviation: where nothing says them, three
/// each. Throws as ConfigReader does.
ColourScale read_colour_scale(ConfigReader& reader, const std::vector<double>& mean,
                              const std::vector<double>& deviation);

/// The names of classes, and the form of what is returned: no say in a picture.
void ignore_what_prepares_nothing(ConfigReader& reader);

}  // namespace sdtorch
