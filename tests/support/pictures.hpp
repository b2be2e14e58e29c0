// Pictures as a pipeline gives them, without one.
#pragma once

#include <string>
#include <utility>
#include <vector>

#include "pipeline/settings.hpp"
#include "sdtorch/pipeline.hpp"

/// A picture that these settings could have drawn.
inline sdtorch::Picture picture_for(const sdtorch::Settings& settings, std::vector<std::string> notes = {}) {
  return {.image = {.width = 1, .height = 1, .pixels = {1, 2, 3}},
          .request = settings,
          .sampler = settings.sampler.value_or(""),
          .notes = std::move(notes)};
}
