#include "nn/linear.hpp"

#include <ATen/ATen.h>
#include <c10/core/InferenceMode.h>

#include <cstdint>

#include "core/profile.hpp"
#include "nn/cpu/packed.hpp"
#include "nn/fp8.hpp"
#include "nn/int8.hpp"
#include "nn/recorded.hpp"

namespace sdtorch {

LinearImpl::LinearImpl(int64_t in, int64_t out, LinearOptions options)
    : weight(register_parameter("weight", at::empty({out, in}), /*requires_grad=*/false)) {
  if (options.bias) bias = register_parameter("bias", at::empty({out}), /*requires_grad=*/false);
}

at::Tensor LinearImpl::forward(const at::Tensor& x) const {
  const LayerTimer timer(LayerKind::linear,
                         {.rows = x.numel() / weight.size(1), .inner = weight.size(1), .columns = weight.size(0)});
  if (quantized_) return quantized_->multiply(x);
  if (!weight.is_mkldnn()) return at::linear(x, weight, bias);
  return recorded(x) ? at::linear(x, weight.to_dense(), bias) : cpu::packed_linear(x, weight, bias);
}

void LinearImpl::prepare(const Placement& to) {
  if (quantized_ || weight.is_mkldnn()) return;
  // Matrix products may round by where in memory a matrix begins (MKL's documentation of reproducibility): a model must
  // not draw otherwise because its file's header is longer. Packed weights begin where they should.
  constexpr uintptr_t boundary = 64;  // bytes
  place(weight, to);
  if (bias.defined()) place(bias, to);
  if (quantization_ == Quantization::int8) {
    quantized_ = std::make_shared<const Int8Weights>(weight, bias);
    let_go(weight);
  } else if (quantization_ == Quantization::fp8 && Fp8Weights::take(weight)) {
    quantized_ = std::make_shared<const Fp8Weights>(weight, bias);
    let_go(weight);
  } else if (cpu::can_pack_linear(weight)) {
    parameters_["weight"] = weight = cpu::pack_linear(weight);
  } else if (weight.is_cpu() && reinterpret_cast<uintptr_t>(weight.const_data_ptr()) % boundary != 0) {
    const c10::InferenceMode same_kind(weight.is_inference());
    weight.set_data(weight.detach().clone());
  }
}

void LinearImpl::renew() {
  quantized_.reset();
  if (weight.is_mkldnn()) parameters_["weight"] = weight = at::empty({0});
}

}  // namespace sdtorch
