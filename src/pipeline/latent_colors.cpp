#include "pipeline/latent_colors.hpp"

#include <c10/core/InferenceMode.h>

#include <random>
#include <vector>

#include "pipeline/decode.hpp"

namespace sdtorch {
namespace {

constexpr int64_t side = 24;    // cells of the latent that the map is learned from
constexpr int64_t patch = 4;    // cells of one colour on a side: a VAE sees what lies around a cell, too
constexpr double spread = 0.8;  // of its values; a picture's have about 1, and far beyond it colours saturate

/// [1, C, side, side]: patches of normal values, the same ones each time.
at::Tensor random_patches(int64_t channels) {
  constexpr uint64_t seed = 1;
  constexpr int64_t patches = side / patch;
  std::mt19937_64 numbers(seed);
  std::normal_distribution<float> normal(0, static_cast<float>(spread));
  std::vector<float> values(static_cast<size_t>(channels * patches * patches));
  for (float& value : values) value = normal(numbers);
  const at::Tensor coarse = at::from_blob(values.data(), {1, channels, patches, patches}, at::kFloat);
  return coarse.repeat_interleave(patch, 2).repeat_interleave(patch, 3);
}

/// [C, h, w] → double [h·w, C + 1], the last column ones.
at::Tensor with_ones(const at::Tensor& latent) {
  const at::Tensor rows = latent.to(at::kCPU, at::kDouble).flatten(1).t();
  return at::cat({rows, at::ones({rows.size(0), 1}, rows.options())}, 1);
}

}  // namespace

LatentColors LatentColors::fit(const Pipeline& pipeline, int64_t channels) {
  const c10::InferenceMode no_gradients;
  const at::Tensor latent = random_patches(channels);
  const Image picture = pipeline.decode(latent.to(at::Device(pipeline.model().choice().device))).front();
  LatentColors colors;
  colors.factor_ = picture.width / side;
  // from_blob does not write, whatever its type says.
  const at::Tensor pixels =
      at::from_blob(const_cast<uint8_t*>(picture.pixels.data()), {picture.height, picture.width, 3}, at::kByte)
          .to(at::kDouble);
  const at::Tensor cells =
      pixels.reshape({side, colors.factor_, side, colors.factor_, 3}).mean(at::IntArrayRef{1, 3}).flatten(0, 1) / 255;
  colors.map_ = std::get<0>(at::linalg_lstsq(with_ones(latent[0]), cells));
  return colors;
}

Image LatentColors::picture(const at::Tensor& latent) const {
  const c10::InferenceMode no_gradients;
  const at::Tensor colors = with_ones(latent).matmul(map_).t().reshape({3, latent.size(1), latent.size(2)});
  return to_image(colors.clamp(0, 1).nan_to_num());
}

}  // namespace sdtorch
