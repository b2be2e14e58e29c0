#include "nn/fp8.hpp"

#include <ATen/ATen.h>

#include <cmath>
#include <limits>
#include <vector>

#include "nn/linear.hpp"
#include "support/catch.hpp"
#include "support/cuda.hpp"
#include "support/golden.hpp"
#include "support/tolerance.hpp"

using namespace sdtorch;

namespace {

/// All numbers of E4M3 from 0 on, by the format's definition: a bias of 7, subnormals, no infinity, one NaN.
std::vector<double> magnitudes() {
  std::vector<double> all;
  for (int bits = 0; bits < 0x7f; ++bits) {
    const int exponent = bits >> 3, fraction = bits & 7;
    all.push_back(exponent == 0 ? std::ldexp(fraction, -9) : std::ldexp(8 + fraction, exponent - 10));
  }
  return all;
}

/// The rows' numbers as products see them, in float64: the nearest of E4M3's to x / scale, the even one where two are
/// as near, times the scale.
at::Tensor as_rounded(const at::Tensor& x) {
  const at::Tensor rows = x.to(at::kFloat).reshape({-1, x.size(-1)});
  const at::Tensor scales = rows.abs().amax(1, true).div(448);
  const at::Tensor grid = at::tensor(magnitudes(), at::kDouble), odd = at::arange(grid.size(0)).remainder(2) * 1e-12;
  const at::Tensor wanted = (rows / scales).abs().to(at::kDouble);
  const at::Tensor nearest = ((wanted.unsqueeze(2) - grid).abs() + odd).argmin(2);
  return (grid.index({nearest}) * rows.sign() * scales.to(at::kDouble)).view(x.sizes());
}

}  // namespace

TEST_CASE("linear layers in fp8 are the exact products of what is rounded, to bf16", "[nn]") {
  CHECK(magnitudes().back() == 448);
  at::manual_seed(6);
  for (const at::ScalarType type : {at::kFloat, at::kBFloat16, at::kHalf}) {
    for (const bool bias : {true, false}) {
      INFO(c10::toString(type) << (bias ? " with" : " without") << " bias");
      Linear linear(64, 48, LinearOptions{.bias = bias});
      linear->weight.set_data(at::randn({48, 64}).to(type));
      if (bias) linear->bias.set_data(at::randn({48}).to(at::kBFloat16).to(type));
      const at::Tensor weight = as_rounded(linear->weight);
      const at::Tensor x = (at::randn({2, 5, 64}) * at::tensor({1.0F, 30.0F}).view({2, 1, 1})).to(type);
      linear->quantize(Quantization::fp8);
      linear->prepare({.dtype = type, .device = at::kCPU});
      linear->prepare({.dtype = type, .device = at::kCPU});
      CHECK(linear->weight.sizes() == at::IntArrayRef{48, 64});
      const at::Tensor y = linear(x);
      CHECK(y.scalar_type() == type);
      const at::Tensor expected = at::linear(as_rounded(x), weight, bias ? linear->bias.to(at::kDouble) : at::Tensor());
      CHECK(((y.to(at::kDouble) - expected).abs() <= expected.abs() * tolerance::bf16_rounding + 1e-4)
                .all()
                .item<bool>());
      CHECK(at::equal(linear(x.narrow(0, 1, 1)), y.narrow(0, 1, 1)));  // the same in any batch
    }
  }
}

TEST_CASE("tokens of a picture whose channels lie outermost are whole rows in fp8, too", "[nn]") {
  const at::Tensor x = at::randn({1, 32, 4, 4}).permute({0, 2, 3, 1}).flatten(1, 2);
  REQUIRE_FALSE(x.is_contiguous());
  const RoundedToFp8 rounded = rounded_to_fp8(x), dense = rounded_to_fp8(x.contiguous());
  CHECK(rounded.values.is_contiguous());
  CHECK(rounded.scales.is_contiguous());
  CHECK(at::equal(rounded.values.to(at::kFloat), dense.values.to(at::kFloat)));
}

TEST_CASE("what fp8 products do not take stays as it is", "[nn]") {
  Linear odd(20, 48, LinearOptions{.bias = false});
  odd->weight.set_data(at::randn({48, 20}));
  const at::Tensor x = at::randn({3, 20}), exact = at::linear(x, odd->weight.clone());
  odd->quantize(Quantization::fp8);
  odd->prepare({.dtype = at::kFloat, .device = at::kCPU});
  CHECK(relative_error(odd(x), exact) < 1e-6);

  const RoundedToFp8 zeros = rounded_to_fp8(at::zeros({2, 16}));
  CHECK(at::equal(zeros.values.to(at::kFloat), at::zeros({2, 16})));
  const at::Tensor infinite = at::full({1, 16}, std::numeric_limits<float>::infinity());
  CHECK(rounded_to_fp8(infinite).values.to(at::kFloat).isnan().all().item<bool>());  // and is seen as such
}

TEST_CASE("devices say whether they have products of eight bits", "[nn]") {
  CHECK(quantization_of("fp8") == Quantization::fp8);
  CHECK(quantization_of("int8") == Quantization::int8);
  CHECK(quantization_of("") == Quantization::none);
  CHECK(has_products(Quantization::fp8, at::kCPU));
  CHECK(has_products(Quantization::none, at::Device(at::kCUDA, 0)));
  CHECK_FALSE(has_products(Quantization::int8, at::Device(at::kCUDA, 0)));
}

TEST_CASE("on CUDA fp8 gives what the CPU imitates", "[nn][cuda]") {
  if (no_cuda_device() || !has_products(Quantization::fp8, at::Device(at::kCUDA, 0))) return;
  at::manual_seed(7);
  const at::Tensor weight = at::randn({48, 64}).to(at::kHalf), bias = at::randn({48}).to(at::kHalf);
  const at::Tensor x = at::randn({2, 5, 64}).to(at::kHalf);
  const at::Tensor here = Fp8Weights(weight, bias).multiply(x);
  const at::Tensor there = Fp8Weights(weight.to(at::kCUDA), bias.to(at::kCUDA)).multiply(x.to(at::kCUDA));
  CHECK(relative_error(there.cpu().to(at::kFloat), here.to(at::kFloat)) <= tolerance::bf16_rounding);
}
