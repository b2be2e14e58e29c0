#include "nn/quantized.hpp"

#include "nn/cuda/layers.hpp"
#include "nn/int8.hpp"

namespace sdtorch {

Quantization quantization_of(std::string_view name) {
  if (name == "int8") return Quantization::int8;
  return name == "fp8" ? Quantization::fp8 : Quantization::none;
}

bool has_products(Quantization quantization, at::Device device) {
  if (quantization == Quantization::int8) return device.is_cpu() && has_int8_products();
  if (quantization == Quantization::fp8) return device.is_cpu() || cuda::multiplies_fp8(device);
  return true;
}

}  // namespace sdtorch
