// `--dump`: every stage's tensors in one .safetensors file.
#pragma once

#include <ATen/ATen.h>

#include <filesystem>
#include <map>
#include <string>
#include <string_view>
#include <vector>

namespace sdtorch {

/// Collects what the batches of a run show, joined along the batch axis.
/// Keys: tokens, uncond_tokens int64 [B, 77·k]; context, uncond_context fp32 [B, 77·k, C]; SDXL's
/// pooled, uncond_pooled fp32 [B, P]; image_tokens.0, uncond_image_tokens.0…, of each IP-Adapter, fp32 [B, S, C];
/// noise fp32 [B, 4, h, w];
/// timesteps, one a U-Net call, and sigmas, one a step and the last, fp32; step.000.latent…; latent; image fp32
/// [B, 3, H, W] in 0…1.
class TensorDump {
 public:
  void add(std::string_view name, const at::Tensor& tensor);

  /// Writes the file atomically. Throws ErrorKind::output.
  void save(const std::filesystem::path& file) const;

 private:
  std::map<std::string, std::vector<at::Tensor>> batches_;
};

}  // namespace sdtorch
