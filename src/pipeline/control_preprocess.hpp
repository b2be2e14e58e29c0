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

/// canny[:LOW,HIGH], invert; none and inpaint leave the picture as it is. Throws ErrorKind::usage naming
/// --control-preprocess.
Preprocess preprocess_of(const std::string& name);

}  // namespace sdtorch
