#include "networks/bit_backbone.hpp"

#include <ATen/ATen.h>
#include <fmt/format.h>

#include "nn/attach.hpp"

namespace sdtorch {
namespace {

constexpr double bit_norm_eps = 1e-5;    // fixed in the reference
constexpr double bit_filter_eps = 1e-8;  // likewise

StandardizedConv2d bit_conv(int64_t in, int64_t out, int64_t kernel, int64_t stride = 1) {
  return StandardizedConv2d(in, out, kernel, stride, bit_filter_eps);
}

GroupNorm bit_norm(const BitConfig& config, int64_t channels) {
  return GroupNorm(config.num_groups, channels, bit_norm_eps);
}

int64_t block_input(const BitConfig& config, size_t stage, int64_t index) {
  if (index > 0) return config.hidden_sizes[stage];
  return stage == 0 ? config.embedding_size : config.hidden_sizes[stage - 1];
}

}  // namespace

BitBottleneckImpl::BitBottleneckImpl(const BitConfig& config, size_t stage, int64_t index)
    : activation_(config.hidden_act),
      conv1_(attach(*this, "conv1", bit_conv(block_input(config, stage, index), config.bottleneck(stage), 1))),
      conv2_(attach(*this, "conv2",
                    bit_conv(config.bottleneck(stage), config.bottleneck(stage), 3, stage > 0 && index == 0 ? 2 : 1))),
      conv3_(attach(*this, "conv3", bit_conv(config.bottleneck(stage), config.hidden_sizes[stage], 1))),
      norm1_(attach(*this, "norm1", bit_norm(config, config.bottleneck(stage)))),
      norm2_(attach(*this, "norm2", bit_norm(config, config.bottleneck(stage)))),
      norm3_(attach(*this, "norm3", bit_norm(config, config.hidden_sizes[stage]))) {
  if (index == 0) {
    const int64_t in = block_input(config, stage, index), out = config.hidden_sizes[stage];
    shortcut_conv_ = attach(*this, "downsample.conv", bit_conv(in, out, 1, stage > 0 ? 2 : 1));
    shortcut_norm_ = attach(*this, "downsample.norm", bit_norm(config, out));
  }
}

at::Tensor BitBottleneckImpl::forward(const at::Tensor& x) const {
  const at::Tensor shortcut = shortcut_conv_ ? shortcut_norm_(shortcut_conv_(x)) : x;
  at::Tensor h = norm1_(conv1_(x), activation_);
  h = norm2_(conv2_(h), activation_);
  return activate(norm3_(conv3_(h)) + shortcut, activation_);
}

BitBackboneImpl::BitBackboneImpl(const BitConfig& config, int64_t in_channels)
    : config_(config),
      convolution_(attach(*this, "embedder.convolution", bit_conv(in_channels, config.embedding_size, 7, 2))),
      norm_(attach(*this, "embedder.norm", bit_norm(config, config.embedding_size))) {
  for (size_t stage = 0; stage < config.depths.size(); ++stage) {
    stages_.emplace_back();
    for (int64_t i = 0; i < config.depths[stage]; ++i) {
      const std::string key = fmt::format("encoder.stages.{}.layers.{}", stage, i);
      stages_.back().push_back(attach(*this, key, BitBottleneck(config, stage, i)));
    }
  }
}

std::vector<at::Tensor> BitBackboneImpl::forward(const at::Tensor& picture) const {
  constexpr int64_t pool = 3, pool_stride = 2;
  at::Tensor x = norm_(convolution_(picture), config_.hidden_act);
  x = at::max_pool2d(config_.embedding_dynamic_padding ? pad_same(x, pool, pool_stride) : x, pool, pool_stride);
  std::vector<at::Tensor> outputs;
  for (const auto& stage : stages_) {
    for (const BitBottleneck& block : stage) x = block(x);
    outputs.push_back(x);
  }
  return outputs;
}

}  // namespace sdtorch
