#include "nn/cpu/packed.hpp"

#include <ATen/core/List.h>
#include <ATen/core/dispatch/Dispatcher.h>

#include <array>
#include <optional>
#include <string_view>
#include <vector>

#include "core/instructions.hpp"

namespace sdtorch::cpu {
namespace {

using Scalars = c10::List<std::optional<at::Scalar>>;

/// One of LibTorch's operators that have no C++ function.
template <class Signature>
c10::TypedOperatorHandle<Signature> find(const char* name) {
  return c10::Dispatcher::singleton().findSchemaOrThrow(name, "").typed<Signature>();
}

std::optional<at::Tensor> optional(const at::Tensor& bias) {
  return bias.defined() ? std::optional(bias) : std::nullopt;
}

bool has_operators() {
  static const bool has = at::globalContext().hasMKLDNN() &&
                          c10::Dispatcher::singleton().findSchema({"mkldnn::_linear_pointwise", ""}).has_value() &&
                          c10::Dispatcher::singleton().findSchema({"mkldnn::_reorder_linear_weight", ""}).has_value();
  return has;
}

bool multiplies_bf16(const at::Tensor& weight) {
  return weight.is_cpu() && weight.scalar_type() == at::kBFloat16 && has_avx512_bf16();
}

bool is_convolved_by_onednn(const at::Tensor& weight) {
  const bool type = multiplies_bf16(weight) || (weight.is_cpu() && weight.scalar_type() == at::kFloat);
  return type && has_operators() && weight.numel() > 0;
}

}  // namespace

bool can_pack_linear(const at::Tensor& weight) {
  return multiplies_bf16(weight) && has_operators() && weight.numel() > 0;
}

at::Tensor pack_linear(const at::Tensor& weight) {
  using Pack = at::Tensor(const at::Tensor&, std::optional<int64_t>);
  static const auto pack = find<Pack>("mkldnn::_reorder_linear_weight");
  return pack.call(weight, std::nullopt);
}

at::Tensor packed_linear(const at::Tensor& x, const at::Tensor& packed, const at::Tensor& bias) {
  using Apply = at::Tensor(const at::Tensor&, const at::Tensor&, const std::optional<at::Tensor>&, std::string_view,
                           Scalars, std::optional<std::string_view>);
  static const auto apply = find<Apply>("mkldnn::_linear_pointwise");
  return apply.call(x, packed, optional(bias), "none", Scalars(), "");
}

bool can_pack_convolution(const at::Tensor& weight) {
  constexpr int64_t largest_block = 64;
  return is_convolved_by_onednn(weight) && weight.size(0) % largest_block == 0;
}

at::Tensor pack_convolution(const at::Tensor& weight, int64_t stride, int64_t padding, at::IntArrayRef sizes) {
  using Pack = at::Tensor(const at::Tensor&, c10::SymIntArrayRef, c10::SymIntArrayRef, c10::SymIntArrayRef, c10::SymInt,
                          c10::OptionalArrayRef<c10::SymInt>);
  static const auto pack = find<Pack>("mkldnn::_reorder_convolution_weight");
  // Told no size of picture, oneDNN chooses a poor order for kernels of one pixel.
  const std::vector<c10::SymInt> strides(2, stride), paddings(2, padding), dilations(2, 1);
  const std::vector<c10::SymInt> input{sizes[0], weight.size(1), sizes[2], sizes[3]};
  return pack.call(weight, paddings, strides, dilations, 1, c10::SymIntArrayRef(input));
}

at::Tensor packed_convolution(const at::Tensor& x, const at::Tensor& packed, const at::Tensor& bias, int64_t stride,
                              int64_t padding) {
  using Apply = at::Tensor(const at::Tensor&, const at::Tensor&, const std::optional<at::Tensor>&, c10::SymIntArrayRef,
                           c10::SymIntArrayRef, c10::SymIntArrayRef, c10::SymInt, std::string_view, Scalars,
                           std::optional<std::string_view>);
  static const auto apply = find<Apply>("mkldnn::_convolution_pointwise");
  const std::array<c10::SymInt, 2> strides{stride, stride}, paddings{padding, padding}, dilations{1, 1};
  return apply.call(x, packed, optional(bias), paddings, strides, dilations, 1, "none", Scalars(), "");
}

bool can_pack_by_size(const at::Tensor& weight) {
  constexpr int64_t most = int64_t{1} << 20;  // of a larger one, the product takes far longer than the packing
  return is_convolved_by_onednn(weight) && weight.numel() <= most;
}

at::Tensor PackedBySize::of(const at::Tensor& weight, int64_t stride, int64_t padding, at::IntArrayRef sizes) {
  const std::lock_guard lock(mutex_);
  if (!packed_.defined() || sizes != at::IntArrayRef(sizes_)) {
    packed_ = pack_convolution(weight, stride, padding, sizes);
    sizes_ = sizes.vec();
  }
  return packed_;
}

}  // namespace sdtorch::cpu
