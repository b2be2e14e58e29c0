#include "networks/quantized_layers.hpp"

#include <algorithm>
#include <array>
#include <string>
#include <string_view>

namespace sdtorch {
namespace {

bool stays_exact(const std::string& key) {
  constexpr std::array<std::string_view, 7> parts{"conv_in",       "conv_out",   "time_embedding", "add_embedding",
                                                  "time_emb_proj", "attn2.to_k", "attn2.to_v"};
  return std::ranges::any_of(parts, [&](std::string_view part) { return key.find(part) != std::string::npos; });
}

}  // namespace

void quantize(UNet2DConditionModel& unet, Quantization quantization) {
  for (const auto& module : unet.named_modules()) {
    if (stays_exact(module.key())) continue;
    if (auto* linear = module.value()->as<LinearImpl>()) linear->quantize(quantization);
    if (auto* convolution = module.value()->as<Conv2dImpl>()) convolution->quantize(quantization);
  }
}

}  // namespace sdtorch
