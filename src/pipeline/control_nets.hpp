// What steers a model's U-Net by a picture: ControlNets and T2I-Adapters, described, and loaded.
#pragma once

#include <ATen/ATen.h>

#include <filesystem>
#include <memory>
#include <string>
#include <variant>

#include "networks/controlnet.hpp"
#include "networks/t2i_adapter.hpp"

namespace sdtorch {

struct ModelDescription;

/// Everything about one but its weights.
struct ControlDescription {
  std::filesystem::path path{};  ///< a folder or a file
  std::variant<ControlNetConfig, T2IAdapterConfig> config{};

  /// Channels of the picture that it reads: 3, or 1 for grey.
  int64_t picture_channels() const;

  /// The picture's width and height must be multiples of this.
  int64_t multiple() const;
};

/// path: a diffusers folder of a ControlNet or a T2I-Adapter, or a single file of one, of which the header is read.
/// Throws ErrorKind::model naming file and key, also where it does not fit the model.
ControlDescription describe_control(const std::string& path, const ModelDescription& model);

using ControlNetwork = std::variant<std::shared_ptr<const ControlNet>, std::shared_ptr<const T2IAdapter>>;

/// Loads the weights. Throws ErrorKind::model with every missing, unexpected and misshapen key.
ControlNetwork load_control(const ControlDescription& control, const ModelDescription& model, at::ScalarType dtype,
                            at::Device device);

}  // namespace sdtorch
