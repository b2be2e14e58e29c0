#include "networks/token_merging.hpp"

#include <algorithm>
#include <cmath>

namespace sdtorch {
namespace {

constexpr int64_t stride = 2;  // one token of each stride × stride may be merged into; what is beyond them may not

/// → bool [h · w]: one at random of each whole square.
at::Tensor drawn_targets(int64_t height, int64_t width, const at::Generator& choice) {
  const int64_t rows = height / stride, columns = width / stride;
  const at::Tensor drawn = at::randint(stride * stride, {rows, columns, 1}, choice, at::kLong);
  at::Tensor squares = at::zeros({rows, columns, stride * stride}, at::kBool).scatter_(2, drawn, true);
  squares = squares.view({rows, columns, stride, stride}).transpose(1, 2).reshape({rows * stride, columns * stride});
  return at::constant_pad_nd(squares, {0, width - columns * stride, 0, height - rows * stride}).flatten();
}

}  // namespace

at::Tensor MergedTokens::merge(const at::Tensor& x) const {
  const at::Tensor index = places_.unsqueeze(2).expand({-1, -1, x.size(2)});
  return at::zeros({x.size(0), count_, x.size(2)}, x.options())
      .scatter_reduce(1, index, x, "mean", /*include_self=*/false);
}

at::Tensor MergedTokens::part(const at::Tensor& x) const {
  return x.gather(1, places_.unsqueeze(2).expand({-1, -1, x.size(2)}));
}

std::optional<MergedTokens> TokenMerging::match(const at::Tensor& x) {
  const int64_t batch = x.size(0), tokens = x.size(1);
  const auto smaller = static_cast<int64_t>(std::ceil(std::sqrt(height * width / tokens)));
  if (smaller > coarsest) return std::nullopt;
  const auto shrunk = [&](int64_t side) { return (side + smaller - 1) / smaller; };
  const at::Tensor targeted = drawn_targets(shrunk(height), shrunk(width), choice).to(x.device());
  const at::Tensor targets = targeted.nonzero().squeeze(1), others = targeted.logical_not().nonzero().squeeze(1);
  const int64_t merged = std::min(static_cast<int64_t>(static_cast<double>(tokens) * ratio), others.size(0));
  if (merged == 0 || targets.size(0) == 0) return std::nullopt;

  const at::Tensor direction = x / x.norm(2, -1, /*keepdim=*/true);
  const auto [likeness, likest] =
      at::matmul(direction.index_select(1, others), direction.index_select(1, targets).transpose(1, 2)).max(-1);
  const at::Tensor order = likeness.argsort(-1, /*descending=*/true);
  const at::Tensor goes = order.narrow(1, 0, merged), stays = order.narrow(1, merged, others.size(0) - merged);
  const int64_t staying = stays.size(1);

  // Of the others: those that stay stand first, then the targets, each with what is merged into it.
  at::Tensor place_of_other = at::empty_like(order);
  place_of_other.scatter_(1, stays, at::arange(staying, order.options()).expand({batch, staying}));
  place_of_other.scatter_(1, goes, likest.gather(1, goes) + staying);
  at::Tensor places = at::empty({batch, tokens}, order.options());
  places.index_copy_(1, others, place_of_other);
  places.index_copy_(1, targets,
                     (at::arange(targets.size(0), order.options()) + staying).expand({batch, targets.size(0)}));
  return MergedTokens(places, staying + targets.size(0));
}

}  // namespace sdtorch
