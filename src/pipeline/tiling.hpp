// In what tiles a request has its VAE work.
#pragma once

#include <optional>
#include <string>
#include <vector>

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

}  // namespace sdtorch
