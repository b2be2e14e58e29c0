// Self-attention over fewer tokens: the likest are merged before it and parted after it (Bolya & Hoffman 2023, "Token
// Merging for Fast Stable Diffusion").
#pragma once

#include <ATen/ATen.h>

#include <cstdint>
#include <optional>

namespace sdtorch {

/// Tokens of which some share a place.
class MergedTokens {
 public:
  /// places: int64 [B, N], below `count`: where in the shorter sequence each token stands.
  MergedTokens(at::Tensor places, int64_t count) : places_(std::move(places)), count_(count) {}

  /// x: [B, N, C] → [B, count, C], the mean of those that share a place.
  at::Tensor merge(const at::Tensor& x) const;

  /// x: [B, count, C] → [B, N, C], each token what its place says.
  at::Tensor part(const at::Tensor& x) const;

 private:
  at::Tensor places_;
  int64_t count_;
};

/// For one call of the network.
struct TokenMerging {
  double ratio = 0;      ///< of the tokens that are merged into others, above 0…0.75
  int64_t coarsest = 1;  ///< layers whose picture is so many times smaller than the latent on a side are the last
  int64_t height = 0, width = 0;  ///< of the latent
  at::Generator choice{};         ///< draws which token of each 2 × 2 others are merged into

  /// x: [B, N, C], the tokens of a picture → nothing where layers of its size are left alone. All rows share the draw.
  std::optional<MergedTokens> match(const at::Tensor& x);
};

}  // namespace sdtorch
