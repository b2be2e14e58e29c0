// What a request's pictures steer: checked, read and made ready, one for each of the model's control nets.
#pragma once

#include <ATen/ATen.h>

#include <optional>
#include <string>
#include <vector>

#include "io/grey_image.hpp"
#include "pipeline/model_description.hpp"
#include "sdtorch/request.hpp"

namespace sdtorch {

/// One control net's part in a picture.
struct ResolvedControl {
  at::Tensor picture{};  ///< fp32 [1, C, H, W] in 0…1, -1 where it is hidden, of the size that is drawn, on the CPU
  std::optional<Image> of_depth{};  ///< instead: a picture whose depth is still to be estimated
  double strength = 1;
  double start = 0, end = 1;  ///< shares of the run
  ControlMode mode = ControlMode::balanced;

  /// Whether the net steers call number `call` of `calls`: diffusers' rule, by which a call counts that lies between
  /// start and end from its beginning to its end.
  bool steers(int64_t call, int64_t calls) const;
};

/// A preprocessed picture as a net of so many channels takes it: resized to the request's width and height as its
/// `resize` says. → ResolvedControl::picture
at::Tensor control_tensor(const Image& picture, int64_t channels, const Request& request);

/// Reads the pictures, adds them to the request's inputs and makes of them what the nets see: preprocessed, then
/// resized as Request::resize says. Where the request gives no size it becomes the first picture's, rounded down to a
/// multiple that model and nets can draw, which the warnings say.
/// mask: of what is repainted, at the size that is drawn, for the preprocessor inpaint; nullptr: none.
/// Throws ErrorKind::usage naming the flag for a list of another length than the model's nets, a start that is not
/// before its end, an unknown mode or preprocessor, inpaint without a mask, depth without an estimator;
/// ErrorKind::input for pictures, as
/// read_start_picture.
std::vector<ResolvedControl> resolve_controls(const ModelDescription& model, Request& request, const GreyImage* mask,
                                              std::vector<std::string>& warnings);

}  // namespace sdtorch
