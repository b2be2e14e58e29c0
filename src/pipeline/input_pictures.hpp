// The pictures that a request names, as its model takes them.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "io/grey_image.hpp"
#include "io/resize.hpp"
#include "pipeline/masked_area.hpp"
#include "sdtorch/image.hpp"
#include "sdtorch/request.hpp"

namespace sdtorch {

/// The picture that a part of was cut out to be drawn, and where that is pasted.
struct PasteBack {
  Image picture{};
  GreyImage mask{};  ///< of its size
  Region region{};
};

/// A picture to start from, and what of it is to be repainted.
struct StartPicture {
  Image image{};
  std::optional<GreyImage> mask{};   ///< of the same size; white is repainted
  std::optional<PasteBack> paste{};  ///< where only what is around the mask is drawn
};

/// Reads Request::init_img, lays what is transparent on white, unless that is the mask, and fits it to the request's
/// width and height. Where one of them is not given it becomes the picture's own, rounded down to a multiple of factor,
/// which the warnings say. It is expanded as asked before that. The mask, blurred and inverted as asked, is fitted
/// likewise. Adds the files to the request's inputs. Standard input is read once in a process. Throws ErrorKind::input
/// naming the file: what read_picture refuses, a picture of less than factor pixels, one without transparency where
/// that is to be the mask, bytes that not those of Request::inputs.
StartPicture read_start_picture(Request& request, int64_t factor, std::vector<std::string>& warnings);

/// Reads one of the request's files likewise, lays what is transparent on white, and adds it to the inputs.
Image read_on_white(Request& request, const std::string& file);

/// Gives the request the picture's size where it names none, rounded down to a multiple of factor, which the warnings
/// say. file: for messages. Throws ErrorKind::input for a picture of less than factor pixels.
void take_size(Request& request, const Image& picture, const std::string& file, int64_t factor,
               std::vector<std::string>& warnings);

/// What Request::resize says.
Fit fit_of(const std::string& name);

}  // namespace sdtorch
