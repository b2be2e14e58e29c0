// The tiny autoencoder that stands in for a VAE (TAESD: Ollin Boer Bohan 2023), with diffusers' key names.
#pragma once

#include <cstdint>
#include <nlohmann/json_fwd.hpp>
#include <optional>
#include <string>
#include <vector>

#include "core/read_options.hpp"
#include "networks/tiles.hpp"
#include "nn/activation.hpp"
#include "nn/conv.hpp"

namespace sdtorch {

/// diffusers' AutoencoderTiny.
struct TinyVaeConfig {
  int64_t latent_channels = 4;
  int64_t encoder_channels = 64, decoder_channels = 64;
  std::vector<int64_t> encoder_blocks{1, 3, 3, 3};  ///< one a stage; each but the first begins by halving the picture
  std::vector<int64_t> decoder_blocks{3, 3, 3, 1};  ///< each but the last ends by enlarging it
  int64_t enlargement = 2;                          ///< along each axis, by nearest neighbours
  Activation act_fn = Activation::relu;
  double scaling_factor = 1, shift_factor = 0;  ///< as a VAE's; its latents are those that the U-Net draws
  bool encoder = true;                          ///< no config says it: of files that only decode the weights hold none

  /// Pixels a latent pixel stands for along each axis.
  int64_t factor() const;

  /// As networks/config.hpp says of each from_json.
  static TinyVaeConfig from_json(const nlohmann::json& json, const std::string& file, const ReadOptions& options = {});
};

/// Three convolutions on a residual.
class TinyBlockImpl : public torch::nn::Module {
 public:
  TinyBlockImpl(int64_t channels, Activation activation);

  /// x: [B, C, h, w] → the same shape.
  at::Tensor forward(const at::Tensor& x) const;

 private:
  Conv2d conv_0_, conv_2_, conv_4_;
  Activation activation_;
};
using TinyBlock = Layer<TinyBlockImpl>;

class TinyEncoderImpl : public torch::nn::Module {
 public:
  explicit TinyEncoderImpl(const TinyVaeConfig& config);

  /// picture: [B, 3, H, W] in -1…1 → [B, latent_channels, h, w]; tiles: of one picture alone.
  at::Tensor forward(const at::Tensor& picture, const std::optional<TileSize>& tiles) const;

 private:
  struct Stage {
    Conv2d conv = nullptr;  ///< the picture's, or that which halves
    std::vector<TinyBlock> blocks{};
  };
  at::Tensor run(at::Tensor x, size_t begin, size_t end) const;

  std::vector<Stage> stages_{};
  Conv2d conv_out_ = nullptr;
};
using TinyEncoder = Layer<TinyEncoderImpl>;

class TinyDecoderImpl : public torch::nn::Module {
 public:
  explicit TinyDecoderImpl(const TinyVaeConfig& config);

  /// latent: [B, latent_channels, h, w] → [B, 3, h factor, w factor], about -1…1; tiles: of one latent alone.
  at::Tensor forward(const at::Tensor& latent, const std::optional<TileSize>& tiles) const;

 private:
  struct Stage {
    std::vector<TinyBlock> blocks{};
    Conv2d conv = nullptr;  ///< after enlarging, or the picture's
  };
  /// The stages, each but `begin` from what its predecessor left to be enlarged.
  at::Tensor run(at::Tensor x, size_t begin, size_t end) const;

  int64_t enlargement_;
  Activation activation_;
  Conv2d conv_in_ = nullptr;
  std::vector<Stage> stages_{};
};
using TinyDecoder = Layer<TinyDecoderImpl>;

class AutoencoderTiny : public torch::nn::Module {
 public:
  explicit AutoencoderTiny(const TinyVaeConfig& config);

  /// latent: [B, latent_channels, h, w], the scale already undone → picture [B, 3, h factor, w factor], about -1…1.
  at::Tensor decode(const at::Tensor& latent, const std::optional<TileSize>& tiles = {}) const;

  /// picture: [B, 3, H, W] in -1…1, H and W multiples of factor → its latent, before scaling: there is no distribution
  /// to sample. Throws ErrorKind::bug for one without an encoder.
  at::Tensor encode(const at::Tensor& picture, const std::optional<TileSize>& tiles = {}) const;

 private:
  TinyEncoder encoder_ = nullptr;
  TinyDecoder decoder_;
};

/// Pixels that neighbouring tiles must share for the whole picture's numbers (vae_tiles.hpp).
int64_t exact_tile_overlap(const TinyVaeConfig& config);

}  // namespace sdtorch
