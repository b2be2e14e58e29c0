#include <ATen/ATen.h>
#include <c10/core/InferenceMode.h>

#include <algorithm>
#include <cstdint>
#include <stdexcept>
#include <string>
#include <vector>

#include "core/cancel.hpp"
#include "nn/attach.hpp"
#include "nn/conv.hpp"
#include "nn/linear.hpp"
#include "nn/norm.hpp"
#include "support/catch.hpp"
#include "support/golden.hpp"
#include "support/tolerance.hpp"

using namespace sdtorch;

namespace {

void fill(torch::nn::Module& module) {
  for (at::Tensor& parameter : module.parameters()) parameter.set_data(at::randn(parameter.sizes()));
}

}  // namespace

TEST_CASE("a layer is registered at the whole of its key", "[nn]") {
  torch::nn::Module root("root");
  attach(root, "to_out.0", Linear(2, 3));
  attach(root, "to_out.1", Linear(3, 2, LinearOptions{.bias = false}));
  attach(root, "norm", GroupNorm(1, 4, 1e-5));
  std::vector<std::string> keys = root.named_parameters().keys();
  std::sort(keys.begin(), keys.end());
  CHECK(keys ==
        std::vector<std::string>{"norm.bias", "norm.weight", "to_out.0.bias", "to_out.0.weight", "to_out.1.weight"});
  for (const at::Tensor& parameter : root.parameters()) CHECK_FALSE(parameter.requires_grad());
}

TEST_CASE("a norm with an activation is the one after the other", "[nn]") {
  at::manual_seed(1);
  const at::NoGradGuard no_grad;
  GroupNorm norm(3, 12, 1e-5);
  fill(*norm);
  const at::Tensor x = at::randn({2, 12, 5, 4});
  const at::Tensor kept = x.clone();
  for (const auto activation : {Activation::silu, Activation::gelu, Activation::gelu_tanh, Activation::quick_gelu,
                                Activation::mish, Activation::relu}) {
    const at::Tensor normed = norm(x);
    CHECK(relative_error(norm(x, activation), activate(normed, activation)) < tolerance::tensor_relative);
    CHECK(at::equal(x, kept));
  }
}

TEST_CASE("the layers are differentiable", "[nn]") {
  at::manual_seed(2);
  Conv2d conv(4, 6, 3, Conv2dOptions{.padding = 1});
  GroupNorm norm(2, 6, 1e-5);
  Linear linear(6, 6);
  for (torch::nn::Module* module : std::vector<torch::nn::Module*>{conv.get(), norm.get(), linear.get()}) {
    fill(*module);
    for (at::Tensor& parameter : module->parameters()) parameter.set_requires_grad(true);
  }
  const auto loss = [&](const at::Tensor& x) {
    return linear(norm(conv(x), Activation::silu).flatten(2).transpose(1, 2)).square().sum();
  };
  const at::Tensor x = at::randn({1, 4, 3, 3});
  loss(x).backward();
  for (at::Tensor* parameter : {&conv->weight, &conv->bias, &norm->weight, &linear->weight}) {
    REQUIRE(parameter->grad().defined());
    // Against the difference quotient along the gradient itself.
    const double slope = parameter->grad().norm().item<double>();
    const at::Tensor kept = parameter->detach().clone();
    constexpr double step = 1e-2;
    parameter->set_data(kept + step / slope * parameter->grad());
    const double ahead = loss(x).item<double>();
    parameter->set_data(kept - step / slope * parameter->grad());
    const double behind = loss(x).item<double>();
    parameter->set_data(kept);
    CHECK((ahead - behind) / (2 * step) == Approx(slope).epsilon(0.02));
  }
}

TEST_CASE("a convolution keeps its values whatever its input's memory layout", "[nn]") {
  at::manual_seed(5);
  const at::NoGradGuard no_grad;
  Conv2d conv(6, 10, 3, Conv2dOptions{.stride = 2, .padding = 1});
  fill(*conv);
  const at::Tensor x = at::randn({2, 6, 9, 7});
  const at::Tensor expected = at::conv2d(x, conv->weight, conv->bias, 2, 1);
  CHECK(relative_error(conv(x), expected) < tolerance::tensor_relative);
  CHECK(relative_error(conv(x.contiguous(at::MemoryFormat::ChannelsLast)), expected) < tolerance::tensor_relative);
  CHECK(relative_error(conv(x.transpose(2, 3).contiguous().transpose(2, 3)), expected) < tolerance::tensor_relative);
  // New weights count from the next call on.
  conv->weight.set_data(2 * conv->weight);
  conv->bias.set_data(2 * conv->bias);
  CHECK(relative_error(conv(x), 2 * expected) < tolerance::tensor_relative);
}

TEST_CASE("a convolution may be made and run in inference mode", "[nn]") {
  const c10::InferenceMode inference;
  for (const int64_t kernel : {1, 3}) {
    Conv2d conv(4, 8, kernel, Conv2dOptions{.padding = kernel / 2});
    fill(*conv);
    const at::Tensor x = at::randn({2, 4, 5, 5});
    const at::Tensor expected = at::conv2d(x, conv->weight, conv->bias, 1, kernel / 2);
    for (int call = 0; call < 2; ++call) CHECK(relative_error(conv(x), expected) < tolerance::tensor_relative);
  }
}

TEST_CASE("weights that ran in inference mode may still be changed in place", "[nn]") {
  Conv2d conv(2, 3, 3);
  conv->weight.set_data(at::ones({3, 2, 3, 3}));
  conv->bias.set_data(at::zeros({3}));
  at::Tensor before;
  {
    const c10::InferenceMode inference;
    before = conv(at::ones({1, 2, 3, 3}));
  }
  CHECK(before.sum().item<double>() == 3 * 18);
  const at::NoGradGuard no_grad;
  conv->weight.add_(1);
  CHECK(conv(at::ones({1, 2, 3, 3})).sum().item<double>() == 2 * 3 * 18);
}

TEST_CASE("a layer is prepared once: its values stay, and another time changes nothing", "[nn]") {
  at::manual_seed(7);
  const at::NoGradGuard no_grad;
  Conv2d conv(4, 64, 3);
  Linear linear(6, 5);
  fill(*conv);
  fill(*linear);
  const at::Tensor kernel = conv->weight.clone(), matrix = linear->weight.clone();
  const at::Tensor picture = at::randn({1, 4, 5, 5}), rows = at::randn({3, 6});
  const at::Tensor drawn = conv(picture), mixed = linear(rows);
  conv->prepare({});
  linear->prepare({});
  const auto values = [](const at::Tensor& weight) { return weight.is_mkldnn() ? weight.to_dense() : weight; };
  CHECK(at::equal(values(conv->weight), kernel));
  CHECK(at::equal(values(linear->weight), matrix));
  CHECK(at::allclose(conv(picture), drawn, 1e-5, 1e-6));
  CHECK(at::allclose(linear(rows), mixed, 1e-5, 1e-6));
  const at::TensorImpl* const conv_weight = conv->weight.unsafeGetTensorImpl();
  const at::TensorImpl* const linear_weight = linear->weight.unsafeGetTensorImpl();
  conv->prepare({});
  linear->prepare({});
  CHECK(conv->weight.unsafeGetTensorImpl() == conv_weight);
  CHECK(linear->weight.unsafeGetTensorImpl() == linear_weight);
  CHECK(conv->named_parameters()["weight"].unsafeGetTensorImpl() == conv_weight);
}

TEST_CASE("a small convolution is prepared for each size of picture that comes", "[nn]") {
  const auto type = GENERATE(at::kFloat, at::kBFloat16);
  at::manual_seed(7);
  const at::NoGradGuard no_grad;
  for (const auto& [out, stride] : {std::pair(12, 1), std::pair(48, 2)}) {
    Conv2d conv(16, out, 3, Conv2dOptions{.stride = stride, .padding = 1});
    fill(*conv);
    conv->weight.copy_(at::randn_like(conv->weight));
    const at::Tensor weight = conv->weight.to(type).clone(), bias = conv->bias.to(type);
    conv->prepare({.dtype = type});
    for (const auto& [batch, size] : {std::pair(1, 8), std::pair(3, 8), std::pair(1, 8), std::pair(2, 17)}) {
      const at::Tensor x = at::randn({batch, 16, size, size + 3}).to(type);
      const at::Tensor expected =
          at::conv2d(x.to(at::kDouble), weight.to(at::kDouble), bias.to(at::kDouble), stride, 1);
      const double tolerance = type == at::kFloat ? 1e-4 : 0.2;
      CHECK((conv(x).to(at::kDouble) - expected).abs().max().item<double>() < tolerance);
      CHECK(at::equal(conv(x), conv(x)));
    }
    conv->renew();
    conv->weight.set_data((2 * weight).clone());
    conv->prepare({.dtype = type});
    const at::Tensor x = at::randn({2, 16, 17, 20}).to(type);
    const at::Tensor twice = at::conv2d(x.to(at::kDouble), 2 * weight.to(at::kDouble), bias.to(at::kDouble), stride, 1);
    CHECK((conv(x).to(at::kDouble) - twice).abs().max().item<double>() < (type == at::kFloat ? 1e-4 : 0.4));
  }
}

TEST_CASE("a prepared layer can be differentiated by what it is given", "[nn]") {
  at::manual_seed(7);
  Conv2d conv(4, 64, 3);
  Linear linear(6, 5);
  fill(*conv);
  fill(*linear);
  const auto gradients = [&] {
    at::manual_seed(8);
    const at::Tensor picture = at::randn({1, 4, 5, 5}).set_requires_grad(true);
    const at::Tensor rows = at::randn({3, 6}).set_requires_grad(true);
    (conv(picture).square().sum() + linear(rows).square().sum()).backward();
    return std::pair(picture.grad(), rows.grad());
  };
  const auto before = gradients();
  conv->prepare({});
  linear->prepare({});
  const auto after = gradients();
  CHECK(at::allclose(after.first, before.first, 1e-5, 1e-5));
  CHECK(at::allclose(after.second, before.second, 1e-5, 1e-5));
}

TEST_CASE("a matrix that begins anywhere is moved to where its products do not depend on it", "[nn]") {
  const at::Tensor numbers = at::arange(31, at::kFloat);
  Linear linear(6, 5, LinearOptions{.bias = false});
  linear->weight.set_data(numbers.slice(0, 1).view({5, 6}));
  linear->prepare({});
  const bool packed = linear->weight.is_mkldnn();
  const at::Tensor weight = packed ? linear->weight.to_dense() : linear->weight;
  CHECK((packed || reinterpret_cast<uintptr_t>(weight.const_data_ptr()) % 64 == 0));
  CHECK(at::equal(weight.flatten(), numbers.slice(0, 1)));
}

TEST_CASE("a network may be left before any of its layers", "[nn]") {
  Linear linear(2, 2);
  fill(*linear);
  const CancelScope cancelled([] { throw std::runtime_error("left"); });
  CHECK_THROWS_WITH(linear(at::ones({1, 2})), "left");
}
