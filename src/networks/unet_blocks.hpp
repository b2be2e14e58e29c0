// The U-Net's blocks: one way down, one at the bottom, one way up (Ronneberger et al. 2015).
// Each is its plain and its cross-attention type at once: the level's config says whether transformers stand in it.
#pragma once

#include <optional>
#include <vector>

#include "networks/config.hpp"
#include "networks/deep_cache.hpp"
#include "networks/freeu.hpp"
#include "networks/resample.hpp"
#include "networks/resnet_block.hpp"
#include "networks/transformer_block.hpp"

namespace sdtorch {

/// What every block sees besides the picture. Pictures come with P or with B rows, and leave with B where a transformer
/// was on the way (see shared_rows.hpp).
struct UNetCondition {
  at::Tensor time;               ///< [P, time_embedding_dim]
  TransformerContext context{};  ///< of B rows, P or a multiple
  std::optional<FreeU> freeu{};
  DeepCache* deep_cache = nullptr;  ///< may be none
};

/// A convolution of an odd kernel that keeps the size.
Conv2d same_size_conv(int64_t in, int64_t out, int64_t kernel);

/// DownBlock2D, CrossAttnDownBlock2D.
class UNetDownBlockImpl : public torch::nn::Module {
 public:
  UNetDownBlockImpl(const UNetConfig& config, size_t level);

  /// x: [B, C of the level above, h, w] → [B, C, h', w'], halved but at the coarsest level. Appends its layers' outputs
  /// to skips. residual: added to the last layer's output, before it is halved where the block has transformers, after
  /// that where it has none, as the reference does; undefined: nothing. Ends with the skip that a DeepCache asks for.
  at::Tensor forward(at::Tensor x, const UNetCondition& condition, std::vector<at::Tensor>& skips,
                     const at::Tensor& residual = {}) const;

 private:
  std::vector<ResnetBlock2D> resnets_;
  std::vector<Transformer2DModel> attentions_;
  Downsample2D downsampler_ = nullptr;
};
using UNetDownBlock = Layer<UNetDownBlockImpl>;

/// UNetMidBlock2D (a single residual block), UNetMidBlock2DCrossAttn.
class UNetMidBlockImpl : public torch::nn::Module {
 public:
  explicit UNetMidBlockImpl(const UNetConfig& config);

  /// x: [B, C, h, w] → the same shape.
  at::Tensor forward(at::Tensor x, const UNetCondition& condition) const;

 private:
  std::vector<ResnetBlock2D> resnets_;
  Transformer2DModel attention_ = nullptr;
};
using UNetMidBlock = Layer<UNetMidBlockImpl>;

/// UpBlock2D, CrossAttnUpBlock2D.
class UNetUpBlockImpl : public torch::nn::Module {
 public:
  UNetUpBlockImpl(const UNetConfig& config, size_t level);

  /// x: [B, C of the level below, h, w] → [B, C, h', w'], as large as the next skip. Takes its layers' inputs from the
  /// end of skips. With a DeepCache that is used again: x and the skips of the layers below its branch are undefined,
  /// and those layers are passed over.
  at::Tensor forward(at::Tensor x, const UNetCondition& condition, std::vector<at::Tensor>& skips) const;

 private:
  size_t place_;  ///< 0 is the coarsest
  std::vector<ResnetBlock2D> resnets_;
  std::vector<Transformer2DModel> attentions_;
  Upsample2D upsampler_ = nullptr;
};
using UNetUpBlock = Layer<UNetUpBlockImpl>;

}  // namespace sdtorch
