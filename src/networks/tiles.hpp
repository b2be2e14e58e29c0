// A picture in overlapping tiles that a network works through side by side: memory holds the intermediates of one tile
// at a time, and what is known of the whole picture is still known.
#pragma once

#include <ATen/ATen.h>

#include <cstddef>
#include <cstdint>
#include <functional>
#include <vector>

namespace sdtorch {

/// In pixels.
struct TileSize {
  int64_t size = 0;     ///< of a tile's side, at most
  int64_t overlap = 0;  ///< that neighbours share, at least; less than size
};

/// How often the resolution of an autoencoder of so many levels changes in tiles: twice at most, since what is smaller
/// still takes little memory whole.
inline size_t tiled_levels_of(size_t levels) { return levels > 2 ? 2 : levels - 1; }

/// Half-open.
struct Interval {
  int64_t begin = 0, end = 0;

  int64_t length() const { return end - begin; }
};

/// What is computed, and what of it is used: the used parts of all tiles are the whole, each place once.
struct Tile {
  Interval rows{}, columns{};
  Interval own_rows{}, own_columns{};
};

/// Tiles of h × w cells: the fewest of at most `size` cells a side that share `overlap`, all of one size. Neighbours
/// meet in the middle of what they share.
std::vector<Tile> tiles_of(int64_t height, int64_t width, int64_t size, int64_t overlap);

/// The same of a picture or a latent whose cells are `unit` pixels.
std::vector<Tile> tiles_of(int64_t height, int64_t width, const TileSize& size, int64_t unit);

/// Tiles of cells as tiles of what each cell is `unit` × `unit` of.
std::vector<Tile> in_pixels(std::vector<Tile> tiles, int64_t unit);

/// Of each group of channels, repeated for its channels: fp32 [C].
struct GroupMoments {
  at::Tensor mean{}, variance{};
};

/// How much larger a function makes both axes.
struct TileScale {
  int64_t times = 1, over = 1;
};

class TiledTensor {
 public:
  using Function = std::function<at::Tensor(at::Tensor)>;

  /// whole: [1, C, h, w]; tiles: of h × w.
  TiledTensor(const at::Tensor& whole, std::vector<Tile> tiles);

  /// Each tile becomes what f makes of it.
  void apply(const Function& f, TileScale scale = {});
  /// The same, but anew whenever a tile is asked for: what is large is held by none.
  void defer(Function f, TileScale scale);
  /// What f makes of the tiles, joined. The tiles are gone then.
  at::Tensor join(const Function& f, TileScale scale = {});

  /// Mean and variance over the whole of what f, which keeps the size, makes of it: as exact as those of the whole.
  GroupMoments moments(int64_t groups, const Function& f) const;

 private:
  at::Tensor part(size_t i) const;
  at::Tensor take(size_t i);

  std::vector<Tile> tiles_;
  std::vector<at::Tensor> parts_;
  Function deferred_{};
};

}  // namespace sdtorch
