#include "nn/int8.hpp"

#include <ATen/Parallel.h>
#include <ATen/core/dispatch/Dispatcher.h>

#include <algorithm>
#include <utility>
#include <vector>

#include "core/error.hpp"
#include "core/instructions.hpp"
#include "nn/cpu/rounding.hpp"

namespace sdtorch {
namespace {

constexpr float most = 127;
constexpr int64_t middle = 128;  // what stands for 0: oneDNN's quick products are those of unsigned by signed ones
constexpr int64_t grain = 1 << 14;

const char* const product_op = "onednn::qlinear_pointwise";
const char* const convolution_op = "onednn::qconv2d_pointwise";

/// Operators that LibTorch has no C++ functions for.
at::Tensor call(const char* name, std::vector<c10::IValue> arguments) {
  c10::Dispatcher::singleton().findSchemaOrThrow(name, "").callBoxed(arguments);
  return arguments.front().toTensor();
}

/// How both end: the output's scale and zero, its type, and nothing done to it.
void push_output(std::vector<c10::IValue>& arguments, at::ScalarType type) {
  arguments.insert(arguments.end(),
                   {1.0, int64_t{0}, static_cast<int64_t>(type), "none", c10::List<std::optional<at::Scalar>>(), ""});
}

/// One that the type holds, and never 0.
template <typename T>
T scale_for(float largest_number) {
  constexpr float least = 1e-6F;
  return static_cast<T>(std::max(largest_number / most, least));
}

template <typename T>
void round_rows(const T* x, int64_t rows, int64_t count, uint8_t* to, T* scales) {
  if (rows >= at::get_num_threads() * 8) {
    at::parallel_for(0, rows, std::max<int64_t>(grain / count, 1), [&](int64_t begin, int64_t end) {
      for (int64_t row = begin; row < end; ++row) {
        scales[row] = scale_for<T>(cpu::largest_magnitude(x + row * count, count));
        cpu::round_to_bytes(x + row * count, count, static_cast<float>(scales[row]), to + row * count);
      }
    });
    return;
  }
  for (int64_t row = 0; row < rows; ++row) {
    const T* own = x + row * count;
    const float found = at::parallel_reduce(
        0, count, grain, 0.0F,
        [&](int64_t begin, int64_t end, float before) {
          return std::max(before, cpu::largest_magnitude(own + begin, end - begin));
        },
        [](float a, float b) { return std::max(a, b); });
    scales[row] = scale_for<T>(found);
    at::parallel_for(0, count, grain, [&](int64_t begin, int64_t end) {
      cpu::round_to_bytes(own + begin, end - begin, static_cast<float>(scales[row]), to + row * count + begin);
    });
  }
}

}  // namespace

bool has_int8_products() {
  auto& dispatcher = c10::Dispatcher::singleton();
  const bool there = dispatcher.findSchema({product_op, ""}) && dispatcher.findSchema({convolution_op, ""});
  return there && has_avx512_vnni();  // without them oneDNN's would be its reference, a thousand times slower
}

RoundedToInt8 rounded_to_int8(const at::Tensor& x, int64_t rows) {
  RoundedToInt8 rounded{.values = at::empty_like(x, at::kByte), .scales = at::empty({rows}, x.options())};
  const auto round = [&]<typename T>(const T*) {
    round_rows(x.const_data_ptr<T>(), rows, x.numel() / rows, rounded.values.mutable_data_ptr<uint8_t>(),
               rounded.scales.mutable_data_ptr<T>());
  };
  if (x.scalar_type() == at::kBFloat16) {
    round(static_cast<const at::BFloat16*>(nullptr));
  } else if (x.scalar_type() == at::kHalf) {
    round(static_cast<const at::Half*>(nullptr));
  } else if (x.scalar_type() == at::kFloat) {
    round(static_cast<const float*>(nullptr));
  } else {
    throw Error(ErrorKind::bug, {.reason = "only floats are rounded to int8"});
  }
  return rounded;
}

void Int8Weights::round(const at::Tensor& weight) {
  const at::Tensor exact = weight.detach().to(at::kFloat).contiguous();
  const RoundedToInt8 rounded = rounded_to_int8(exact, exact.size(0));
  packed_ = rounded.values.to(at::kShort).sub_(middle).to(at::kChar);
  scales_ = rounded.scales;
  zero_points_ = at::zeros({exact.size(0)}, at::kLong);
}

Int8Weights::Int8Weights(const at::Tensor& weight, const at::Tensor& bias) : bias_(bias) {
  round(weight);
  packed_ = call("onednn::qlinear_prepack", {packed_, c10::IValue()});
}

Int8Weights::Int8Weights(const at::Tensor& weight, const at::Tensor& bias, int64_t stride, int64_t padding)
    : bias_(bias), convolution_(true), stride_(stride), padding_(padding) {
  round(weight);
  const auto both = [](int64_t n) { return std::vector<int64_t>{n, n}; };
  packed_ = call("onednn::qconv_prepack",
                 {packed_, scales_, 1.0, middle, both(stride), both(padding), both(1), int64_t{1}, c10::IValue()});
}

at::Tensor Int8Weights::multiply(const at::Tensor& x) const { return convolution_ ? convolve(x) : multiply_tokens(x); }

at::Tensor Int8Weights::multiply_tokens(const at::Tensor& x) const {
  const at::Tensor tokens = x.contiguous().view({-1, x.size(-1)});
  const RoundedToInt8 rounded = rounded_to_int8(tokens, tokens.size(0));
  std::vector<c10::IValue> arguments{rounded.values, 1.0, middle, packed_, scales_, zero_points_, c10::IValue()};
  push_output(arguments, x.scalar_type());
  const at::Tensor product = call(product_op, std::move(arguments)), by = rounded.scales.unsqueeze(1);
  std::vector<int64_t> shape = x.sizes().vec();
  shape.back() = product.size(1);
  return (bias_.defined() ? at::addcmul(bias_, product, by) : product * by).view(shape);
}

at::Tensor Int8Weights::convolve(const at::Tensor& x) const {
  const RoundedToInt8 rounded = rounded_to_int8(x.contiguous(at::MemoryFormat::ChannelsLast), x.size(0));
  const auto both = [](int64_t n) { return std::vector<int64_t>{n, n}; };
  std::vector<c10::IValue> arguments{rounded.values, 1.0,           middle,         packed_, scales_,   zero_points_,
                                     c10::IValue(),  both(stride_), both(padding_), both(1), int64_t{1}};
  push_output(arguments, x.scalar_type());
  const at::Tensor product = call(convolution_op, std::move(arguments)), by = rounded.scales.view({-1, 1, 1, 1});
  return bias_.defined() ? at::addcmul(bias_.view({1, -1, 1, 1}), product, by) : product * by;
}

}  // namespace sdtorch
