#include "networks/unet_down.hpp"

#include <ATen/ATen.h>
#include <fmt/format.h>

#include "core/error.hpp"
#include "nn/attach.hpp"
#include "nn/timestep_embedding.hpp"

namespace sdtorch {
namespace {

// The reference's activation of the added embedding is this one, whatever the config's act_fn.
constexpr Activation added_activation = Activation::silu;

}  // namespace

UNetDown::UNetDown(torch::nn::Module& root, const UNetConfig& c)
    : config_(c),
      time_linear_1_(attach(root, "time_embedding.linear_1", Linear(c.levels[0].channels, c.time_embedding_dim))),
      time_linear_2_(attach(root, "time_embedding.linear_2", Linear(c.time_embedding_dim, c.time_embedding_dim))),
      conv_in_(attach(root, "conv_in", same_size_conv(c.in_channels, c.levels[0].channels, c.conv_in_kernel))) {
  if (c.time_cond_proj_dim > 0) {
    guidance_proj_ = attach(root, "time_embedding.cond_proj",
                            Linear(c.time_cond_proj_dim, c.levels[0].channels, LinearOptions{.bias = false}));
  }
  if (c.added) {
    added_linear_1_ = attach(root, "add_embedding.linear_1", Linear(c.added->input_width, c.time_embedding_dim));
    added_linear_2_ = attach(root, "add_embedding.linear_2", Linear(c.time_embedding_dim, c.time_embedding_dim));
  }
  for (size_t i = 0; i < c.levels.size(); ++i) {
    down_blocks_.push_back(attach(root, fmt::format("down_blocks.{}", i), UNetDownBlock(c, i)));
  }
  if (c.mid_block != MidBlock::none) mid_block_ = attach(root, "mid_block", UNetMidBlock(c));
}

at::Tensor UNetDown::waves(const at::Tensor& numbers, int64_t width) const {
  return sinusoidal_embedding(numbers, width,
                              {.flip_sin_to_cos = config_.flip_sin_to_cos, .freq_shift = config_.freq_shift});
}

at::Tensor UNetDown::embed(const UNetInput& input) const {
  const at::ScalarType type = input.sample.scalar_type();
  at::Tensor numbers = waves(input.timestep.to(input.sample.device()), config_.levels[0].channels).to(type);
  if (guidance_proj_) numbers = numbers + guidance_proj_(input.guidance.to(type));
  at::Tensor time = time_linear_2_(activate(time_linear_1_(numbers), config_.act_fn));
  if (config_.timestep_post_act) time = activate(time, *config_.timestep_post_act);
  if (config_.added) {
    const at::Tensor sizes = waves(input.time_ids.flatten(), config_.added->time_width);
    const at::Tensor added =
        at::cat({input.pooled.to(at::kFloat), sizes.reshape({input.pooled.size(0), -1})}, 1).to(type);
    time = time + added_linear_2_(activate(added_linear_1_(added), added_activation));
  }
  if (config_.time_embedding_act_fn) time = activate(time, *config_.time_embedding_act_fn);
  return time;
}

UNetDepths UNetDown::operator()(const UNetInput& input, const at::Tensor& hint) const {
  UNetDepths depths{
      .condition = {
          .time = embed(input),
          .context = {.text = input.context, .hooks = input.attention, .image = input.image, .kept = input.kept_keys},
          .freeu = input.freeu,
          .deep_cache = input.deep_cache}};
  at::Tensor x = input.extra_channels.defined() ? at::cat({input.sample, input.extra_channels}, 1) : input.sample;
  x = conv_in_(config_.center_input_sample ? 2 * x - 1.0 : x);
  if (hint.defined()) x = x + hint;
  depths.skips.push_back(x);
  const std::vector<at::Tensor>& added = input.block_residuals;
  if (added.size() > down_blocks_.size() + (mid_block_ ? 1 : 0)) {
    throw Error(ErrorKind::bug, {.reason = fmt::format("{} residuals for the U-Net's {} blocks on its way down",
                                                       added.size(), down_blocks_.size())});
  }
  for (size_t i = 0; i < down_blocks_.size(); ++i) {
    if (is_deep_enough(input.deep_cache, depths.skips.size())) return depths;
    x = down_blocks_[i](x, depths.condition, depths.skips, i < added.size() ? added[i] : at::Tensor());
  }
  if (is_deep_enough(input.deep_cache, depths.skips.size())) return depths;
  if (mid_block_) x = mid_block_(x, depths.condition);
  depths.x = added.size() > down_blocks_.size() ? x + added.back() : x;
  return depths;
}

}  // namespace sdtorch
