#include "pipeline/tiling.hpp"

#include <fmt/format.h>

#include <algorithm>

#include "core/error.hpp"
#include "core/free_memory.hpp"
#include "core/log.hpp"
#include "networks/vae_tiles.hpp"
#include "networks/vae_tiny.hpp"

namespace sdtorch {
namespace {

constexpr const char *size_flag = "--vae-tile-size", *overlap_flag = "--vae-tile-overlap";

/// What neighbours must share for the numbers of the whole.
int64_t exact_overlap(const ModelDescription& model) {
  const int64_t of_vae = exact_tile_overlap(model.vae);
  return model.tiny_vae ? std::max(of_vae, exact_tile_overlap(model.tiny_vae->config)) : of_vae;
}

}  // namespace

void check_tiling(const Request& request) {
  if (!request.vae_tiling) {
    if (request.vae_tile_size) refuse(size_flag, "there are no tiles", "give --vae-tiling");
    if (request.vae_tile_overlap) refuse(overlap_flag, "there are no tiles", "give --vae-tiling");
    return;
  }
  const int64_t size = request.vae_tile_size.value_or(usual_tile_size);
  if (request.vae_tile_overlap && *request.vae_tile_overlap >= size) {
    refuse(overlap_flag, fmt::format("{} pixels are no less than a tile's {}", *request.vae_tile_overlap, size),
           fmt::format("{} is usual", usual_tile_overlap));
  }
}

std::optional<TileSize> resolve_tiles(const ModelDescription& model, const Request& request,
                                      std::vector<std::string>& warnings) {
  if (!request.vae_tiling) return std::nullopt;
  const int64_t exact = exact_overlap(model);
  TileSize tiles{.size = request.vae_tile_size.value_or(usual_tile_size)};
  tiles.overlap = request.vae_tile_overlap.value_or(std::max(exact, std::min(usual_tile_overlap, tiles.size / 2)));
  const int64_t unit = model.vae.factor();
  if (tiles.overlap + unit > tiles.size) {
    const bool said = request.vae_tile_overlap.has_value();
    refuse(said ? overlap_flag : size_flag,
           said ? fmt::format("{} pixels leave less than {} of a tile's {}", tiles.overlap, unit, tiles.size)
                : fmt::format("tiles of {} pixels are too small: neighbours share {}", tiles.size, tiles.overlap),
           said ? fmt::format("{} at most", tiles.size - unit)
                : fmt::format("{} or more; pixels are meant, where stable-diffusion.cpp counts the latent's",
                              tiles.overlap + unit));
  }
  if (tiles.overlap < exact) {
    warnings.push_back(fmt::format("{} {}: the VAE sees across {} pixels; with less, seams may show", overlap_flag,
                                   tiles.overlap, exact));
  }
  return tiles;
}

std::optional<TileSize> smaller_tiles(const ModelDescription& model, int64_t height, int64_t width,
                                      const std::optional<TileSize>& now) {
  const int64_t most = std::min(std::max(height, width), now ? now->size : usual_tile_size + 1),
                shared = exact_overlap(model);
  int64_t size = usual_tile_size;
  while (size >= most) size /= 2;
  if (size < 2 * shared) return std::nullopt;  // more would be computed twice than once
  return TileSize{.size = size, .overlap = std::max(shared, std::min(usual_tile_overlap, size / 2))};
}

bool TileFallback::shrink() {
  const auto smaller = smaller_tiles(model_, height_, width_, tiles_);
  if (smaller) tiles_ = smaller;
  needed_ = needed_ || smaller.has_value();
  return smaller.has_value();
}

void TileFallback::tell() const {
  release_device_memory(device_);
  log_warning(fmt::format("out of memory in the VAE: again in tiles of {} pixels", tiles_->size));
}

}  // namespace sdtorch
