// In what tiles a request has its VAE work.
#pragma once

#include <exception>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "core/out_of_memory.hpp"
#include "networks/tiles.hpp"
#include "pipeline/model_description.hpp"
#include "sdtorch/request.hpp"

namespace sdtorch {

/// The usual side of a tile, and what neighbours share, in pixels.
inline constexpr int64_t usual_tile_size = 512, usual_tile_overlap = 64;

/// Throws ErrorKind::usage naming the flag for what means nothing without --vae-tiling, or contradicts itself.
void check_tiling(const Request& request);

/// None: the whole picture at once. Where nothing says how much tiles share, it is as much as the model's VAE needs for
/// the numbers of the whole; less is a warning.
/// Throws ErrorKind::usage naming the flag for tiles that are too small for that.
std::optional<TileSize> resolve_tiles(const ModelDescription& model, const Request& request,
                                      std::vector<std::string>& warnings);

/// The next smaller tiles that a VAE can work in after `now`, none of which is the whole of a picture of so many
/// pixels, with the numbers of the whole: half as large each time, from the usual size down. Nothing where there are
/// none.
std::optional<TileSize> smaller_tiles(const ModelDescription& model, int64_t height, int64_t width,
                                      const std::optional<TileSize>& now);

/// What a VAE does where memory is not to be had for it: the same again in tiles, and in smaller ones, which is said.
class TileFallback {
 public:
  /// height, width: of the pictures; tiles: that they are asked for in, none for the whole at once.
  TileFallback(const ModelDescription& model, at::Device device, int64_t height, int64_t width,
               const std::optional<TileSize>& tiles)
      : model_(model), device_(device), height_(height), width_(width), tiles_(tiles) {}

  /// work(tiles), until it has memory enough. Throws what it throws in the smallest tiles.
  template <typename Work>
  auto operator()(const Work& work) {
    for (;;) {
      try {
        return work(std::as_const(tiles_));
      } catch (const std::exception& error) {
        if (!is_out_of_memory(error) || !shrink()) throw;
      }
      tell();
    }
  }

  /// Whether other tiles than were asked for were needed so far.
  bool needed() const { return needed_; }

 private:
  bool shrink();
  void tell() const;

  const ModelDescription& model_;
  at::Device device_;
  int64_t height_, width_;
  std::optional<TileSize> tiles_;
  bool needed_ = false;
};

/// What a picture's notes say of it.
inline constexpr const char* tiles_note = "VAE in tiles: out of memory";

}  // namespace sdtorch
