// What estimates the depth of a model's input pictures, described, and at work.
#pragma once

#include <ATen/ATen.h>

#include <filesystem>
#include <memory>
#include <string>

#include "io/grey_image.hpp"
#include "io/resize.hpp"
#include "networks/depth.hpp"
#include "networks/depth_picture.hpp"
#include "weights/model_source.hpp"

namespace sdtorch {

/// Pillow's filter of that number.
Resampling resampling_of(PillowFilter filter);

/// Everything about a depth estimator but its weights.
struct DepthEstimatorDescription {
  std::filesystem::path folder{};             ///< config.json and weights
  std::shared_ptr<const ModelSource> file{};  ///< or a model's single file that has it
  DepthConfig config{};
  DepthPreparation preparation{};
  std::string preparation_file{};  ///< for messages

  /// Throws ErrorKind::model, naming preparation_file, where a picture of this size would be prepared to one that the
  /// estimator does not take.
  void check_takes(int64_t height, int64_t width) const;
};

/// folder: with config.json, weights and preprocessor_config.json, or a model's, whose depth_estimator and
/// feature_extractor hold these. Throws ErrorKind::model naming file and key.
DepthEstimatorDescription describe_depth_estimator(const std::filesystem::path& folder,
                                                   const ReadOptions& options = {});

/// A model's own. A single file says nothing of how pictures are prepared: as for the published one.
DepthEstimatorDescription describe_depth_estimator(const std::shared_ptr<const ModelSource>& model,
                                                   const ReadOptions& options = {});

/// An estimator with its weights. It computes in fp32 whatever the model does: its picture is small, and the range of
/// its output is stretched to that of a latent.
struct LoadedDepthEstimator {
  DepthEstimatorDescription description{};
  std::shared_ptr<const DepthEstimator> network{};
  at::Device device = at::kCPU;

  /// How near each place of the picture is, fp32 [1, h, w] of the estimator's own size.
  at::Tensor estimate(const Image& picture) const;

  /// The same as a picture of the picture's size: black is farthest, white nearest, all black where everything is
  /// equally far; rounded down, as transformers' depth-estimation pipeline has it.
  GreyImage depth_picture(const Image& picture) const;
};

/// Throws ErrorKind::model with every missing, unexpected and misshapen key.
LoadedDepthEstimator load_depth_estimator(DepthEstimatorDescription description, at::Device device);

}  // namespace sdtorch
