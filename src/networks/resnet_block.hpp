// The residual block of the U-Net and the autoencoder (He et al. 2016; Ho et al. 2020, appendix B).
#pragma once

#include "nn/activation.hpp"
#include "nn/conv.hpp"
#include "nn/linear.hpp"
#include "nn/norm.hpp"

namespace sdtorch {

struct ResnetOptions {
  int64_t in_channels = 0;
  int64_t out_channels = 0;
  int64_t time_channels = 0;  ///< 0: the block sees no timestep
  int64_t groups = 32;
  double eps = 1e-6;
  Activation activation = Activation::silu;
  bool scale_shift = false;  ///< the timestep scales and shifts the second norm instead of being added before it
  double output_scale = 1;   ///< the output is divided by it
};

/// A block's layers, for those who run them one by one.
struct ResnetLayers {
  const GroupNorm& norm1;
  const Conv2d& conv1;
  const GroupNorm& norm2;
  const Conv2d& conv2;
  const Conv2d& conv_shortcut;  ///< empty where the channels stay
  Activation activation;
};

class ResnetBlock2DImpl : public torch::nn::Module {
 public:
  explicit ResnetBlock2DImpl(const ResnetOptions& options);

  /// x: [B, in, h, w]; time: [B, time], or of a divisor of B rows (shared_rows.hpp), or undefined where the block sees
  /// no timestep → [B, out, h, w]. x is let go as soon as it is used, if the caller moved it in.
  at::Tensor forward(at::Tensor x, const at::Tensor& time) const;

  ResnetLayers layers() const { return {norm1_, conv1_, norm2_, conv2_, conv_shortcut_, options_.activation}; }

 private:
  ResnetOptions options_;
  GroupNorm norm1_;
  Conv2d conv1_;
  Linear time_emb_proj_ = nullptr;
  GroupNorm norm2_;
  Conv2d conv2_;
  Conv2d conv_shortcut_ = nullptr;  ///< where the channels change
};
using ResnetBlock2D = Layer<ResnetBlock2DImpl>;

}  // namespace sdtorch
