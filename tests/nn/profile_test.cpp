#include "core/profile.hpp"

#include <ATen/ATen.h>

#include <chrono>
#include <map>
#include <vector>

#include "nn/attention.hpp"
#include "nn/conv.hpp"
#include "nn/linear.hpp"
#include "nn/norm.hpp"
#include "nn/standardized_conv.hpp"
#include "support/catch.hpp"

using namespace sdtorch;

namespace {

struct KindTotal {
  int64_t calls = 0;
  double flops = 0;
  double seconds = 0;
};

std::map<LayerKind, KindTotal> totals(const std::vector<LayerCost>& costs) {
  std::map<LayerKind, KindTotal> by_kind;
  for (const LayerCost& cost : costs) {
    KindTotal& total = by_kind[cost.kind];
    total.calls += cost.calls;
    total.flops += cost.product.flops() * static_cast<double>(cost.calls);
    total.seconds += cost.seconds;
  }
  return by_kind;
}

}  // namespace

TEST_CASE("a profile counts calls and operations of each kind of layer", "[nn]") {
  const at::NoGradGuard no_grad;
  const Conv2d conv(3, 5, 3, Conv2dOptions{.stride = 2, .padding = 1});
  const StandardizedConv2d standardized(3, 5, 3, 2, 1e-5);
  const ConvTranspose2d transposed(3, 5, 2);
  const Linear linear(7, 11);
  const GroupNorm norm(1, 3, 1e-5);
  const LayerNorm layer_norm(7, 1e-5);
  const at::Tensor picture = at::zeros({2, 3, 9, 8}), rows = at::zeros({2, 4, 7});
  const at::Tensor q = at::zeros({2, 6, 8}), k = at::zeros({2, 10, 8});

  LayerProfile profile;
  conv(picture);
  conv(picture);
  auto by_kind = totals(profile.take());
  CHECK(by_kind[LayerKind::convolution].calls == 2);
  CHECK(by_kind[LayerKind::convolution].flops == 2.0 * 2 * (2 * 5 * 4) * (3 * 9) * 5);

  standardized(picture);
  CHECK(totals(profile.take())[LayerKind::convolution].flops == 2.0 * (2 * 5 * 4) * (3 * 9) * 5);

  transposed(picture);
  CHECK(totals(profile.take())[LayerKind::convolution].flops == 2.0 * (2 * 9 * 8) * 3 * (5 * 4));

  linear(rows);
  attention(q, k, k, {.heads = 2});
  norm(picture, Activation::silu);
  layer_norm(rows);
  by_kind = totals(profile.take());
  CHECK(by_kind[LayerKind::linear].flops == 2.0 * (2 * 4) * 7 * 11);
  CHECK(by_kind[LayerKind::attention].flops == 2 * 2.0 * 2 * 6 * 10 * 8);
  CHECK(by_kind[LayerKind::norm].calls == 2);
  CHECK(by_kind[LayerKind::norm].flops == 0);
  CHECK(profile.take().empty());
}

TEST_CASE("a layer's seconds are without those of the layers inside it", "[nn]") {
  const auto wait = [](int milliseconds) {
    const auto end = std::chrono::steady_clock::now() + std::chrono::milliseconds(milliseconds);
    while (std::chrono::steady_clock::now() < end) {
    }
  };
  LayerProfile profile;
  const auto start = std::chrono::steady_clock::now();
  {
    const LayerTimer outer(LayerKind::attention);
    wait(2);
    const LayerTimer inner(LayerKind::linear);
    wait(20);
  }
  const double all = std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
  auto by_kind = totals(profile.take());
  CHECK(by_kind[LayerKind::linear].seconds >= 0.020);
  CHECK(by_kind[LayerKind::attention].seconds >= 0.002);
  CHECK(by_kind[LayerKind::attention].seconds + by_kind[LayerKind::linear].seconds <= all);
}

TEST_CASE("nothing is recorded where nobody asks", "[nn]") {
  const at::NoGradGuard no_grad;
  const Linear linear(7, 11);
  { const LayerProfile over; }
  linear(at::zeros({2, 7}));
  LayerProfile profile;
  CHECK(profile.take().empty());
  linear(at::zeros({2, 7}));
  CHECK(profile.take().size() == 1);
}

TEST_CASE("what a device has queued is waited for around each layer", "[nn]") {
  const at::NoGradGuard no_grad;
  const Linear linear(7, 11);
  int waits = 0;
  const LayerProfile profile([&] { ++waits; });
  linear(at::zeros({2, 7}));
  CHECK(waits == 2);
}
