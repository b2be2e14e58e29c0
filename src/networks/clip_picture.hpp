// What goes into CLIP's image encoder.
#pragma once

#include <ATen/ATen.h>

#include <array>
#include <nlohmann/json_fwd.hpp>
#include <optional>
#include <string>

#include "core/read_options.hpp"
#include "networks/picture_preparation.hpp"

namespace sdtorch {

/// transformers' CLIPImageProcessor, as preprocessor_config.json has it: how a picture is made ready. It is resized in
/// 8 bits to `size_of`, by Pillow's arithmetic, before it is `cropped`, and `colours` normalises it.
struct ClipPreparation {
  bool resize = true;
  std::array<int64_t, 2> size{224, 224};      ///< height, width
  std::optional<int64_t> shortest_edge{224};  ///< instead: the shorter side comes to it, the other one with it
  PillowFilter filter = PillowFilter::bicubic;
  std::optional<std::array<int64_t, 2>> crop_size{{224, 224}};  ///< height, width; none: nothing is cut off
  ColourScale colours{};

  /// As CLIPImageProcessor(size=side, crop_size=side) does it.
  static ClipPreparation for_side(int64_t side);

  /// What a picture of this height and width is resized to: the longer side is rounded down.
  std::array<int64_t, 2> size_of(int64_t height, int64_t width) const;

  /// What comes out of a picture of this height and width in the end.
  std::array<int64_t, 2> final_size(int64_t height, int64_t width) const;

  /// pixels: uint8 [H, W, 3] → the middle of them, [h, w, 3], with black around it where there is less.
  at::Tensor cropped(const at::Tensor& pixels) const;

  /// Throws as ConfigReader does, also for the config of another class.
  static ClipPreparation from_json(const nlohmann::json& json, const std::string& file,
                                   const ReadOptions& options = {});
};

}  // namespace sdtorch
