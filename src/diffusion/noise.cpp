#include "diffusion/noise.hpp"

#include <algorithm>
#include <utility>

namespace sdtorch {
namespace {

std::vector<PictureNoise> pictures_of(const std::vector<uint64_t>& seeds) {
  std::vector<PictureNoise> pictures;
  for (const uint64_t seed : seeds) pictures.push_back({.seed = seed});
  return pictures;
}

bool draw_alike(const PictureNoise& a, const PictureNoise& b) { return a.seed == b.seed && a.slices == b.slices; }

std::vector<int64_t> with_batch(int64_t pictures, at::IntArrayRef shape) {
  std::vector<int64_t> whole{pictures};
  whole.insert(whole.end(), shape.begin(), shape.end());
  return whole;
}

/// Where the shorter of two sides lies in the longer one's middle, in A1111's whole numbers: half of the difference is
/// rounded down, also where it is below 0 and as much is cut off at both ends.
struct Overlap {
  int64_t to = 0, from = 0, length = 0;
};
Overlap overlap(int64_t own, int64_t other) {
  const int64_t difference = own - other;
  const int64_t half = difference >= 0 ? difference / 2 : -((1 - difference) / 2);
  if (half >= 0) return {.to = half, .from = 0, .length = other};
  return {.to = 0, .from = -half, .length = other + 2 * half};
}

/// Puts the other's middle into x's. Both [B, C, h, w].
void put_into_middle(at::Tensor& x, const at::Tensor& other) {
  const Overlap rows = overlap(x.size(2), other.size(2)), columns = overlap(x.size(3), other.size(3));
  x.narrow(2, rows.to, rows.length)
      .narrow(3, columns.to, columns.length)
      .copy_(other.narrow(2, rows.from, rows.length).narrow(3, columns.from, columns.length));
}

}  // namespace

Noise::Noise(const std::vector<uint64_t>& seeds) : Noise(pictures_of(seeds), NoiseRules{}) {}

Noise::Noise(std::vector<PictureNoise> pictures, NoiseRules rules)
    : pictures_(std::move(pictures)), rules_(std::move(rules)) {
  for (const PictureNoise& picture : pictures_) {
    const auto first = std::ranges::find_if(pictures_, [&](const auto& other) { return draw_alike(picture, other); });
    first_alike_.push_back(static_cast<size_t>(first - pictures_.begin()));
  }
  streams_ = streams_from(rules_.source, 0);
  if (rules_.ensd != 0 || rules_.sampler != rules_.source) {
    sampler_streams_ = streams_from(rules_.sampler, rules_.ensd);
  }
  if (rules_.encode == EncodeNoise::apart) encode_streams_ = streams_from(rules_.source, 0);
}

Noise::Streams Noise::streams_from(RandomSource source, uint64_t distance) const {
  Streams streams;
  streams.reserve(pictures_.size());
  for (const PictureNoise& picture : pictures_) streams.emplace_back(source, picture.seed + distance);
  return streams;
}

at::Tensor Noise::next(Streams& streams, at::IntArrayRef shape) const {
  std::vector<at::Tensor> drawn(pictures_.size()), images;
  for (size_t i = 0; i < pictures_.size(); ++i) {
    const size_t first = first_alike_[i];
    if (first == i) drawn[i] = streams[i].draw(with_batch(pictures_[i].slices, shape));
    images.push_back(drawn[first].narrow(0, pictures_[i].slice, 1));
  }
  return at::cat(images);
}

at::Tensor Noise::draw(at::IntArrayRef shape) {
  return next(sampler_streams_.empty() ? streams_ : sampler_streams_, shape);
}

at::Tensor Noise::draw_start(at::IntArrayRef shape) {
  std::vector<int64_t> drawn_shape = shape.vec();
  if (!rules_.other_size.empty()) drawn_shape = {shape[0], rules_.other_size[0], rules_.other_size[1]};
  at::Tensor x = next(streams_, shape), noise = x;
  if (drawn_shape != shape.vec()) {
    Streams fresh = streams_from(rules_.source, 0);
    noise = next(fresh, drawn_shape);
  }
  for (size_t i = 0; i < pictures_.size(); ++i) {
    const PictureNoise& picture = pictures_[i];
    if (!picture.variation_seed || picture.variation_strength == 0) continue;
    at::Tensor own = noise[static_cast<int64_t>(i)];
    const at::Tensor variation = NormalStream(rules_.source, *picture.variation_seed).draw(drawn_shape);
    own.copy_(slerp(own, variation, picture.variation_strength));
  }
  if (!noise.is_same(x)) put_into_middle(x, noise);
  return x;
}

at::Tensor Noise::draw_encoding(at::IntArrayRef shape) {
  if (rules_.encode == EncodeNoise::none) return at::zeros(with_batch(std::ssize(pictures_), shape), at::kFloat);
  return next(rules_.encode == EncodeNoise::apart ? encode_streams_ : streams_, shape);
}

at::Tensor slerp(const at::Tensor& from, const at::Tensor& to, double share) {
  constexpr double parallel = 0.9995, smallest_sine = 1e-6;
  const at::Tensor low = from.to(at::kDouble), high = to.to(at::kDouble);
  const auto unit = [](const at::Tensor& x) { return x / x.norm(2, 1, /*keepdim=*/true).clamp_min(1e-300); };
  const at::Tensor cosine = (unit(low) * unit(high)).sum(1, /*keepdim=*/true).clamp(-1, 1);
  // A1111 has the two the wrong way round here; they are so alike that it hardly shows.
  if (cosine.mean().item<double>() > parallel) return (low * share + high * (1 - share)).to(at::kFloat);
  const at::Tensor angle = cosine.acos(), sine = angle.sin();
  const at::Tensor mixed = ((1 - share) * angle).sin() / sine * low + (share * angle).sin() / sine * high;
  return at::where(sine.abs() < smallest_sine, low + share * (high - low), mixed).to(at::kFloat);
}

}  // namespace sdtorch
