// Cross-attention that is computed no longer: late in a run its outputs hardly change (Zhang et al. 2024, "T-GATE:
// Cross-Attention Makes Inference Cumbersome in Text-to-Image Diffusion Models").
#pragma once

#include <ATen/ATen.h>

#include <cstdint>
#include <map>

namespace sdtorch {

/// What layers gave when they last looked at the context.
class ContextGate {
 public:
  enum class Mode { open, keep, closed };  ///< as ever; keep what is given; give what was kept

  /// Forgets what was kept, unless it is to be given.
  void begin(Mode mode, int64_t pictures);

  /// The pictures of the rows of the next call of the network: int64 [B].
  void set_rows(at::Tensor picture_of_row) { picture_of_row_ = std::move(picture_of_row); }

  /// A layer's output [B, L, C]: `compute`'s, or the mean over the rows of each row's picture when outputs were kept.
  template <typename Compute>
  at::Tensor pass(const void* layer, const Compute& compute) {
    if (mode_ == Mode::closed) return kept(layer);
    at::Tensor output = compute();
    if (mode_ == Mode::keep) keep(layer, output);
    return output;
  }

 private:
  struct Kept {
    at::Tensor sum{}, rows{};  ///< [pictures, L, C], [pictures, 1, 1]
  };

  void keep(const void* layer, const at::Tensor& output);
  at::Tensor kept(const void* layer) const;

  Mode mode_ = Mode::open;
  int64_t pictures_ = 0;
  at::Tensor picture_of_row_{};
  std::map<const void*, Kept> outputs_{};
};

}  // namespace sdtorch
