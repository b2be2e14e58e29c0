// What guidance and shortcuts change in a U-Net's attention layers, or take from them.
#pragma once

#include <ATen/ATen.h>

#include <cstdint>
#include <set>
#include <string>
#include <vector>

#include "networks/config.hpp"
#include "networks/context_gate.hpp"
#include "networks/hypernetwork.hpp"
#include "networks/token_merging.hpp"

namespace sdtorch {

class CrossAttentionImpl;
class UNet2DConditionModel;

/// For one call of the network.
struct SelfAttentionHooks {
  /// Layers in which, from row `first_perturbed` of the batch on, each position attends to itself alone: the map is the
  /// identity (Ahn et al. 2024, "Self-Rectifying Diffusion Sampling with Perturbed-Attention Guidance", eq. 13).
  std::set<const CrossAttentionImpl*> perturbed{};
  int64_t first_perturbed = 0;
  const CrossAttentionImpl* observed = nullptr;  ///< the layer whose map is asked for
  at::Tensor map{};                              ///< of `observed`: fp32 [rows, heads, L, L], of the rows that attend
  TokenMerging* merging = nullptr;               ///< before self-attention; may be none
  ContextGate* gate = nullptr;                   ///< before attention to the context; may be none
  const HypernetworkCall* hypernetworks = nullptr;  ///< change what all layers make keys and values from; may be none

  /// Whether there is any that acts on all layers.
  bool acts() const { return merging || gate || hypernetworks; }
};

/// Keys of all self-attention layers: `mid_block.attentions.0.transformer_blocks.0.attn1`. Layers that look at the
/// context in place of the picture are none.
std::vector<std::string> self_attention_layers(const UNetConfig& config);

/// Key of the mid block's first one, which self-attention guidance looks at; empty: there is none.
std::string middle_self_attention(const UNetConfig& config);

/// The layer of a key of self_attention_layers.
const CrossAttentionImpl* find_self_attention(const UNet2DConditionModel& unet, const std::string& key);

}  // namespace sdtorch
