// The pictures that a request names, as its model takes them.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "sdtorch/image.hpp"
#include "sdtorch/request.hpp"

namespace sdtorch {

/// Reads Request::init_img, lays what is transparent on white, and fits it to the request's width and height. Where
/// one of them is not given it becomes the picture's own, rounded down to a multiple of factor, which the warnings say.
/// Adds the file to the request's inputs. Standard input is read once in a process.
/// Throws ErrorKind::input naming the file: what read_picture refuses, a picture of less than factor pixels, bytes that
/// are not those of Request::inputs.
Image read_start_picture(Request& request, int64_t factor, std::vector<std::string>& warnings);

}  // namespace sdtorch
