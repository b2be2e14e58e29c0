#include "networks/unet_blocks.hpp"

#include <ATen/ATen.h>
#include <fmt/format.h>

#include <algorithm>

#include "networks/shared_rows.hpp"
#include "nn/attach.hpp"

namespace sdtorch {
namespace {

ResnetOptions resnet_options(const UNetConfig& config, int64_t in_channels, int64_t out_channels) {
  return {.in_channels = in_channels,
          .out_channels = out_channels,
          .time_channels = config.time_embedding_dim,
          .groups = config.norm_num_groups,
          .eps = config.norm_eps,
          .activation = config.act_fn,
          .scale_shift = config.scale_shift};
}

TransformerOptions transformer_options(const UNetConfig& config, const UNetLevel& level, int64_t depth) {
  return {.channels = level.channels,
          .heads = level.heads,
          .depth = depth,
          .context_width = level.context_width,
          .groups = config.norm_num_groups,
          .linear_projection = config.use_linear_projection,
          .only_cross_attention = level.only_cross_attention};
}

std::vector<Transformer2DModel> attach_transformers(torch::nn::Module& block, const UNetConfig& config,
                                                    const UNetLevel& level, const std::vector<int64_t>& depths) {
  std::vector<Transformer2DModel> transformers;
  for (size_t i = 0; i < depths.size(); ++i) {
    transformers.push_back(attach(block, fmt::format("attentions.{}", i),
                                  Transformer2DModel(transformer_options(config, level, depths[i]))));
  }
  return transformers;
}

}  // namespace

Conv2d same_size_conv(int64_t in, int64_t out, int64_t kernel) {
  return Conv2d(in, out, kernel, Conv2dOptions{.padding = (kernel - 1) / 2});
}

UNetDownBlockImpl::UNetDownBlockImpl(const UNetConfig& config, size_t level_index) {
  const UNetLevel& level = config.levels[level_index];
  const int64_t above = config.levels[level_index == 0 ? 0 : level_index - 1].channels;
  for (int64_t i = 0; i < level.layers; ++i) {
    const int64_t in_channels = i == 0 ? above : level.channels;
    resnets_.push_back(attach(*this, fmt::format("resnets.{}", i),
                              ResnetBlock2D(resnet_options(config, in_channels, level.channels))));
  }
  attentions_ = attach_transformers(*this, config, level, level.down_transformers);
  if (level_index + 1 < config.levels.size()) {
    downsampler_ = attach(*this, "downsamplers.0", Downsample2D(level.channels, config.downsample_padding));
  }
}

at::Tensor UNetDownBlockImpl::forward(at::Tensor x, const UNetCondition& condition, std::vector<at::Tensor>& skips,
                                      const at::Tensor& residual) const {
  const auto add_residual = [&] {
    if (residual.defined()) skips.back() = x = x + residual;
  };
  for (size_t i = 0; i < resnets_.size(); ++i) {
    x = resnets_[i](x, condition.time);
    if (!attentions_.empty()) x = attentions_[i](x, condition.context);
    skips.push_back(x);
    if (i + 1 < resnets_.size() && is_deep_enough(condition.deep_cache, skips.size())) return x;
  }
  if (!attentions_.empty()) add_residual();
  if (is_deep_enough(condition.deep_cache, skips.size())) return x;
  if (downsampler_) {
    x = downsampler_(x);
    skips.push_back(x);
  }
  if (attentions_.empty()) add_residual();
  return x;
}

UNetMidBlockImpl::UNetMidBlockImpl(const UNetConfig& config) {
  const UNetLevel& level = config.levels.back();
  ResnetOptions options = resnet_options(config, level.channels, level.channels);
  options.output_scale = config.mid_scale;
  resnets_.push_back(attach(*this, "resnets.0", ResnetBlock2D(options)));
  if (config.mid_block == MidBlock::cross_attention) {
    TransformerOptions transformer = transformer_options(config, level, config.mid_transformer);
    transformer.only_cross_attention = false;  // the reference's mid block never asks the level
    attention_ = attach(*this, "attentions.0", Transformer2DModel(transformer));
    resnets_.push_back(attach(*this, "resnets.1", ResnetBlock2D(options)));
  }
}

at::Tensor UNetMidBlockImpl::forward(at::Tensor x, const UNetCondition& condition) const {
  x = resnets_.front()(x, condition.time);
  if (!attention_) return x;
  return resnets_.back()(attention_(x, condition.context), condition.time);
}

UNetUpBlockImpl::UNetUpBlockImpl(const UNetConfig& config, size_t level_index)
    : place_(config.levels.size() - 1 - level_index) {
  const UNetLevel& level = config.levels[level_index];
  const int64_t below = config.levels[std::min(level_index + 1, config.levels.size() - 1)].channels;
  const int64_t above = config.levels[level_index == 0 ? 0 : level_index - 1].channels;
  for (int64_t i = 0; i <= level.layers; ++i) {
    const int64_t skip = i == level.layers ? above : level.channels;
    const int64_t in_channels = (i == 0 ? below : level.channels) + skip;
    resnets_.push_back(attach(*this, fmt::format("resnets.{}", i),
                              ResnetBlock2D(resnet_options(config, in_channels, level.channels))));
  }
  attentions_ = attach_transformers(*this, config, level, level.up_transformers);
  if (level_index > 0) upsampler_ = attach(*this, "upsamplers.0", Upsample2D(level.channels));
}

at::Tensor UNetUpBlockImpl::forward(at::Tensor x, const UNetCondition& condition,
                                    std::vector<at::Tensor>& skips) const {
  for (size_t i = 0; i < resnets_.size(); ++i) {
    pass_branch(condition.deep_cache, skips.size() - 1, x);
    if (!x.defined()) {
      skips.pop_back();
      continue;
    }
    if (condition.freeu) apply_freeu(*condition.freeu, place_, x, skips.back());
    x = resnets_[i](at::cat({x, for_rows(skips.back(), x.size(0))}, 1), condition.time);
    skips.pop_back();
    if (!attentions_.empty()) x = attentions_[i](x, condition.context);
  }
  return upsampler_ && x.defined() ? upsampler_(x, skips.back().sizes().slice(2)) : x;
}

}  // namespace sdtorch
