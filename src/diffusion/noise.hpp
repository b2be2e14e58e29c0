// Gaussian noise, drawn explicitly: a generator a picture, or one for all of a batch, and in which order other tools
// take from it.
#pragma once

#include <ATen/ATen.h>

#include <cstdint>
#include <optional>
#include <vector>

#include "diffusion/normal_stream.hpp"

namespace sdtorch {

/// What one picture's noise grows from.
struct PictureNoise {
  uint64_t seed = 0;                         ///< any value; 0 is a seed
  std::optional<uint64_t> variation_seed{};  ///< of the noise that is mixed into the start noise; none: nothing is
  double variation_strength = 0;             ///< how much of it, 0…1
  int64_t slice = 0;                         ///< which part of what is drawn at once is this picture's, from 0
  int64_t slices = 1;                        ///< of how many pictures it is drawn at once

  bool operator==(const PictureNoise&) const = default;
};

/// What samples the latent of an input picture.
enum class EncodeNoise {
  first,  ///< the picture's own generator, before the start noise (diffusers)
  apart,  ///< a generator of its own at the picture's seed (stable-diffusion.cpp)
  none    ///< nothing: the distribution's mean (ComfyUI)
};

/// Who draws, and in which order. The defaults are diffusers' with one CPU generator a picture.
struct NoiseRules {
  RandomSource source = RandomSource::cpu;   ///< of all but what samplers add
  RandomSource sampler = RandomSource::cpu;  ///< of that
  /// What samplers add comes from generators of its own at each seed + this (mod 2^64), as A1111's eta noise seed delta
  /// has it. 0: from where the start noise left off, or, if `sampler` is another source, from generators at the seeds.
  uint64_t ensd = 0;
  bool brownian = false;  ///< dpm++2m_sde adds a Brownian motion's increments too, as k-diffusion's does
  EncodeNoise encode = EncodeNoise::first;
  std::vector<int64_t> other_size{};  ///< height and width of a latent whose noise is put into the middle, or empty
};

/// The noise of a batch's pictures, each of which is the same alone.
class Noise {
 public:
  /// By the default rules. seeds: one a picture.
  explicit Noise(const std::vector<uint64_t>& seeds);
  Noise(std::vector<PictureNoise> pictures, NoiseRules rules);

  /// As it was before anything was drawn.
  Noise anew() const { return {pictures_, rules_}; }

  /// What a sampler adds next: standard normal fp32 on the CPU, [B, …shape]; shape is one picture's, without the batch
  /// axis. By the default rules each picture's generator advances as in `torch.randn((1, …shape), generator=…)`.
  at::Tensor draw(at::IntArrayRef shape);

  /// The start noise, likewise: the first draw, in whose middle that of another size is put where the rules ask for it
  /// (A1111's "resize seed from"), mixed with the variation's. shape: [C, h, w] where either is asked for.
  at::Tensor draw_start(at::IntArrayRef shape);

  /// What an input picture's latent is sampled by; zeros where it is not.
  at::Tensor draw_encoding(at::IntArrayRef shape);

  const std::vector<PictureNoise>& pictures() const { return pictures_; }
  const NoiseRules& rules() const { return rules_; }

 private:
  using Streams = std::vector<NormalStream>;

  /// One for each different seed and number of slices, at the seeds and so much more.
  Streams streams_from(RandomSource source, uint64_t distance) const;
  at::Tensor next(Streams& streams, at::IntArrayRef shape) const;

  std::vector<PictureNoise> pictures_;
  NoiseRules rules_;
  std::vector<size_t> first_alike_{};  ///< of each picture, the first whose stream it shares
  Streams streams_, sampler_streams_{}, encode_streams_{};
};

/// From `from` to `to` on great circles, as A1111 mixes a variation in (Shoemake 1985, eq. 5.1.1; along the height,
/// each column and channel by itself): from at share 0. Where the two are parallel, straight on. from, to: fp32 [C, h,
/// w].
at::Tensor slerp(const at::Tensor& from, const at::Tensor& to, double share);

}  // namespace sdtorch
