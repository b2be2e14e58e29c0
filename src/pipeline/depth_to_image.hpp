// The depth that a model for depth draws after: of the picture that it starts from, or given in its place.
#pragma once

#include <ATen/ATen.h>

#include <optional>

#include "pipeline/depth_estimator.hpp"
#include "pipeline/model_description.hpp"
#include "sdtorch/request.hpp"

namespace sdtorch {

/// Where one picture's depth comes from.
struct ResolvedDepth {
  Image picture{};                   ///< whose depth is estimated
  std::optional<GreyImage> given{};  ///< the depth instead: bright is near
};

/// Throws ErrorKind::usage naming the flag that a model for depth misses or has no use for, `--depth-img` for a model
/// of another kind.
void check_depth(const ModelDescription& model, const Request& request);

/// Reads the files that it needs, and adds them to the request's inputs. request: its size is set; start: its start
/// picture, of that size. An estimator sees the picture as it is where what is drawn is that, stretched by less than
/// the VAE's factor, as diffusers rounds it; else it sees `start`. Throws ErrorKind::input as read_start_picture,
/// ErrorKind::model where the estimator does not take pictures of that size.
ResolvedDepth resolve_depth(const ModelDescription& model, Request& request, const Image& start);

/// What the U-Net sees beside a latent of h by w: fp32 [1, 1, h, w]. Given depth is taken at its own size, as
/// diffusers' `depth_map`, which is any numbers of which only the order and the ratios of distances count.
at::Tensor depth_channel_of(const LoadedDepthEstimator* estimator, const ResolvedDepth& depth, at::IntArrayRef size);

}  // namespace sdtorch
