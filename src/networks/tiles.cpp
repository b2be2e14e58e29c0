#include "networks/tiles.hpp"

#include <algorithm>
#include <utility>

namespace sdtorch {
namespace {

int64_t quotient_up(int64_t a, int64_t b) { return (a + b - 1) / b; }

struct Piece {
  Interval all{}, own{};
};

std::vector<Piece> pieces_of(int64_t length, int64_t size, int64_t overlap) {
  const int64_t count = length <= size ? 1 : quotient_up(length - overlap, size - overlap);
  const int64_t even = quotient_up(length + (count - 1) * overlap, count);
  std::vector<Piece> pieces;
  for (int64_t i = 0; i < count; ++i) {
    const int64_t begin = count == 1 ? 0 : i * (length - even) / (count - 1);
    pieces.push_back({.all = {begin, begin + even}, .own = {begin, begin + even}});
  }
  for (size_t i = 1; i < pieces.size(); ++i) {
    const int64_t middle = (pieces[i].all.begin + pieces[i - 1].all.end) / 2;
    pieces[i - 1].own.end = pieces[i].own.begin = middle;
  }
  return pieces;
}

at::Tensor cut(const at::Tensor& x, const Interval& rows, const Interval& columns) {
  return x.narrow(2, rows.begin, rows.length()).narrow(3, columns.begin, columns.length());
}

/// The used part of what belongs to a tile.
at::Tensor own(const at::Tensor& x, const Tile& tile) {
  const auto within = [](const Interval& part, const Interval& of) {
    return Interval{part.begin - of.begin, part.end - of.begin};
  };
  return cut(x, within(tile.own_rows, tile.rows), within(tile.own_columns, tile.columns));
}

void rescale(std::vector<Tile>& tiles, TileScale by) {
  for (Tile& tile : tiles) {
    for (Interval* axis : {&tile.rows, &tile.columns, &tile.own_rows, &tile.own_columns}) {
      *axis = {axis->begin * by.times / by.over, axis->end * by.times / by.over};
    }
  }
}

/// By channel: how often, and the sums of the difference from a pivot and of its square, which keep their digits where
/// a mean is large beside its deviation.
class ChannelSums {
 public:
  /// x: [1, C, h, w]
  void add(const at::Tensor& x) {
    constexpr int64_t most_at_once = int64_t{1} << 21;  // numbers that are converted to fp32 at a time
    if (!pivot_.defined()) {
      pivot_ = cut(x, {0, 1}, {0, 1}).to(at::kFloat).clone();
      sums_ = squares_ = at::zeros({x.size(1)}, x.options().dtype(at::kDouble));
    }
    for (const at::Tensor& rows : x.split(std::max<int64_t>(1, most_at_once / (x.size(1) * x.size(3))), 2)) {
      at::Tensor differences = rows.to(at::kFloat) - pivot_;
      sums_ = sums_ + differences.sum({0, 2, 3}).to(at::kDouble);
      squares_ = squares_ + differences.square_().sum({0, 2, 3}).to(at::kDouble);
      count_ += rows.size(2) * rows.size(3);
    }
  }

  GroupMoments moments(int64_t groups) const {
    const auto n = static_cast<double>(count_);
    const at::Tensor means = (pivot_.flatten().to(at::kDouble) + sums_ / n).unflatten(0, {groups, -1});
    const at::Tensor variances = ((squares_ - sums_ * sums_ / n) / n).unflatten(0, {groups, -1});
    const at::Tensor mean = means.mean(1, /*keepdim=*/true);
    const at::Tensor variance = (variances + (means - mean).square()).mean(1, /*keepdim=*/true).clamp_min(0);
    const auto for_channels = [&](const at::Tensor& of_groups) {
      return of_groups.expand_as(means).flatten().to(at::kFloat);
    };
    return {.mean = for_channels(mean), .variance = for_channels(variance)};
  }

 private:
  int64_t count_ = 0;
  at::Tensor pivot_{}, sums_{}, squares_{};
};

}  // namespace

std::vector<Tile> tiles_of(int64_t height, int64_t width, int64_t size, int64_t overlap) {
  std::vector<Tile> tiles;
  for (const Piece& rows : pieces_of(height, size, overlap)) {
    for (const Piece& columns : pieces_of(width, size, overlap)) {
      tiles.push_back({.rows = rows.all, .columns = columns.all, .own_rows = rows.own, .own_columns = columns.own});
    }
  }
  return tiles;
}

std::vector<Tile> tiles_of(int64_t height, int64_t width, const TileSize& size, int64_t unit) {
  const int64_t overlap = quotient_up(size.overlap, unit);
  return tiles_of(height, width, std::max(size.size / unit, overlap + 1), overlap);
}

std::vector<Tile> in_pixels(std::vector<Tile> tiles, int64_t unit) {
  rescale(tiles, {.times = unit});
  return tiles;
}

TiledTensor::TiledTensor(const at::Tensor& whole, std::vector<Tile> tiles) : tiles_(std::move(tiles)) {
  for (const Tile& tile : tiles_) parts_.push_back(cut(whole, tile.rows, tile.columns));
}

at::Tensor TiledTensor::part(size_t i) const { return deferred_ ? deferred_(parts_[i]) : parts_[i]; }

at::Tensor TiledTensor::take(size_t i) {
  at::Tensor taken = std::exchange(parts_[i], at::Tensor());
  return deferred_ ? deferred_(std::move(taken)) : taken;
}

void TiledTensor::apply(const Function& f, TileScale scale) {
  for (size_t i = 0; i < parts_.size(); ++i) parts_[i] = f(take(i));
  deferred_ = {};
  rescale(tiles_, scale);
}

void TiledTensor::defer(Function f, TileScale scale) {
  if (deferred_) apply([](at::Tensor x) { return x; });
  deferred_ = std::move(f);
  rescale(tiles_, scale);
}

at::Tensor TiledTensor::join(const Function& f, TileScale scale) {
  rescale(tiles_, scale);
  at::Tensor whole;
  for (size_t i = 0; i < parts_.size(); ++i) {
    const at::Tensor made = f(take(i));
    const Tile& tile = tiles_[i];
    if (!whole.defined()) {
      whole = at::empty({1, made.size(1), tiles_.back().rows.end, tiles_.back().columns.end}, made.options());
    }
    cut(whole, tile.own_rows, tile.own_columns).copy_(own(made, tile));
  }
  return whole;
}

GroupMoments TiledTensor::moments(int64_t groups, const Function& f) const {
  ChannelSums sums;
  for (size_t i = 0; i < parts_.size(); ++i) sums.add(own(f(part(i)), tiles_[i]));
  return sums.moments(groups);
}

}  // namespace sdtorch
