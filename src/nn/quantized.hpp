// Layers that multiply 8-bit numbers in place of their own type's.
#pragma once

#include <ATen/ATen.h>

#include <string_view>

namespace sdtorch {

/// In what a layer multiplies: its own type; integers (int8.hpp); floats of eight bits (fp8.hpp), linear layers alone.
enum class Quantization { none, int8, fp8 };

/// "int8", "fp8"; none for any other name.
Quantization quantization_of(std::string_view name);

/// Whether a device has such products. On a CPU fp8 is imitated, slowly, to see what it draws. A build
/// without CUDA kernels knows of no GPU that has any.
bool has_products(Quantization quantization, at::Device device);

/// The weights of one layer, rounded to eight bits, with its bias.
class QuantizedWeights {
 public:
  virtual ~QuantizedWeights() = default;

  /// x: a linear layer's […, in] → […, out]; a convolution's [B, in, h, w] → [B, out, h', w']. In x's type.
  virtual at::Tensor multiply(const at::Tensor& x) const = 0;
};

}  // namespace sdtorch
