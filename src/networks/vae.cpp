#include "networks/vae.hpp"

#include <ATen/ATen.h>
#include <fmt/format.h>

#include <utility>

#include "core/error.hpp"
#include "nn/attach.hpp"

namespace sdtorch {
namespace {

Conv2d conv_3x3(int64_t in, int64_t out) { return Conv2d(in, out, 3, Conv2dOptions{.padding = 1}); }

}  // namespace

VaeEncoderImpl::VaeEncoderImpl(const VaeConfig& c)
    : groups_(c.norm_num_groups),
      conv_in_(attach(*this, "conv_in", conv_3x3(c.in_channels, c.block_out_channels.front()))),
      mid_block_(attach(*this, "mid_block", VaeMidBlock(c))),
      conv_norm_out_(
          attach(*this, "conv_norm_out", GroupNorm(c.norm_num_groups, c.block_out_channels.back(), vae_norm_eps))),
      conv_out_(attach(*this, "conv_out", conv_3x3(c.block_out_channels.back(), 2 * c.latent_channels))) {
  for (size_t i = 0; i < c.block_out_channels.size(); ++i) {
    down_blocks_.push_back(attach(*this, fmt::format("down_blocks.{}", i), DownEncoderBlock2D(c, i)));
  }
}

at::Tensor VaeEncoderImpl::forward(const at::Tensor& picture) const {
  at::Tensor x = conv_in_(picture);
  for (const DownEncoderBlock2D& block : down_blocks_) x = block(std::move(x));
  return conv_out_(conv_norm_out_(mid_block_(std::move(x)), vae_last_activation));
}

VaeDecoderImpl::VaeDecoderImpl(const VaeConfig& c)
    : groups_(c.norm_num_groups),
      conv_in_(attach(*this, "conv_in", conv_3x3(c.latent_channels, c.block_out_channels.back()))),
      mid_block_(attach(*this, "mid_block", VaeMidBlock(c))),
      conv_norm_out_(
          attach(*this, "conv_norm_out", GroupNorm(c.norm_num_groups, c.block_out_channels.front(), vae_norm_eps))),
      conv_out_(attach(*this, "conv_out", conv_3x3(c.block_out_channels.front(), c.out_channels))) {
  const size_t count = c.block_out_channels.size();
  for (size_t i = 0; i < count; ++i) {
    up_blocks_.push_back(attach(*this, fmt::format("up_blocks.{}", i), UpDecoderBlock2D(c, count - 1 - i)));
  }
}

at::Tensor VaeDecoderImpl::forward(const at::Tensor& latent) const {
  at::Tensor x = mid_block_(conv_in_(latent));
  for (const UpDecoderBlock2D& block : up_blocks_) x = block(std::move(x));
  x = conv_norm_out_(x, vae_last_activation);
  return conv_out_(x);
}

AutoencoderKL::AutoencoderKL(const VaeConfig& c) : config_(c), decoder_(attach(*this, "decoder", VaeDecoder(c))) {
  // Nothing comes behind it that would enlarge a rounding; a latent that is encoded goes through the U-Net.
  for (const auto& module : decoder_->modules()) {
    if (auto* norm = module->as<GroupNormImpl>()) norm->keep_layout_in_fp32();
  }
  if (c.encoder) encoder_ = attach(*this, "encoder", VaeEncoder(c));
  if (c.encoder && c.use_quant_conv) {
    quant_conv_ = attach(*this, "quant_conv", Conv2d(2 * c.latent_channels, 2 * c.latent_channels, 1));
  }
  if (c.use_post_quant_conv) {
    post_quant_conv_ = attach(*this, "post_quant_conv", Conv2d(c.latent_channels, c.latent_channels, 1));
  }
}

at::Tensor AutoencoderKL::decode(const at::Tensor& latent, const std::optional<TileSize>& tiles) const {
  const at::Tensor x = post_quant_conv_ ? post_quant_conv_(latent) : latent;
  return tiles ? decoder_->in_tiles(x, *tiles) : decoder_(x);
}

LatentDistribution AutoencoderKL::encode(const at::Tensor& picture, const std::optional<TileSize>& tiles) const {
  if (!encoder_) throw Error(ErrorKind::model, {.place = "vae", .reason = "has no encoder, and pictures need one"});
  const at::Tensor encoded = tiles ? encoder_->in_tiles(picture, *tiles) : encoder_(picture);
  const auto halves = (quant_conv_ ? quant_conv_(encoded) : encoded).chunk(2, 1);
  return {.mean = halves[0], .logvar = halves[1].clamp(-30.0, 20.0)};
}

}  // namespace sdtorch
