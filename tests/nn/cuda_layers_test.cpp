// The layers on a GPU, our own kernels above all, against float64 on odd shapes.
#include <ATen/ATen.h>
#include <fmt/format.h>

#include <cmath>

#include "core/device.hpp"
#include "nn/attention.hpp"
#include "nn/conv.hpp"
#include "nn/cuda/layers.hpp"
#include "nn/fused.hpp"
#include "nn/norm.hpp"
#include "support/catch.hpp"
#include "support/cuda.hpp"
#include "support/golden.hpp"

using namespace sdtorch;

namespace {

const at::ScalarType gpu_types[] = {at::kFloat, at::kHalf, at::kBFloat16};

/// Of the largest value: sums in fp32, and one rounding to the type.
double allowed_on_gpu(at::ScalarType type) {
  if (type == at::kFloat) return 1e-5;
  return type == at::kHalf ? 1e-3 : 8e-3;
}

at::Tensor on_gpu(const at::Tensor& x, at::ScalarType type) { return x.to(at::kCUDA, type); }

/// As the layer sees it: rounded to the type, but exact from there on.
at::Tensor exact_of(const at::Tensor& on_device) { return on_device.to(at::kCPU, at::kDouble); }

/// A layer with random weights on the GPU.
template <typename Holder>
Holder prepared(Holder layer, at::ScalarType type) {
  for (at::Tensor& parameter : layer->parameters()) parameter.set_data(on_gpu(at::randn(parameter.sizes()), type));
  if (auto* own = dynamic_cast<Prepared*>(layer.get())) own->prepare({.dtype = type, .device = at::Device("cuda:0")});
  return layer;
}

at::Tensor exact_norm(const at::Tensor& x, const GroupNorm& norm, int64_t groups, double eps) {
  return at::group_norm(x, groups, exact_of(norm->weight), exact_of(norm->bias), eps);
}

}  // namespace

TEST_CASE("on CUDA a group norm equals float64's", "[nn][cuda]") {
  if (no_cuda_device()) return;
  at::manual_seed(21);
  const at::NoGradGuard no_grad;
  struct Case {
    int64_t batch, channels, groups, height, width;
  };
  const Case cases[] = {{2, 320, 32, 17, 5}, {1, 320, 32, 64, 64}, {3, 12, 3, 5, 7},    {1, 7, 7, 1, 1},
                        {2, 30, 5, 9, 4},    {1, 2560, 32, 8, 8},  {2, 1920, 32, 3, 3}, {1, 128, 32, 130, 129},
                        {5, 960, 32, 11, 2}, {1, 4100, 4, 3, 3},   {70, 64, 32, 4, 4},  {1, 520, 4, 6, 5}};
  for (const Case& c : cases) {
    for (const at::ScalarType type : gpu_types) {
      for (const double mean : {0.0, 50.0}) {
        INFO(fmt::format("{} {} {} {}x{} {} mean {}", c.batch, c.channels, c.groups, c.height, c.width,
                         c10::toString(type), mean));
        const GroupNorm norm = prepared(GroupNorm(c.groups, c.channels, 1e-5), type);
        const at::Tensor x = on_gpu(at::randn({c.batch, c.channels, c.height, c.width}) + mean, type);
        const at::Tensor expected = exact_norm(exact_of(x), norm, c.groups, 1e-5);
        const at::Tensor last = x.contiguous(at::MemoryFormat::ChannelsLast);
        // At fp32 the mean's own rounding is of its size.
        const double allowed = allowed_on_gpu(type) * (mean == 0 ? 1 : 4);
        CHECK(relative_error(norm(x), expected) <= allowed);
        CHECK(relative_error(norm(last), expected) <= allowed);
        CHECK(relative_error(norm(last, Activation::silu), at::silu(expected)) <= allowed);
        CHECK(relative_error(norm(last, Activation::relu), at::relu(expected)) <= allowed);
      }
    }
  }
}

TEST_CASE("on CUDA a norm adds a bias and a shift first", "[nn][cuda]") {
  if (no_cuda_device()) return;
  at::manual_seed(22);
  const at::NoGradGuard no_grad;
  for (const at::ScalarType type : gpu_types) {
    for (const int64_t channels : {320, 36}) {
      const GroupNorm norm = prepared(GroupNorm(4, channels, 1e-5), type);
      const Conv2d conv = prepared(Conv2d(5, channels, 3, Conv2dOptions{.padding = 1}), type);
      const at::Tensor x = on_gpu(at::randn({2, 5, 9, 6}), type), shift = on_gpu(at::randn({2, channels}) * 5, type);
      const at::Tensor h = at::conv2d(exact_of(x), exact_of(conv->weight), exact_of(conv->bias), 1, 1) +
                           exact_of(shift).view({2, -1, 1, 1});
      const at::Tensor expected = at::silu(exact_norm(h, norm, 4, 1e-5));
      INFO(c10::toString(type) << " " << channels);
      // The convolution's output is rounded to the type on its way.
      CHECK(relative_error(normed_conv(conv, norm, x, shift, Activation::silu), expected) <= 4 * allowed_on_gpu(type));
      const at::Tensor without = at::silu(exact_norm(h - exact_of(shift).view({2, -1, 1, 1}), norm, 4, 1e-5));
      CHECK(relative_error(normed_conv(conv, norm, x, {}, Activation::silu), without) <= 4 * allowed_on_gpu(type));
    }
  }
}

TEST_CASE("on CUDA convolutions equal float64's, onto a residual too", "[nn][cuda]") {
  if (no_cuda_device()) return;
  at::manual_seed(23);
  const at::NoGradGuard no_grad;
  use_exact_fp32();
  struct Case {
    int64_t in, out, kernel, stride, padding;
  };
  const Case cases[] = {{4, 320, 3, 1, 1}, {320, 4, 3, 1, 1}, {64, 96, 1, 1, 0}, {7, 5, 1, 1, 0},
                        {16, 24, 3, 2, 1}, {9, 11, 3, 2, 0},  {8, 8, 1, 2, 0},   {3, 128, 3, 1, 1}};
  for (const Case& c : cases) {
    for (const at::ScalarType type : gpu_types) {
      INFO(fmt::format("{} {} {} {} {} {}", c.in, c.out, c.kernel, c.stride, c.padding, c10::toString(type)));
      const Conv2d conv =
          prepared(Conv2d(c.in, c.out, c.kernel, Conv2dOptions{.stride = c.stride, .padding = c.padding}), type);
      const at::Tensor x = on_gpu(at::randn({2, c.in, 11, 6}), type);
      const at::Tensor expected =
          at::conv2d(exact_of(x), exact_of(conv->weight), exact_of(conv->bias), c.stride, c.padding);
      const at::Tensor residual = on_gpu(at::randn(expected.sizes()), type);
      const at::Tensor kept = residual.clone();
      CHECK(relative_error(conv(x), expected) <= 2 * allowed_on_gpu(type));
      CHECK(relative_error(conv_onto(conv, x, residual), expected + exact_of(residual)) <= 2 * allowed_on_gpu(type));
      CHECK(at::equal(residual, kept));
    }
  }
}

TEST_CASE("on CUDA half-precision pictures keep their channels innermost from layer to layer", "[nn][cuda]") {
  if (no_cuda_device()) return;
  const at::NoGradGuard no_grad;
  const Conv2d conv = prepared(Conv2d(8, 16, 3, Conv2dOptions{.padding = 1}), at::kHalf);
  const Conv2d point = prepared(Conv2d(16, 16, 1), at::kHalf);
  const GroupNorm norm = prepared(GroupNorm(4, 16, 1e-5), at::kHalf);
  if (!cuda::takes(conv->weight)) return;
  at::Tensor h = conv(on_gpu(at::randn({2, 8, 6, 5}), at::kHalf));
  CHECK(h.is_contiguous(at::MemoryFormat::ChannelsLast));
  h = norm(h, Activation::silu);
  CHECK(h.is_contiguous(at::MemoryFormat::ChannelsLast));
  h = point(h);
  CHECK(h.is_contiguous(at::MemoryFormat::ChannelsLast));
}

TEST_CASE("on CUDA GEGLU equals float64's", "[nn][cuda]") {
  if (no_cuda_device()) return;
  at::manual_seed(24);
  for (const at::ScalarType type : gpu_types) {
    for (const int64_t width : {1280, 20, 7, 1}) {
      const at::Tensor x = on_gpu(at::randn({2, 13, 2 * width}) * 3, type);
      const auto halves = exact_of(x).chunk(2, -1);
      INFO(c10::toString(type) << " " << width);
      CHECK(relative_error(gated_gelu(x), halves[0] * at::gelu(halves[1])) <= allowed_on_gpu(type));
      const at::Tensor part = x.narrow(1, 3, 5);  // not dense, and begins anywhere
      const auto part_halves = exact_of(part).chunk(2, -1);
      CHECK(relative_error(gated_gelu(part), part_halves[0] * at::gelu(part_halves[1])) <= allowed_on_gpu(type));
    }
  }
}

TEST_CASE("on CUDA attention equals float64's for every head size", "[nn][cuda]") {
  if (no_cuda_device()) return;
  at::manual_seed(25);
  for (const at::ScalarType type : gpu_types) {
    for (const int64_t width : {40, 64, 80, 160, 512, 12}) {
      const int64_t heads = width == 512 ? 1 : 2;
      const at::Tensor q = on_gpu(at::randn({2, 150, heads * width}), type);
      const at::Tensor k = on_gpu(at::randn({2, 77, heads * width}), type), v = on_gpu(at::randn(k.sizes()), type);
      INFO(c10::toString(type) << " " << width);
      const at::Tensor expected = attention(exact_of(q), exact_of(k), exact_of(v), {.heads = heads});
      CHECK(relative_error(attention(q, k, v, {.heads = heads}), expected) <= 4 * allowed_on_gpu(type));
    }
  }
}
