// What a picture's file says of how it came about, in parts that people read.
#pragma once

#include <filesystem>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "io/png_text.hpp"

namespace sdtorch {

struct PictureFacts {
  std::string prompt{}, negative_prompt{};
  std::vector<std::pair<std::string, std::string>> parameters{};  ///< `Steps` and `20`, in the file's order
};

/// From A1111's `parameters`, ours among them; of other programs' pictures the texts as they are, cut where they are
/// long. Never throws: what is not as it should be is shown as text.
PictureFacts picture_facts(std::span<const PngText> texts);

}  // namespace sdtorch
