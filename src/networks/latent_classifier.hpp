// A classifier of noisy latents, whose gradient guides a model to a class (Dhariwal & Nichol 2021, "Diffusion Models
// Beat GANs on Image Synthesis", section 4): the downsampling half of a U-Net, pooled.
#pragma once

#include <nlohmann/json_fwd.hpp>
#include <string>
#include <vector>

#include "networks/unet_blocks.hpp"

namespace sdtorch {

struct LatentClassifierConfig {
  int64_t in_channels = 4;                    ///< of the latents
  std::vector<int64_t> block_out_channels{};  ///< from the finest resolution to the coarsest
  int64_t layers_per_block = 1;
  int64_t norm_num_groups = 8;
  double norm_eps = 1e-5;
  Activation act_fn = Activation::silu;  ///< of the trunk; the end is always silu
  bool flip_sin_to_cos = true;
  double freq_shift = 0;
  std::vector<std::string> classes{};  ///< their names, at least two, each its own

  /// Errors as those of the other configs (config.hpp).
  static LatentClassifierConfig from_json(const nlohmann::json& json, const std::string& file,
                                          const ReadOptions& options = {});

  /// Its trunk as a U-Net's way down, without transformers.
  UNetConfig trunk() const;
};

class LatentClassifier : public torch::nn::Module {
 public:
  explicit LatentClassifier(const LatentClassifierConfig& config);

  /// x: [B, in_channels, h, w], noisy, at unit variance; timestep: fp32 [B], may be fractional → logits [B, classes].
  /// Differentiable in x.
  at::Tensor forward(const at::Tensor& x, const at::Tensor& timestep) const;

  const LatentClassifierConfig& config() const { return config_; }

 private:
  LatentClassifierConfig config_;
  Linear time_linear_1_, time_linear_2_;
  Conv2d conv_in_;
  std::vector<UNetDownBlock> down_blocks_{};
  GroupNorm norm_out_;
  Linear head_;
};

}  // namespace sdtorch
