// What makes tokens of a picture for the U-Net to attend to (Ye et al. 2023, "IP-Adapter: Text Compatible Image Prompt
// Adapter for Text-to-Image Diffusion Models"), with diffusers' key names.
#pragma once

#include <torch/nn/module.h>

#include <cstdint>
#include <memory>

namespace sdtorch {

/// The kinds of IP-Adapters, by what they see of a picture.
enum class IpKind {
  plain,  ///< its embedding, projected to four tokens (section 3.2.1)
  full,   ///< all states of the encoder, each projected to a token
  plus    ///< all states of the encoder, which a few learned queries look at (Alayrac et al. 2022, section 3.1.1)
};

struct IpProjectionConfig {
  IpKind kind = IpKind::plain;
  int64_t seen_width = 0;  ///< of the encoder's embedding, or of its states
  int64_t width = 0;       ///< of the tokens: the context's
  int64_t inner = 0;       ///< full: of the feed-forward layer; plus: of the queries
  int64_t tokens = 0;      ///< of a picture; full: as many as states, and 0 here

  // plus
  int64_t depth = 0;
  int64_t heads = 0;         ///< of 64 each
  int64_t feed_forward = 0;  ///< inner width
};

class IpProjection : public torch::nn::Module {
 public:
  /// seen: [B, seen_width] for a plain adapter, [B, L, seen_width] for others → [B, tokens, width].
  virtual at::Tensor forward(const at::Tensor& seen) const = 0;
};

std::shared_ptr<IpProjection> make_ip_projection(const IpProjectionConfig& config);

}  // namespace sdtorch
