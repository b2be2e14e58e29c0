#include "networks/unet.hpp"

#include <ATen/ATen.h>
#include <fmt/format.h>

#include "core/error.hpp"
#include "networks/shared_rows.hpp"
#include "nn/attach.hpp"

namespace sdtorch {
namespace {

void add_residuals(UNetDepths& depths, const UNetInput& input) {
  if (!input.down_residuals.empty()) {
    if (input.down_residuals.size() != depths.skips.size()) {
      throw Error(ErrorKind::bug, {.reason = fmt::format("{} residuals for the U-Net's {} skips",
                                                         input.down_residuals.size(), depths.skips.size())});
    }
    for (size_t i = 0; i < depths.skips.size() && depths.skips[i].defined(); ++i) {
      depths.skips[i] = depths.skips[i] + input.down_residuals[i];
    }
  }
  if (input.mid_residual.defined() && depths.x.defined()) depths.x = depths.x + input.mid_residual;
}

}  // namespace

size_t skip_count(const UNetConfig& config) {
  size_t count = config.levels.size();  // the first convolution's, and each halving's
  for (const UNetLevel& level : config.levels) count += static_cast<size_t>(level.layers);
  return count;
}

UNet2DConditionModel::UNet2DConditionModel(const UNetConfig& c)
    : config_(c),
      down_(*this, c),
      conv_norm_out_(attach(*this, "conv_norm_out", GroupNorm(c.norm_num_groups, c.levels[0].channels, c.norm_eps))),
      conv_out_(attach(*this, "conv_out", same_size_conv(c.levels[0].channels, c.out_channels, c.conv_out_kernel))) {
  const size_t count = c.levels.size();
  for (size_t i = 0; i < count; ++i) {
    up_blocks_.push_back(attach(*this, fmt::format("up_blocks.{}", i), UNetUpBlock(c, count - 1 - i)));
  }
}

at::Tensor UNet2DConditionModel::forward(const UNetInput& input) const {
  UNetDepths depths = down_(input);
  depths.skips.resize(skip_count(config_));  // those that a DeepCache spares are undefined
  add_residuals(depths, input);
  at::Tensor x = depths.x;
  for (const UNetUpBlock& block : up_blocks_) x = block(x, depths.condition, depths.skips);
  return for_rows(conv_out_(conv_norm_out_(x, config_.act_fn)), input.context.size(0));
}

}  // namespace sdtorch
