// Pictures beside goldens.
#pragma once

#include <ATen/ATen.h>

#include "io/grey_image.hpp"

/// uint8 [height, width, 3].
inline at::Tensor picture_tensor(const sdtorch::Image& image) {
  auto* pixels = const_cast<uint8_t*>(image.pixels.data());
  return at::from_blob(pixels, {image.height, image.width, 3}, at::kByte).clone();
}

/// uint8 [height, width].
inline at::Tensor picture_tensor(const sdtorch::GreyImage& grey) {
  auto* pixels = const_cast<uint8_t*>(grey.pixels.data());
  return at::from_blob(pixels, {grey.height, grey.width}, at::kByte).clone();
}

/// The picture of uint8 [height, width, 3] or [height, width].
template <class Picture>
Picture picture_from(const at::Tensor& tensor) {
  const at::Tensor whole = tensor.contiguous();
  const uint8_t* first = whole.data_ptr<uint8_t>();
  return {.width = whole.size(1), .height = whole.size(0), .pixels = {first, first + whole.numel()}};
}
