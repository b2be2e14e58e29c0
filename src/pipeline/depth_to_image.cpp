#include "pipeline/depth_to_image.hpp"

#include <fmt/format.h>

#include <utility>

#include "core/error.hpp"
#include "io/resize.hpp"
#include "pipeline/input_pictures.hpp"
#include "pipeline/settings.hpp"

namespace sdtorch {
namespace {

/// Whether the model's factor alone says the size that is drawn.
bool has_own_size(const Request& request, const Image& picture, int64_t factor) {
  return fit_of(request.resize) == Fit::stretch && *request.width == picture.width / factor * factor &&
         *request.height == picture.height / factor * factor;
}

}  // namespace

void check_depth(const ModelDescription& model, const Request& request) {
  const std::string what = fmt::format("{} is a model for {}", model.name, name_of(model.task));
  if (model.task != Task::depth) {
    if (!request.depth_img.empty()) refuse("--depth-img", what, "only models for depth to image see one");
    return;
  }
  if (request.init_img.empty()) refuse("--init-img", what + ", which needs a picture", "give --init-img FILE");
  if (has_mask(request)) refuse(mask_flag(request), what + ", which sees no mask");
  if (request.depth_img.empty() && !model.depth_estimator) {
    refuse("--depth-img", what + ", and has no estimator of its own",
           "give a picture of the depth by --depth-img FILE, or an estimator by --depth-estimator DIR");
  }
}

ResolvedDepth resolve_depth(const ModelDescription& model, Request& request, const Image& start) {
  if (!request.depth_img.empty()) {
    GreyImage given = to_grey(read_on_white(request, request.depth_img));
    const Fit how = fit_of(request.resize);
    if (how != Fit::stretch) given = fit(given, *request.width, *request.height, how, Resampling::bicubic);
    return {.given = std::move(given)};
  }
  Image picture = read_on_white(request, request.init_img);
  if (!has_own_size(request, picture, model.vae.factor())) picture = start;
  model.depth_estimator->check_takes(picture.height, picture.width);
  return {.picture = std::move(picture)};
}

at::Tensor depth_channel_of(const LoadedDepthEstimator* estimator, const ResolvedDepth& depth, at::IntArrayRef size) {
  if (!depth.given) return depth_channel(estimator->estimate(depth.picture), size);
  const GreyImage& grey = *depth.given;
  const at::Tensor bytes =
      at::from_blob(const_cast<uint8_t*>(grey.pixels.data()), {1, grey.height, grey.width}, at::kByte);
  return depth_channel(bytes.to(at::kFloat), size);
}

}  // namespace sdtorch
