// ControlNet (Zhang et al. 2023): a copy of the U-Net's way down that sees a picture, too, and whose layers' outputs
// are added to the U-Net's. With diffusers' key names.
#pragma once

#include <span>
#include <string>
#include <vector>

#include "networks/config.hpp"
#include "networks/unet_down.hpp"

namespace sdtorch {

/// How the residuals' strength is spread over the depths.
enum class ControlMode {
  balanced,  ///< evenly
  prompt,    ///< 0.825^(12 - i) for residual i from the finest on, the mid block's last (sd-webui-controlnet)
  control    ///< from a tenth to all of it in equal ratios, as diffusers' guess mode has it, unless they are pooled
};

/// What is added to a U-Net.
struct ControlResiduals {
  std::vector<at::Tensor>
      down{};  ///< [B, C, h, w], or [B, C, 1, 1] where pooled: one for each skip, from the finest on
  at::Tensor mid{};
};

class ControlNet : public torch::nn::Module {
 public:
  explicit ControlNet(const ControlNetConfig& config);

  /// picture: [B, conditioning_channels, H, W] in 0…1, of the compute type → [B, C, H / factor, W / factor], the hint
  /// of every step that the picture steers.
  at::Tensor embed(const at::Tensor& picture) const;

  /// input: the U-Net's; of its extra channels and residuals a ControlNet sees nothing. hint: `embed`'s, of B or of one
  /// picture for all. weights: see below. Throws ErrorKind::bug for another number of weights than residuals.
  ControlResiduals forward(const UNetInput& input, const at::Tensor& hint, std::span<const double> weights) const;

  /// One for each residual, the mid block's last. strength: 1 is as trained.
  std::vector<double> weights(ControlMode mode, double strength) const;

  const ControlNetConfig& config() const { return config_; }

 private:
  ControlNetConfig config_;
  UNetDown down_;
  Conv2d hint_in_;
  std::vector<Conv2d> hint_blocks_{};
  Conv2d hint_out_;
  std::vector<Conv2d> residual_convs_{};
  Conv2d mid_conv_;
};

/// Adds them to what the call has already: several ControlNets steer by their sum.
void add_residuals(UNetInput& call, const ControlResiduals& residuals);

/// Throws ErrorKind::model, naming the ControlNet's `file` and key, where its residuals are no fit for the U-Net or it
/// reads another text. factor: pixels that a latent pixel stands for along each axis, the VAE's.
void require_fit(const ControlNetConfig& control, const UNetConfig& unet, int64_t factor, const std::string& file);

}  // namespace sdtorch
