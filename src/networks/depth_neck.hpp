// From a transformer's tokens back to pictures, and from pictures of several sizes to one (Ranftl et al. 2021, section
// 3).
#pragma once

#include "networks/depth_config.hpp"
#include "nn/conv.hpp"
#include "nn/linear.hpp"

namespace sdtorch {

/// Makes a picture of one layer's tokens.
class DepthReassembly {
 public:
  /// Registers the layers in `root` under transformers' keys: neck.reassemble_stage.readout_projects.INDEX.0,
  /// neck.reassemble_stage.layers.INDEX.
  DepthReassembly(torch::nn::Module& root, const DepthConfig& config, size_t index);

  /// tokens: [B, 1 + h·w, hidden_size], the readout first; grid: h, w → [B, neck_hidden_sizes[index], h f, w f],
  /// f = reassemble_factors[index]
  at::Tensor operator()(const at::Tensor& tokens, at::IntArrayRef grid) const;

 private:
  /// → [B, h·w, hidden_size]
  at::Tensor read_out(const at::Tensor& tokens) const;

  Readout readout_;
  Activation activation_;
  Linear readout_project_ = nullptr;
  Conv2d projection_;
  Conv2d shrink_ = nullptr;
  ConvTranspose2d enlarge_ = nullptr;
};

/// Adds a finer feature to what the coarser ones came to, and doubles the size.
class DepthFusionImpl : public torch::nn::Module {
 public:
  explicit DepthFusionImpl(const DepthConfig& config);

  /// x: [B, fusion_hidden_size, h, w]; feature: the same, of any size; undefined: none → [B, fusion_hidden_size, 2h,
  /// 2w]
  at::Tensor forward(at::Tensor x, const at::Tensor& feature) const;

 private:
  /// Two convolutions, activated before each, on a residual.
  struct Unit {
    Unit(torch::nn::Module& root, const std::string& key, const DepthConfig& config);
    at::Tensor operator()(const at::Tensor& x) const;
    Conv2d first, second;
  };
  Unit of_feature_, of_sum_;
  Conv2d projection_;
};
using DepthFusion = Layer<DepthFusionImpl>;

}  // namespace sdtorch
