#include "networks/vae_blocks.hpp"

#include <ATen/ATen.h>
#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <utility>

#include "nn/attach.hpp"
#include "nn/attention.hpp"

namespace sdtorch {
namespace {

ResnetBlock2D resnet(const VaeConfig& config, int64_t in_channels, int64_t out_channels) {
  return ResnetBlock2D(ResnetOptions{.in_channels = in_channels,
                                     .out_channels = out_channels,
                                     .groups = config.norm_num_groups,
                                     .eps = vae_norm_eps,
                                     .activation = config.act_fn});
}

}  // namespace

VaeAttentionImpl::VaeAttentionImpl(int64_t channels, int64_t groups)
    : group_norm_(attach(*this, "group_norm", GroupNorm(groups, channels, vae_norm_eps))),
      to_q_(attach(*this, "to_q", Linear(channels, channels))),
      to_k_(attach(*this, "to_k", Linear(channels, channels))),
      to_v_(attach(*this, "to_v", Linear(channels, channels))),
      to_out_(attach(*this, "to_out.0", Linear(channels, channels))) {}

at::Tensor VaeAttentionImpl::forward(const at::Tensor& x) const {
  const at::Tensor h = group_norm_(x).permute({0, 2, 3, 1}).flatten(1, 2);
  const at::Tensor mixed = to_out_(attention(to_q_(h), to_k_(h), to_v_(h), {.heads = 1}));
  return mixed.unflatten(1, {x.size(2), x.size(3)}).permute({0, 3, 1, 2}) + x;
}

VaeMidBlockImpl::VaeMidBlockImpl(const VaeConfig& config)
    : resnet_0_(attach(*this, "resnets.0",
                       resnet(config, config.block_out_channels.back(), config.block_out_channels.back()))),
      resnet_1_(attach(*this, "resnets.1",
                       resnet(config, config.block_out_channels.back(), config.block_out_channels.back()))) {
  if (config.mid_block_add_attention) {
    attention_ = attach(*this, "attentions.0", VaeAttention(config.block_out_channels.back(), config.norm_num_groups));
  }
}

at::Tensor VaeMidBlockImpl::forward(at::Tensor x) const {
  x = resnet_0_(std::move(x), at::Tensor());
  if (attention_) x = attention_(x);
  return resnet_1_(std::move(x), at::Tensor());
}

DownEncoderBlock2DImpl::DownEncoderBlock2DImpl(const VaeConfig& config, size_t level) {
  const int64_t channels = config.block_out_channels[level];
  const int64_t above = config.block_out_channels[level == 0 ? 0 : level - 1];
  for (int64_t i = 0; i < config.layers_per_block; ++i) {
    resnets_.push_back(
        attach(*this, fmt::format("resnets.{}", i), resnet(config, i == 0 ? above : channels, channels)));
  }
  if (level + 1 < config.block_out_channels.size()) {
    downsampler_ = attach(*this, "downsamplers.0", Downsample2D(channels, /*padding=*/0));
  }
}

at::Tensor DownEncoderBlock2DImpl::forward(at::Tensor x) const {
  for (const ResnetBlock2D& block : resnets_) x = block(std::move(x), at::Tensor());
  return downsampler_ ? downsampler_(x) : x;
}

UpDecoderBlock2DImpl::UpDecoderBlock2DImpl(const VaeConfig& config, size_t level) {
  const int64_t channels = config.block_out_channels[level];
  const int64_t below = config.block_out_channels[std::min(level + 1, config.block_out_channels.size() - 1)];
  for (int64_t i = 0; i <= config.layers_per_block; ++i) {
    resnets_.push_back(
        attach(*this, fmt::format("resnets.{}", i), resnet(config, i == 0 ? below : channels, channels)));
  }
  if (level > 0) upsampler_ = attach(*this, "upsamplers.0", Upsample2D(channels));
}

at::Tensor UpDecoderBlock2DImpl::forward(at::Tensor x) const {
  for (const ResnetBlock2D& block : resnets_) x = block(std::move(x), at::Tensor());
  return upsampler_ ? doubled(std::move(x)) : x;
}

at::Tensor UpDecoderBlock2DImpl::doubled(at::Tensor x) const {
  const std::array<int64_t, 2> size{2 * x.size(2), 2 * x.size(3)};
  return upsampler_(std::move(x), size);
}

}  // namespace sdtorch
