// The U-Net's way down: from the latent and the timestep to the coarsest resolution. A ControlNet (Zhang et al. 2023,
// section 3.2) is a copy of it.
#pragma once

#include <optional>
#include <vector>

#include "networks/config.hpp"
#include "networks/unet_blocks.hpp"

namespace sdtorch {

/// What a U-Net is given. B is the batch; sample, context, extra channels and residuals come in the compute type.
/// Undefined or empty: what the config does not ask for, and what is not to be added. Where nothing but context and
/// pictures tells rows apart (no pooled text, sizes, further channels or residuals, and of the hooks token merging and
/// a gate alone), sample, timestep and guidance may be those of P pictures, a divisor of B: row i is then of picture i
/// mod P, and what the rows share is computed once.
struct UNetInput {
  at::Tensor sample{};    ///< [B or P, C, h, w]; h and w are free
  at::Tensor timestep{};  ///< fp32, as many, may be fractional
  at::Tensor context{};   ///< [B, L, cross_attention_dim]

  at::Tensor pooled{};    ///< SDXL's pooled text, [B, P]
  at::Tensor time_ids{};  ///< SDXL's sizes in pixels, and a refiner's score, fp32 [B, n]
  at::Tensor guidance{};  ///< the guidance scale's embedding, fp32 [B or P, time_cond_proj_dim]

  at::Tensor extra_channels{};               ///< [B, in_channels - C, h, w], behind the sample's: a mask, a depth, …
  std::vector<at::Tensor> down_residuals{};  ///< one for each skip, from the finest on, added to it
  at::Tensor mid_residual{};                 ///< added to what the way down ends with

  SelfAttentionHooks* attention = nullptr;  ///< what guidance does to layers; may be none
  std::optional<FreeU> freeu{};
  DeepCache* deep_cache = nullptr;  ///< may be none
  ImagePrompt image{};              ///< pictures beside the context
  KeptKeys* kept_keys = nullptr;    ///< of the context, by this U-Net; may be none

  /// A T2I-Adapter's, one for each of the first down blocks, from the finest on, and one more for the mid block: added
  /// inside, so that what comes after sees them, too (see UNetDownBlock).
  std::vector<at::Tensor> block_residuals{};
};

/// Where the way down ends: at the mid block, or at a DeepCache's branch.
struct UNetDepths {
  UNetCondition condition{};        ///< for the way up
  std::vector<at::Tensor> skips{};  ///< [B or P, C, h, w] of each layer, from the finest on
  at::Tensor x{};                   ///< [B or P, C, h, w] after the mid block; undefined where a DeepCache spares it
};

/// Timestep embedding, first convolution, down blocks and mid block, registered in the network that they are part of.
class UNetDown {
 public:
  /// Registers the layers in `root` under diffusers' keys: conv_in, time_embedding, add_embedding, down_blocks,
  /// mid_block.
  UNetDown(torch::nn::Module& root, const UNetConfig& config);

  /// hint: added to the first convolution's output, [B, C, h, w] (a ControlNet's picture, embedded); undefined: none.
  /// The input's down_residuals and mid_residual are not for this part, and not looked at. Throws ErrorKind::bug for
  /// more block_residuals than blocks.
  UNetDepths operator()(const UNetInput& input, const at::Tensor& hint = {}) const;

 private:
  /// → [B, time_embedding_dim] in the sample's type
  at::Tensor embed(const UNetInput& input) const;
  /// numbers: fp32 [N] → fp32 [N, width]
  at::Tensor waves(const at::Tensor& numbers, int64_t width) const;

  UNetConfig config_;
  Linear time_linear_1_, time_linear_2_;
  Linear guidance_proj_ = nullptr;
  Linear added_linear_1_ = nullptr, added_linear_2_ = nullptr;
  Conv2d conv_in_;
  std::vector<UNetDownBlock> down_blocks_{};
  UNetMidBlock mid_block_ = nullptr;
};

}  // namespace sdtorch
