// What goes into a depth estimator, and what a U-Net takes of what comes out.
#pragma once

#include <ATen/ATen.h>

#include <array>
#include <nlohmann/json_fwd.hpp>
#include <string>
#include <vector>

#include "core/read_options.hpp"

namespace sdtorch {

/// Pillow's filters, by the numbers that it gives them.
enum class PillowFilter { nearest = 0, lanczos = 1, bilinear = 2, bicubic = 3 };

/// transformers' DPTImageProcessor, as preprocessor_config.json has it: how a picture is made ready. It is resized in 8
/// bits to `size_of`, by Pillow's arithmetic, before it is `normalised`.
struct DepthPreparation {
  bool resize = true;
  std::array<int64_t, 2> size{384, 384};  ///< height, width
  bool keep_aspect_ratio = false;         ///< the side that is changed less comes to its size, the other one with it
  int64_t ensure_multiple_of = 1;         ///< of both sides
  PillowFilter filter = PillowFilter::bicubic;
  double rescale_factor = 1.0 / 255;  ///< of 8-bit numbers; 1 where the config has them as they are
  std::vector<double> mean{};         ///< of each channel, rescaled
  std::vector<double> deviation{};

  /// What a picture of this height and width is resized to.
  std::array<int64_t, 2> size_of(int64_t height, int64_t width) const;

  /// pixels: uint8 [H, W, 3] → fp32 [1, 3, H, W]
  at::Tensor normalised(const at::Tensor& pixels) const;

  /// Throws as ConfigReader does.
  static DepthPreparation from_json(const nlohmann::json& json, const std::string& file,
                                    const ReadOptions& options = {});
};

/// depth: [B, H, W], the nearer the larger, in any range; size: the latent's h, w → the U-Net's fifth channel,
/// [B, 1, h, w], from -1 to 1 in each picture. The same everywhere: 0, where the reference divides by zero.
at::Tensor depth_channel(const at::Tensor& depth, at::IntArrayRef size);

}  // namespace sdtorch
