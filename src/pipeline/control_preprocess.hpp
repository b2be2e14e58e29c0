// What is made of a picture before a control net sees it.
#pragma once

#include <functional>
#include <string>
#include <string_view>

#include "sdtorch/image.hpp"

namespace sdtorch {

using Preprocess = std::function<Image(Image)>;

/// Hides from a net what is to be repainted. That takes the mask at the size that is drawn, and is done there.
inline constexpr std::string_view masking_preprocess = "inpaint";

/// Estimates the picture's depth. That takes a network, and is done while drawing.
inline constexpr std::string_view depth_preprocess = "depth";

/// canny[:LOW,HIGH], invert; none, inpaint and depth leave the picture as it is. Throws ErrorKind::usage naming
/// --control-preprocess.
Preprocess preprocess_of(const std::string& name);

}  // namespace sdtorch
