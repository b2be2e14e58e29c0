// Pictures as a pipeline gives them, without one.
#pragma once

#include <algorithm>
#include <cstdlib>
#include <string>
#include <utility>
#include <vector>

#include "pipeline/settings.hpp"
#include "sdtorch/pipeline.hpp"
#include "support/catch.hpp"

/// A picture that these settings could have drawn.
inline sdtorch::Picture picture_for(const sdtorch::Settings& settings, std::vector<std::string> notes = {}) {
  return {.image = {.width = 1, .height = 1, .pixels = {1, 2, 3}},
          .request = static_cast<const sdtorch::Request&>(settings),
          .sampler = settings.sampler.value_or(""),
          .notes = std::move(notes)};
}

/// Between two pictures of one size, in levels of 255.
inline int largest_difference(const sdtorch::Image& a, const sdtorch::Image& b) {
  REQUIRE(a.pixels.size() == b.pixels.size());
  int largest = 0;
  for (size_t i = 0; i < a.pixels.size(); ++i) largest = std::max(largest, std::abs(a.pixels[i] - b.pixels[i]));
  return largest;
}
