#include "nn/int8.hpp"

#include <ATen/ATen.h>

#include "nn/conv.hpp"
#include "nn/linear.hpp"
#include "support/catch.hpp"
#include "support/golden.hpp"

using namespace sdtorch;

namespace {

/// What a row's numbers become, in float64.
at::Tensor as_rounded(const at::Tensor& x, int64_t rows) {
  const RoundedToInt8 rounded = rounded_to_int8(x, rows);
  std::vector<int64_t> by(static_cast<size_t>(x.dim()), 1);
  by.front() = rows;
  return (rounded.values.to(at::kDouble) - 128) * rounded.scales.to(at::kDouble).view(by);
}

Placement float_on_cpu() { return {.dtype = at::kFloat, .device = at::kCPU}; }

}  // namespace

TEST_CASE("numbers are rounded to 255 levels, each row by its own largest", "[nn]") {
  at::manual_seed(3);
  for (const at::ScalarType type : {at::kFloat, at::kBFloat16, at::kHalf}) {
    for (const auto& [rows, count] : {std::pair<int64_t, int64_t>{1, 1}, {3, 7}, {200, 33}, {2, 70'001}}) {
      const at::Tensor factors = at::logspace(-3, 3, rows).unsqueeze(1);
      const at::Tensor x = (at::randn({rows, count}) * factors).to(type);
      const at::Tensor near = as_rounded(x, rows);
      const at::Tensor scales = rounded_to_int8(x, rows).scales.to(at::kDouble).unsqueeze(1);
      const at::Tensor apart = (near - x.to(at::kDouble)).abs() / scales;
      CHECK(apart.max().item<double>() <= (type == at::kFloat ? 0.501 : 1.1));  // a scale that the type rounds may clip
      CHECK(rounded_to_int8(x, rows).values.to(at::kInt).sub(128).abs().max().item<int>() == 127);
    }
  }
  CHECK(at::equal(rounded_to_int8(at::zeros({2, 5}), 2).values, at::full({2, 5}, 128, at::kByte)));
}

TEST_CASE("layers in int8 are the exact products of what is rounded", "[nn]") {
  if (!has_int8_products()) return;
  at::manual_seed(4);
  const auto check = [](const at::Tensor& output, const at::Tensor& expected) {
    CHECK(output.sizes() == expected.sizes());
    CHECK(relative_error(output, expected.to(at::kFloat)) < 1e-5);
  };
  for (const bool bias : {true, false}) {
    Linear linear(70, 33, LinearOptions{.bias = bias});
    linear->weight.set_data(at::randn({33, 70}));
    if (bias) linear->bias.set_data(at::randn({33}));
    const at::Tensor weight = as_rounded(linear->weight, 33), x = at::randn({2, 5, 70});
    linear->quantize(Quantization::int8);
    linear->prepare(float_on_cpu());
    linear->prepare(float_on_cpu());
    CHECK(linear->weight.sizes() == at::IntArrayRef{33, 70});
    check(linear(x), at::linear(as_rounded(x.view({10, 70}), 10).view({2, 5, 70}), weight,
                                bias ? linear->bias.to(at::kDouble) : at::Tensor()));
  }
  for (const auto& [kernel, stride] : {std::pair<int64_t, int64_t>{3, 1}, {3, 2}, {1, 1}}) {
    const int64_t padding = kernel / 2;
    Conv2d conv(20, 36, kernel, Conv2dOptions{.stride = stride, .padding = padding});
    conv->weight.set_data(at::randn({36, 20, kernel, kernel}));
    conv->bias.set_data(at::randn({36}));
    const at::Tensor weight = as_rounded(conv->weight, 36);
    const at::Tensor x = at::randn({2, 20, 9, 7}) * at::tensor({1.0F, 9.0F}).view({2, 1, 1, 1});
    conv->quantize(Quantization::int8);
    conv->prepare(float_on_cpu());
    check(conv(x), at::conv2d(as_rounded(x.contiguous(at::MemoryFormat::ChannelsLast), 2), weight,
                              conv->bias.to(at::kDouble), stride, padding));
  }
}

TEST_CASE("a picture in int8 is the same in any batch", "[nn]") {
  if (!has_int8_products()) return;
  at::manual_seed(5);
  Conv2d conv(16, 24, 3, Conv2dOptions{.padding = 1});
  conv->weight.set_data(at::randn({24, 16, 3, 3}));
  conv->bias.set_data(at::randn({24}));
  conv->quantize(Quantization::int8);
  conv->prepare({.dtype = at::kBFloat16, .device = at::kCPU});
  const at::Tensor small = at::randn({1, 16, 8, 8}).to(at::kBFloat16), large = small * 50;
  CHECK(at::equal(conv(at::cat({small, large})).narrow(0, 0, 1), conv(small)));
}
