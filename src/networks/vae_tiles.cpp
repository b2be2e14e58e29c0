#include "networks/vae_tiles.hpp"

#include <ATen/ATen.h>

#include <algorithm>
#include <utility>

#include "networks/vae.hpp"
#include "nn/fused.hpp"

namespace sdtorch {
namespace {

at::Tensor unchanged(at::Tensor x) { return x; }

/// Pixels a cell is, from which on tiles are worked through.
int64_t unit_of(size_t levels) { return int64_t{1} << levels; }

}  // namespace

int64_t exact_tile_overlap(const VaeConfig& config) {
  const size_t levels = tiled_levels_of(config.block_out_channels.size());
  const int64_t unit = unit_of(levels);
  int64_t decoding = 1, encoding = 0;  // how far a pixel of the result, or a cell of it, sees; the last convolution
  for (size_t i = 0; i < levels; ++i) {
    decoding = (decoding + 2 * (config.layers_per_block + 1) + 1 + 1) / 2;
    encoding = 2 * encoding + 1 + 2 * config.layers_per_block;
  }
  const int64_t cells = (encoding + 1 + unit - 1) / unit;  // the first convolution, too
  return 2 * unit * std::max(decoding, cells);
}

at::Tensor normalised(const at::Tensor& x, const GroupNorm& norm, const GroupMoments& moments, Activation activation) {
  const at::Tensor weight = norm->weight.to(at::kFloat), bias = norm->bias.to(at::kFloat);
  at::Tensor y = at::batch_norm(x, weight, bias, moments.mean, moments.variance, /*training=*/false, /*momentum=*/0,
                                vae_norm_eps, /*cudnn_enabled=*/false);
  return activate(std::move(y), activation);
}

void apply_in_tiles(const ResnetBlock2D& block, int64_t groups, TiledTensor& x) {
  const ResnetLayers layers = block->layers();
  const GroupMoments first = x.moments(groups, unchanged);
  const auto inner = [&](const at::Tensor& part) {
    return layers.conv1(normalised(part, layers.norm1, first, layers.activation));
  };
  const GroupMoments second = x.moments(groups, inner);
  x.apply([&](at::Tensor part) {
    const at::Tensor h = normalised(inner(part), layers.norm2, second, layers.activation);
    const at::Tensor residual = layers.conv_shortcut ? layers.conv_shortcut(part) : part;
    part.reset();
    return conv_onto(layers.conv2, h, residual);
  });
}

at::Tensor VaeDecoderImpl::in_tiles(const at::Tensor& latent, const TileSize& size) const {
  const size_t doublings = up_blocks_.size() - 1, tiled = tiled_levels_of(up_blocks_.size()), whole = doublings - tiled;
  at::Tensor x = mid_block_(conv_in_(latent));
  for (size_t i = 0; i < whole; ++i) x = up_blocks_[i](std::move(x));
  for (const ResnetBlock2D& resnet : up_blocks_[whole]->resnets()) x = resnet(std::move(x), at::Tensor());
  TiledTensor tiles(x, tiles_of(x.size(2), x.size(3), size, unit_of(tiled)));
  x.reset();
  for (size_t i = whole; i < doublings; ++i) {
    tiles.defer([&, i](at::Tensor part) { return up_blocks_[i]->doubled(std::move(part)); }, {.times = 2});
    for (const ResnetBlock2D& resnet : up_blocks_[i + 1]->resnets()) apply_in_tiles(resnet, groups_, tiles);
  }
  const GroupMoments last = tiles.moments(groups_, unchanged);
  return tiles.join(
      [&](const at::Tensor& part) { return conv_out_(normalised(part, conv_norm_out_, last, vae_last_activation)); });
}

at::Tensor VaeEncoderImpl::in_tiles(const at::Tensor& picture, const TileSize& size) const {
  const size_t tiled = tiled_levels_of(down_blocks_.size());
  const int64_t unit = unit_of(tiled);
  std::vector<Tile> cells = tiles_of(picture.size(2) / unit, picture.size(3) / unit, size, unit);
  TiledTensor tiles(picture, in_pixels(std::move(cells), unit));
  tiles.defer(conv_in_, {});
  for (size_t i = 0; i < tiled; ++i) {
    for (const ResnetBlock2D& resnet : down_blocks_[i]->resnets()) apply_in_tiles(resnet, groups_, tiles);
    tiles.apply([&](at::Tensor part) { return down_blocks_[i]->halved(std::move(part)); }, {.over = 2});
  }
  at::Tensor x = tiles.join(unchanged);
  for (size_t i = tiled; i < down_blocks_.size(); ++i) x = down_blocks_[i](std::move(x));
  return conv_out_(conv_norm_out_(mid_block_(std::move(x)), vae_last_activation));
}

}  // namespace sdtorch
