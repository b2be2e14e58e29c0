// What goes into a depth estimator, and what a U-Net takes of what comes out.
#pragma once

#include <ATen/ATen.h>

#include <array>
#include <nlohmann/json_fwd.hpp>
#include <string>

#include "core/read_options.hpp"
#include "networks/picture_preparation.hpp"

namespace sdtorch {

/// transformers' DPTImageProcessor, as preprocessor_config.json has it: how a picture is made ready. It is resized in 8
/// bits to `size_of`, by Pillow's arithmetic, before `colours` normalises it.
struct DepthPreparation {
  bool resize = true;
  std::array<int64_t, 2> size{384, 384};  ///< height, width
  bool keep_aspect_ratio = false;         ///< the side that is changed less comes to its size, the other one with it
  int64_t ensure_multiple_of = 1;         ///< of both sides
  PillowFilter filter = PillowFilter::bicubic;
  ColourScale colours{};

  /// What a picture of this height and width is resized to.
  std::array<int64_t, 2> size_of(int64_t height, int64_t width) const;

  /// Throws as ConfigReader does.
  static DepthPreparation from_json(const nlohmann::json& json, const std::string& file,
                                    const ReadOptions& options = {});
};

/// depth: [B, H, W], the nearer the larger, in any range; size: the latent's h, w → the U-Net's fifth channel,
/// [B, 1, h, w], from -1 to 1 in each picture. The same everywhere: 0, where the reference divides by zero.
at::Tensor depth_channel(const at::Tensor& depth, at::IntArrayRef size);

}  // namespace sdtorch
