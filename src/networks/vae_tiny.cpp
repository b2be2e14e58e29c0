#include "networks/vae_tiny.hpp"

#include <ATen/ATen.h>
#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <utility>

#include "core/error.hpp"
#include "nn/attach.hpp"

namespace sdtorch {
namespace {

/// Latents are softly kept within ±3 before they are decoded.
constexpr double latent_limit = 3;

Conv2d conv(int64_t in, int64_t out, int64_t stride = 1, bool bias = true) {
  return Conv2d(in, out, 3, Conv2dOptions{.stride = stride, .padding = 1, .bias = bias});
}

/// Numbers layers as Sequential does, in whose order the keys are.
class Sequence {
 public:
  explicit Sequence(torch::nn::Module& root) : root_(root) {}

  template <class Holder>
  Holder add(Holder layer) {
    return attach(root_, fmt::format("layers.{}", next_++), std::move(layer));
  }
  /// One without weights.
  void skip() { ++next_; }

  std::vector<TinyBlock> blocks(int64_t count, int64_t channels, Activation activation) {
    std::vector<TinyBlock> added;
    for (int64_t i = 0; i < count; ++i) added.push_back(add(TinyBlock(channels, activation)));
    return added;
  }

 private:
  torch::nn::Module& root_;
  int64_t next_ = 0;
};

int64_t power(int64_t base, size_t exponent) {
  int64_t product = 1;
  for (size_t i = 0; i < exponent; ++i) product *= base;
  return product;
}

}  // namespace

TinyBlockImpl::TinyBlockImpl(int64_t channels, Activation activation)
    : conv_0_(attach(*this, "conv.0", conv(channels, channels))),
      conv_2_(attach(*this, "conv.2", conv(channels, channels))),
      conv_4_(attach(*this, "conv.4", conv(channels, channels))),
      activation_(activation) {}

at::Tensor TinyBlockImpl::forward(const at::Tensor& x) const {
  const at::Tensor h = activate(conv_2_(activate(conv_0_(x), activation_)), activation_);
  return activate(conv_4_(h) + x, Activation::relu);  // whatever the config's act_fn
}

TinyEncoderImpl::TinyEncoderImpl(const TinyVaeConfig& c) {
  Sequence layers(*this);
  for (size_t i = 0; i < c.encoder_blocks.size(); ++i) {
    Stage& stage = stages_.emplace_back();
    stage.conv = layers.add(i == 0 ? conv(3, c.encoder_channels)
                                   : conv(c.encoder_channels, c.encoder_channels, /*stride=*/2, /*bias=*/false));
    stage.blocks = layers.blocks(c.encoder_blocks[i], c.encoder_channels, c.act_fn);
  }
  conv_out_ = layers.add(conv(c.encoder_channels, c.latent_channels));
}

at::Tensor TinyEncoderImpl::run(at::Tensor x, size_t begin, size_t end) const {
  for (size_t i = begin; i < end; ++i) {
    x = stages_[i].conv(x);
    for (const TinyBlock& block : stages_[i].blocks) x = block(x);
  }
  return x;
}

at::Tensor TinyEncoderImpl::forward(const at::Tensor& picture, const std::optional<TileSize>& tiles) const {
  const auto scaled = [](const at::Tensor& x) { return (x + 1) / 2; };
  if (!tiles) return conv_out_(run(scaled(picture), 0, stages_.size()));
  const size_t tiled = tiled_levels_of(stages_.size());
  const int64_t unit = power(2, tiled);
  const auto cells = tiles_of(picture.size(2) / unit, picture.size(3) / unit, *tiles, unit);
  TiledTensor parts(picture, in_pixels(cells, unit));
  const auto halved = [&](const at::Tensor& part) {  // to the picture's cells, in whose size what follows is small
    const at::Tensor x = run(scaled(part), 0, tiled);
    return tiled > 0 ? stages_[tiled].conv(x) : stages_[0].conv(x);
  };
  at::Tensor x = parts.join(halved, {.over = unit});
  for (const TinyBlock& block : stages_[tiled].blocks) x = block(x);
  return conv_out_(run(std::move(x), tiled + 1, stages_.size()));
}

TinyDecoderImpl::TinyDecoderImpl(const TinyVaeConfig& c) : enlargement_(c.enlargement), activation_(c.act_fn) {
  Sequence layers(*this);
  conv_in_ = layers.add(conv(c.latent_channels, c.decoder_channels));
  layers.skip();  // the activation
  for (size_t i = 0; i < c.decoder_blocks.size(); ++i) {
    const bool last = i + 1 == c.decoder_blocks.size();
    Stage& stage = stages_.emplace_back();
    stage.blocks = layers.blocks(c.decoder_blocks[i], c.decoder_channels, c.act_fn);
    if (!last) layers.skip();  // what enlarges
    stage.conv = layers.add(conv(c.decoder_channels, last ? 3 : c.decoder_channels, /*stride=*/1, /*bias=*/last));
  }
}

at::Tensor TinyDecoderImpl::run(at::Tensor x, size_t begin, size_t end) const {
  for (size_t i = begin; i < end; ++i) {
    if (i > begin) {
      const std::array<int64_t, 2> size{enlargement_ * x.size(2), enlargement_ * x.size(3)};
      x = at::upsample_nearest2d(x, size);
      x = stages_[i - 1].conv(x);
    }
    for (const TinyBlock& block : stages_[i].blocks) x = block(x);
  }
  return x;
}

at::Tensor TinyDecoderImpl::forward(const at::Tensor& latent, const std::optional<TileSize>& tiles) const {
  const size_t count = stages_.size(), tiled = tiled_levels_of(count), whole = count - 1 - tiled;
  at::Tensor x = conv_in_((latent / latent_limit).tanh() * latent_limit);
  x = run(activate(std::move(x), activation_), 0, whole + 1);
  const auto last = [&](at::Tensor part) {  // from the stage `whole`, whose blocks have run
    if (tiled > 0) {
      const std::array<int64_t, 2> size{enlargement_ * part.size(2), enlargement_ * part.size(3)};
      part = at::upsample_nearest2d(part, size);
      part = run(stages_[whole].conv(part), whole + 1, count);
    }
    return stages_.back().conv(part) * 2 - 1;
  };
  if (!tiles) return last(std::move(x));
  const int64_t unit = power(enlargement_, tiled);
  TiledTensor parts(x, tiles_of(x.size(2), x.size(3), *tiles, unit));
  return parts.join(last, {.times = unit});
}

AutoencoderTiny::AutoencoderTiny(const TinyVaeConfig& config)
    : decoder_(attach(*this, "decoder", TinyDecoder(config))) {
  if (config.encoder) encoder_ = attach(*this, "encoder", TinyEncoder(config));
}

at::Tensor AutoencoderTiny::decode(const at::Tensor& latent, const std::optional<TileSize>& tiles) const {
  return decoder_(latent, tiles);
}

at::Tensor AutoencoderTiny::encode(const at::Tensor& picture, const std::optional<TileSize>& tiles) const {
  if (!encoder_) throw Error(ErrorKind::bug, {.reason = "a tiny decoder alone was asked to encode"});
  return encoder_(picture, tiles);
}

int64_t TinyVaeConfig::factor() const { return power(enlargement, decoder_blocks.size() - 1); }

int64_t exact_tile_overlap(const TinyVaeConfig& config) {
  const size_t tiled = tiled_levels_of(config.decoder_blocks.size());
  const int64_t unit = power(config.enlargement, tiled);
  int64_t decoding = 1;  // the last convolution
  for (size_t i = 0; i < tiled; ++i) {
    decoding += 3 * config.decoder_blocks[config.decoder_blocks.size() - 1 - i] + 1;
    decoding = (decoding + config.enlargement - 1) / config.enlargement;
  }
  const size_t halved = tiled_levels_of(config.encoder_blocks.size());
  int64_t encoding = 0;
  for (size_t i = halved; i-- > 0;) encoding = 2 * encoding + 1 + 3 * config.encoder_blocks[i];
  const int64_t encoding_unit = power(2, halved);
  const int64_t cells = (encoding + 1 + encoding_unit - 1) / encoding_unit;  // the first convolution, too
  return 2 * std::max(decoding * unit, config.encoder ? cells * encoding_unit : 0);
}

}  // namespace sdtorch
