#include "networks/controlnet.hpp"

#include <ATen/ATen.h>
#include <fmt/format.h>
#include <fmt/ranges.h>

#include <cmath>

#include "core/error.hpp"
#include "nn/attach.hpp"

namespace sdtorch {
namespace {

constexpr Activation hint_activation = Activation::silu;  // fixed in the reference, whatever the config's act_fn

/// The channels of each skip, from the finest on.
std::vector<int64_t> skip_channels(const UNetConfig& config) {
  std::vector<int64_t> channels{config.levels.front().channels};
  for (size_t i = 0; i < config.levels.size(); ++i) {
    const bool halved = i + 1 < config.levels.size();
    channels.insert(channels.end(), static_cast<size_t>(config.levels[i].layers + (halved ? 1 : 0)),
                    config.levels[i].channels);
  }
  return channels;
}

Conv2d residual_conv(int64_t channels) { return Conv2d(channels, channels, 1); }

at::Tensor sum(const at::Tensor& a, const at::Tensor& b) { return a.defined() ? a + b : b; }

}  // namespace

ControlNet::ControlNet(const ControlNetConfig& c)
    : config_(c),
      down_(*this, c.unet),
      hint_in_(attach(*this, "controlnet_cond_embedding.conv_in",
                      same_size_conv(c.conditioning_channels, c.conditioning_embedding_out_channels.front(), 3))),
      hint_out_(
          attach(*this, "controlnet_cond_embedding.conv_out",
                 same_size_conv(c.conditioning_embedding_out_channels.back(), c.unet.levels.front().channels, 3))),
      mid_conv_(attach(*this, "controlnet_mid_block", residual_conv(c.unet.levels.back().channels))) {
  const auto add_hint_block = [&](Conv2d conv) {
    const std::string key = fmt::format("controlnet_cond_embedding.blocks.{}", hint_blocks_.size());
    hint_blocks_.push_back(attach(*this, key, std::move(conv)));
  };
  const std::vector<int64_t>& widths = c.conditioning_embedding_out_channels;
  for (size_t i = 0; i + 1 < widths.size(); ++i) {
    add_hint_block(same_size_conv(widths[i], widths[i], 3));
    add_hint_block(Conv2d(widths[i], widths[i + 1], 3, Conv2dOptions{.stride = 2, .padding = 1}));
  }
  for (const int64_t channels : skip_channels(c.unet)) {
    const std::string key = fmt::format("controlnet_down_blocks.{}", residual_convs_.size());
    residual_convs_.push_back(attach(*this, key, residual_conv(channels)));
  }
}

at::Tensor ControlNet::embed(const at::Tensor& picture) const {
  at::Tensor x = activate(hint_in_(config_.bgr ? picture.flip(1) : picture), hint_activation);
  for (const Conv2d& conv : hint_blocks_) x = activate(conv(x), hint_activation);
  return hint_out_(x);
}

ControlResiduals ControlNet::forward(const UNetInput& input, const at::Tensor& hint,
                                     std::span<const double> weights) const {
  if (weights.size() != residual_convs_.size() + 1) {
    throw Error(ErrorKind::bug, {.reason = fmt::format("{} weights for a ControlNet's {} residuals", weights.size(),
                                                       residual_convs_.size() + 1)});
  }
  const auto weighted = [&](const at::Tensor& residual, double weight) {
    const at::Tensor x = residual * weight;
    return config_.global_pool_conditions ? x.mean({2, 3}, /*keepdim=*/true) : x;
  };
  UNetInput own = input;
  own.extra_channels = at::Tensor();
  own.block_residuals.clear();
  own.attention = nullptr;  // the U-Net's layers alone are guided and spared
  own.deep_cache = nullptr;
  own.kept_keys = nullptr;
  own.image = {};
  const UNetDepths depths = down_(own, hint);
  ControlResiduals residuals{.mid = weighted(mid_conv_(depths.x), weights.back())};
  for (size_t i = 0; i < residual_convs_.size(); ++i) {
    residuals.down.push_back(weighted(residual_convs_[i](depths.skips[i]), weights[i]));
  }
  return residuals;
}

std::vector<double> ControlNet::weights(ControlMode mode, double strength) const {
  constexpr double softening = 0.825, least = 0.1;
  constexpr double last_of_sd1 = 12;  // SDXL's fewer residuals take the first of these weights
  const size_t count = residual_convs_.size() + 1;
  std::vector<double> weights(count, strength);
  for (size_t i = 0; i < count; ++i) {
    const auto depth = static_cast<double>(i);
    if (mode == ControlMode::prompt) weights[i] *= std::pow(softening, last_of_sd1 - depth);
    if (mode == ControlMode::control && !config_.global_pool_conditions) {
      weights[i] *= std::pow(least, 1 - depth / static_cast<double>(count - 1));
    }
  }
  return weights;
}

void add_residuals(UNetInput& call, const ControlResiduals& residuals) {
  call.down_residuals.resize(residuals.down.size());
  for (size_t i = 0; i < residuals.down.size(); ++i) {
    call.down_residuals[i] = sum(call.down_residuals[i], residuals.down[i]);
  }
  call.mid_residual = sum(call.mid_residual, residuals.mid);
}

void require_fit(const ControlNetConfig& control, const UNetConfig& unet, int64_t factor, const std::string& file) {
  const auto refuse = [&](const char* key, std::string reason) {
    fail(ErrorKind::model, file, key, std::move(reason), "ControlNet and model are of different families");
  };
  const std::vector<int64_t> ours = skip_channels(control.unet), theirs = skip_channels(unet);
  if (ours != theirs) {
    refuse("block_out_channels", fmt::format("its residuals have {} channels, the U-Net's layers {}",
                                             fmt::join(ours, " "), fmt::join(theirs, " ")));
  }
  if (control.factor() != factor) {
    refuse("conditioning_embedding_out_channels",
           fmt::format("its pictures become {} times smaller, the model's {} times", control.factor(), factor));
  }
  if (control.unet.in_channels != unet.out_channels) {
    refuse("in_channels", fmt::format("{}, but the latent has {}", control.unet.in_channels, unet.out_channels));
  }
  if (control.unet.cross_attention_dim != unet.cross_attention_dim) {
    refuse("cross_attention_dim",
           fmt::format("{}, but the U-Net's is {}", control.unet.cross_attention_dim, unet.cross_attention_dim));
  }
  if (control.unet.added && (!unet.added || unet.added->input_width != control.unet.added->input_width)) {
    refuse("projection_class_embeddings_input_dim",
           fmt::format("{}, but the U-Net's is {}", control.unet.added->input_width,
                       unet.added ? std::to_string(unet.added->input_width) : "null"));
  }
}

}  // namespace sdtorch
