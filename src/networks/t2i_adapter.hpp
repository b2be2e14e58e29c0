// T2I-Adapter (Mou et al. 2023): a small network that sees the picture alone, once for all steps, and whose features
// are added inside the U-Net's blocks. With diffusers' key names.
#pragma once

#include <nlohmann/json_fwd.hpp>
#include <string>
#include <vector>

#include "core/read_options.hpp"
#include "networks/controlnet.hpp"
#include "nn/conv.hpp"

namespace sdtorch {

enum class AdapterType { full, full_xl, light };

/// diffusers' T2IAdapter.
struct T2IAdapterConfig {
  AdapterType type = AdapterType::full;
  int64_t in_channels = 3;          ///< of the picture
  std::vector<int64_t> channels{};  ///< of the features, from the finest on; a light one repeats the last
  int64_t num_res_blocks = 2;       ///< of each block
  int64_t downscale_factor = 8;     ///< pixels that one of the finest features stands for along each axis

  /// How many features there are; and for each, whether it is half the size of the one before.
  size_t features() const { return channels.size() + (type == AdapterType::light ? 1 : 0); }
  bool halves(size_t feature) const { return type == AdapterType::full_xl ? feature == 2 : feature > 0; }

  /// See ControlNetConfig's.
  static T2IAdapterConfig from_json(const nlohmann::json& json, const std::string& file,
                                    const ReadOptions& options = {});
};

/// AdapterBlock, LightAdapterBlock.
class AdapterBlockImpl : public torch::nn::Module {
 public:
  /// halve: the picture, first, by averages over 2×2 pixels.
  AdapterBlockImpl(const T2IAdapterConfig& config, int64_t in, int64_t out, bool halve);

  /// x: [B, in, h, w] → [B, out, h', w'], h' = ⌈h / 2⌉ where it halves
  at::Tensor forward(at::Tensor x) const;

 private:
  bool halve_;
  Conv2d in_conv_ = nullptr, out_conv_ = nullptr;
  std::vector<std::pair<Conv2d, Conv2d>> resnets_{};
};
using AdapterBlock = Layer<AdapterBlockImpl>;

class T2IAdapter : public torch::nn::Module {
 public:
  explicit T2IAdapter(const T2IAdapterConfig& config);

  /// picture: [B, in_channels, H, W] in 0…1, H and W multiples of downscale_factor → a U-Net's block_residuals,
  /// unscaled.
  std::vector<at::Tensor> forward(const at::Tensor& picture) const;

  /// What the features are multiplied by: diffusers has one number for all, `balanced`; sd-webui-controlnet's 0.25,
  /// 0.62, 0.825, 1 otherwise.
  std::vector<double> weights(ControlMode mode, double strength) const;

  const T2IAdapterConfig& config() const { return config_; }

 private:
  T2IAdapterConfig config_;
  Conv2d conv_in_ = nullptr;
  std::vector<AdapterBlock> body_{};
};

/// Throws ErrorKind::model, naming the adapter's `file` and key, where its features are no fit for the U-Net's blocks.
/// factor: as for a ControlNet.
void require_fit(const T2IAdapterConfig& adapter, const UNetConfig& unet, int64_t factor, const std::string& file);

}  // namespace sdtorch
