// CLIP's text encoder (Radford et al. 2021), with transformers' key names.
#pragma once

#include <torch/nn/module.h>

#include "sdtorch/networks/config.hpp"

namespace sdtorch {

class ClipTextModel : public torch::nn::Module {
 public:
  explicit ClipTextModel(const ClipTextConfig& config);

  /// tokens: int64 [B, L], L <= max_position_embeddings → last hidden state after the final norm, [B, L, C].
  at::Tensor forward(const at::Tensor& tokens);

  const ClipTextConfig& config() const { return config_; }

 private:
  ClipTextConfig config_;
};

}  // namespace sdtorch
