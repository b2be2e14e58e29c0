#include "pipeline/tiling.hpp"

#include <fmt/format.h>

#include <algorithm>

#include "core/error.hpp"
#include "networks/vae_tiles.hpp"
#include "networks/vae_tiny.hpp"

namespace sdtorch {
namespace {

constexpr const char *size_flag = "--vae-tile-size", *overlap_flag = "--vae-tile-overlap";

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
  const int64_t exact =
      std::max(exact_tile_overlap(model.vae), model.tiny_vae ? exact_tile_overlap(model.tiny_vae->config) : int64_t{0});
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

}  // namespace sdtorch
