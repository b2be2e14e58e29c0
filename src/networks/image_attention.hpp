// Attention to the tokens of pictures beside that to the text (Ye et al. 2023, "IP-Adapter", section 3.2.2).
#pragma once

#include <torch/nn/module.h>

#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "networks/config.hpp"
#include "nn/linear.hpp"

namespace sdtorch {

class CrossAttentionImpl;
class UNet2DConditionModel;

/// A layer of a U-Net in which the picture attends to the text.
struct CrossAttentionPlace {
  std::string key{};  ///< mid_block.attentions.0.transformer_blocks.0.attn2
  int64_t inner = 0;  ///< width of its queries, keys and values
  int64_t context_width = 0;
};

/// All of them in the order in which IP-Adapters count them: down, up, middle.
std::vector<CrossAttentionPlace> cross_attention_places(const UNetConfig& config);

/// The keys and values that one IP-Adapter makes of a picture's tokens, `to_k_ip` and `to_v_ip` for each place, under
/// the numbers that its file has: 1, 3, 5, …
class ImageAttentionLayers : public torch::nn::Module {
 public:
  explicit ImageAttentionLayers(const std::vector<CrossAttentionPlace>& places);

  const Linear& to_k(size_t place) const { return to_k_[place]; }
  const Linear& to_v(size_t place) const { return to_v_[place]; }

  /// `1.to_k_ip.weight` of the first place.
  static std::string key_of(size_t place, const char* layer);

 private:
  std::vector<Linear> to_k_, to_v_;
};

/// One adapter, and how much it says.
struct WeightedImageAttention {
  std::shared_ptr<const ImageAttentionLayers> layers{};
  double scale = 1;  ///< 0: it is not asked
};

/// Several adapters in one U-Net.
class ImageAttention {
 public:
  ImageAttention(const UNet2DConditionModel& unet, std::vector<WeightedImageAttention> adapters);

  /// What a layer's attention to the text gave, with each adapter's on it: text + scale · attention(q, k, v).
  /// q, text: [B, L, inner]; tokens: for each adapter [B, S, context_width]. A layer that is no place of the U-Net
  /// keeps what it gave.
  at::Tensor add(const CrossAttentionImpl* layer, const at::Tensor& q, int64_t heads,
                 const std::vector<at::Tensor>& tokens, const at::Tensor& text) const;

  /// Tells it from others of the same U-Net and adapters.
  std::string name() const;

 private:
  std::map<const CrossAttentionImpl*, size_t> places_{};
  std::vector<WeightedImageAttention> adapters_;
};

/// For one call of the network.
struct ImagePrompt {
  const ImageAttention* attention = nullptr;  ///< may be none
  std::vector<at::Tensor> tokens{};           ///< for each adapter [B, S, context_width]
};

}  // namespace sdtorch
