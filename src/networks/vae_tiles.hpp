// The autoencoder's layers on tiles. A group norm takes the whole picture's mean and variance, so that what comes out
// is what the whole picture would give, to rounding, wherever a tile reaches so far beyond what is used of it as its
// convolutions see.
#pragma once

#include "networks/config.hpp"
#include "networks/resnet_block.hpp"
#include "networks/tiles.hpp"

namespace sdtorch {

/// Pixels that neighbouring tiles must share for that, decoding and encoding.
int64_t exact_tile_overlap(const VaeConfig& config);

/// Replaces each tile by what the block makes of it. Its first convolution is computed twice, for what is known of all
/// tiles before its second one, since holding it would take as much memory as the tiles.
void apply_in_tiles(const ResnetBlock2D& block, int64_t groups, TiledTensor& x);

/// The norm of moments that are known, then the activation. x: [1, C, h, w]
at::Tensor normalised(const at::Tensor& x, const GroupNorm& norm, const GroupMoments& moments, Activation activation);

}  // namespace sdtorch
