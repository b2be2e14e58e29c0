// The pictures that a request names, as its model takes them.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "io/grey_image.hpp"
#include "sdtorch/image.hpp"
#include "sdtorch/request.hpp"

namespace sdtorch {

/// A picture to start from, and what of it is to be repainted.
struct StartPicture {
  Image image{};
  std::optional<GreyImage> mask{};  ///< of the same size; white is repainted
};

/// Reads Request::init_img, lays what is transparent on white, unless that is the mask, and fits it to the request's
/// width and height. Where one of them is not given it becomes the picture's own, rounded down to a multiple of factor,
/// which the warnings say. The mask, blurred and inverted as asked, is fitted likewise. Adds the files to the request's
/// inputs. Standard input is read once in a process. Throws ErrorKind::input naming the file: what read_picture
/// refuses, a picture of less than factor pixels, one without transparency where that is to be the mask, bytes that not
/// those of Request::inputs.
StartPicture read_start_picture(Request& request, int64_t factor, std::vector<std::string>& warnings);

}  // namespace sdtorch
