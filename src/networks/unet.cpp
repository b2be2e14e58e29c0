#include "networks/unet.hpp"

#include <ATen/ATen.h>
#include <fmt/format.h>

#include "nn/attach.hpp"
#include "nn/timestep_embedding.hpp"

namespace sdtorch {
namespace {

// The reference's activation of the added embedding is this one, whatever the config's act_fn.
constexpr Activation added_activation = Activation::silu;

Conv2d same_size_conv(int64_t in, int64_t out, int64_t kernel) {
  return Conv2d(in, out, kernel, Conv2dOptions{.padding = (kernel - 1) / 2});
}

}  // namespace

UNet2DConditionModel::UNet2DConditionModel(const UNetConfig& c)
    : config_(c),
      time_linear_1_(attach(*this, "time_embedding.linear_1", Linear(c.levels[0].channels, c.time_embedding_dim))),
      time_linear_2_(attach(*this, "time_embedding.linear_2", Linear(c.time_embedding_dim, c.time_embedding_dim))),
      conv_in_(attach(*this, "conv_in", same_size_conv(c.in_channels, c.levels[0].channels, c.conv_in_kernel))),
      conv_norm_out_(attach(*this, "conv_norm_out", GroupNorm(c.norm_num_groups, c.levels[0].channels, c.norm_eps))),
      conv_out_(attach(*this, "conv_out", same_size_conv(c.levels[0].channels, c.out_channels, c.conv_out_kernel))) {
  if (c.time_cond_proj_dim > 0) {
    guidance_proj_ = attach(*this, "time_embedding.cond_proj",
                            Linear(c.time_cond_proj_dim, c.levels[0].channels, LinearOptions{.bias = false}));
  }
  if (c.added) {
    added_linear_1_ = attach(*this, "add_embedding.linear_1", Linear(c.added->input_width, c.time_embedding_dim));
    added_linear_2_ = attach(*this, "add_embedding.linear_2", Linear(c.time_embedding_dim, c.time_embedding_dim));
  }
  const size_t count = c.levels.size();
  for (size_t i = 0; i < count; ++i) {
    down_blocks_.push_back(attach(*this, fmt::format("down_blocks.{}", i), UNetDownBlock(c, i)));
  }
  if (c.mid_block != MidBlock::none) mid_block_ = attach(*this, "mid_block", UNetMidBlock(c));
  for (size_t i = 0; i < count; ++i) {
    up_blocks_.push_back(attach(*this, fmt::format("up_blocks.{}", i), UNetUpBlock(c, count - 1 - i)));
  }
}

at::Tensor UNet2DConditionModel::waves(const at::Tensor& numbers, int64_t width) const {
  return sinusoidal_embedding(numbers, width,
                              {.flip_sin_to_cos = config_.flip_sin_to_cos, .freq_shift = config_.freq_shift});
}

at::Tensor UNet2DConditionModel::embed(const at::Tensor& timestep, const UNetExtras& extras, at::ScalarType type) {
  at::Tensor input = waves(timestep, config_.levels[0].channels).to(type);
  if (guidance_proj_) input = input + guidance_proj_(extras.guidance.to(type));
  at::Tensor time = time_linear_2_(activate(time_linear_1_(input), config_.act_fn));
  if (config_.timestep_post_act) time = activate(time, *config_.timestep_post_act);
  if (config_.added) {
    const at::Tensor numbers = waves(extras.time_ids.flatten(), config_.added->time_width);
    const at::Tensor added =
        at::cat({extras.pooled.to(at::kFloat), numbers.reshape({extras.pooled.size(0), -1})}, 1).to(type);
    time = time + added_linear_2_(activate(added_linear_1_(added), added_activation));
  }
  if (config_.time_embedding_act_fn) time = activate(time, *config_.time_embedding_act_fn);
  return time;
}

at::Tensor UNet2DConditionModel::forward(const at::Tensor& sample, const at::Tensor& timestep,
                                         const at::Tensor& context, const UNetExtras& extras) {
  const UNetCondition condition{.time = embed(timestep.to(sample.device()), extras, sample.scalar_type()),
                                .context = context};
  at::Tensor x = conv_in_(config_.center_input_sample ? 2 * sample - 1.0 : sample);
  std::vector<at::Tensor> skips{x};
  for (UNetDownBlock& block : down_blocks_) x = block(x, condition, skips);
  if (mid_block_) x = mid_block_(x, condition);
  for (UNetUpBlock& block : up_blocks_) x = block(x, condition, skips);
  return conv_out_(conv_norm_out_(x, config_.act_fn));
}

}  // namespace sdtorch
