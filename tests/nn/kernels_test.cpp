// Our own kernels against float64, on shapes that fill no block and on those that do.
#include <ATen/ATen.h>

#include <tuple>
#include <vector>

#include "core/instructions.hpp"
#include "nn/activation.hpp"
#include "nn/attention.hpp"
#include "nn/cpu/attention_kernel.hpp"
#include "nn/cpu/gated_gelu.hpp"
#include "nn/cpu/group_norm.hpp"
#include "nn/cpu/winograd.hpp"
#include "support/catch.hpp"
#include "support/exact_attention.hpp"
#include "support/tolerance.hpp"

namespace sdtorch {
namespace {

at::Tensor exact(const at::Tensor& x) { return x.to(at::kDouble); }

double distance(const at::Tensor& x, const at::Tensor& reference) {
  return ((exact(x) - reference).norm() / reference.norm()).item<double>();
}

/// Those that this machine has.
std::vector<cpu::AttentionUnit> units() {
  std::vector<cpu::AttentionUnit> all;
  if (has_avx512_bf16()) all.push_back(cpu::AttentionUnit::avx512_bf16);
  if (has_amx_bf16()) all.push_back(cpu::AttentionUnit::amx_bf16);
  return all;
}

at::Tensor random(at::IntArrayRef shape, at::ScalarType type) { return at::randn(shape, at::kFloat).to(type); }

}  // namespace

TEST_CASE("blocked attention is exact attention but for bf16's rounding", "[nn]") {
  at::manual_seed(5);
  struct Case {
    int64_t batch, heads, queries, keys, head_size;
    double loudness;  // of the queries: how far the scores lie apart
  };
  for (const Case& c : {Case{1, 1, 1, 1, 2, 1}, Case{2, 3, 65, 77, 40, 1}, Case{1, 2, 64, 64, 64, 1},
                        Case{2, 2, 130, 129, 80, 1}, Case{1, 1, 3, 200, 160, 1}, Case{1, 2, 100, 63, 6, 1},
                        Case{1, 1, 70, 1000, 256, 1}, Case{1, 2, 96, 300, 40, 30}, Case{1, 1, 33, 2, 18, 5}}) {
    const int64_t width = c.heads * c.head_size;
    const at::Tensor q = random({c.batch, c.queries, width}, at::kBFloat16) * c.loudness;
    const at::Tensor k = random({c.batch, c.keys, width}, at::kBFloat16),
                     v = random({c.batch, c.keys, width}, at::kBFloat16);
    const at::Tensor reference = exact_attention(q, k, v, c.heads);
    REQUIRE(cpu::blocked_attention_takes(q, k, v, c.heads));
    for (const cpu::AttentionUnit unit : units()) {
      INFO(c.queries << " queries, " << c.keys << " keys, heads of " << c.head_size << ", unit "
                     << static_cast<int>(unit));
      const at::Tensor mixed = cpu::blocked_attention(q, k, v, c.heads, unit);
      CHECK(mixed.is_contiguous());
      CHECK(distance(mixed, reference) < tolerance::bf16_rounding);
    }
  }
}

TEST_CASE("blocked attention takes rows of a wider tensor, and scores of any size", "[nn]") {
  at::manual_seed(6);
  const at::Tensor all = random({2, 70, 3 * 48}, at::kBFloat16);
  const auto parts = all.chunk(3, -1);
  const at::Tensor lowered =
      at::cat({parts[1].narrow(1, 0, 69), parts[1].narrow(1, 69, 1) * 100}, 1);  // the last key wins
  for (const cpu::AttentionUnit unit : units()) {
    CHECK(distance(cpu::blocked_attention(parts[0], parts[1], parts[2], 2, unit),
                   exact_attention(parts[0], parts[1], parts[2], 2)) < tolerance::bf16_rounding);
    CHECK(distance(cpu::blocked_attention(parts[0] * 50, lowered, parts[2], 2, unit),
                   exact_attention(parts[0] * 50, lowered, parts[2], 2)) < tolerance::bf16_rounding);
  }
}

TEST_CASE("blocked attention leaves to others what it is not for", "[nn]") {
  const at::Tensor x = at::zeros({1, 4, 12}, at::kBFloat16);
  CHECK(cpu::blocked_attention_takes(x, x, x, 2));
  CHECK_FALSE(cpu::blocked_attention_takes(x, x, x, 4));  // heads of three
  CHECK_FALSE(cpu::blocked_attention_takes(x.to(at::kFloat), x, x, 2));
  CHECK_FALSE(cpu::blocked_attention_takes(x, x.narrow(1, 0, 0), x.narrow(1, 0, 0), 2));  // no keys
  CHECK_FALSE(cpu::blocked_attention_takes(x, x, at::zeros({1, 12, 4}, at::kBFloat16).transpose(1, 2), 2));
  const at::Tensor wide = at::zeros({1, 4, 258}, at::kBFloat16);
  CHECK_FALSE(cpu::blocked_attention_takes(wide, wide, wide, 1));
}

TEST_CASE("Winograd's filters convolve as the weights that they are of", "[nn]") {
  at::manual_seed(8);
  for (const auto& [batch, in, out, height, width] :
       {std::tuple(1, 16, 64, 1, 1), std::tuple(2, 48, 192, 5, 7), std::tuple(1, 64, 128, 33, 2),
        std::tuple(3, 320, 64, 16, 18), std::tuple(2, 2560, 256, 17, 18)}) {
    const at::Tensor x = random({batch, in, height, width}, at::kBFloat16).contiguous(at::MemoryFormat::ChannelsLast);
    const at::Tensor weight = random({out, in, 3, 3}, at::kBFloat16), bias = random({out}, at::kBFloat16);
    if (!cpu::can_filter(weight, 1, 1)) continue;  // another kind of CPU
    const at::Tensor filters = cpu::pack_filters(weight);
    const at::Tensor y = cpu::filtered(x, filters, bias);
    CHECK(y.is_contiguous(at::MemoryFormat::ChannelsLast));
    CHECK(distance(y, at::conv2d(exact(x), exact(weight), exact(bias), 1, 1)) < tolerance::bf16_filtering);
    CHECK(distance(cpu::filtered(x, filters, {}), at::conv2d(exact(x), exact(weight), {}, 1, 1)) <
          tolerance::bf16_filtering);
    const at::Tensor doubled =
        at::upsample_nearest2d(x, {2 * height, 2 * width}).contiguous(at::MemoryFormat::ChannelsLast);
    CHECK(at::equal(cpu::filtered_doubled(x, filters, bias), cpu::filtered(doubled, filters, bias)));
    CHECK(at::equal(cpu::weight_of_filters(filters), weight));
    CHECK_FALSE(cpu::can_filter(weight, 2, 1));
    CHECK_FALSE(cpu::can_filter(weight.to(at::kFloat), 1, 1));
    CHECK_FALSE(cpu::can_filter(weight.narrow(0, 0, 40), 1, 1));
  }
}

TEST_CASE("group norm of innermost channels is exact group norm", "[nn]") {
  at::manual_seed(7);
  for (const auto& [type, near] : {std::pair(at::kFloat, 1e-5), std::pair(at::kBFloat16, tolerance::bf16_rounding)}) {
    for (const auto& [batch, channels, groups, height, width] :
         {std::tuple(1, 4, 2, 1, 1), std::tuple(2, 12, 3, 5, 7), std::tuple(1, 32, 32, 9, 9),
          std::tuple(3, 40, 4, 16, 33)}) {
      for (const double mean : {0.0, 300.0}) {
        INFO(c10::toString(type) << ", " << channels << " channels, " << height << " × " << width << ", mean " << mean);
        const at::Tensor x = (random({batch, channels, height, width}, at::kFloat) + mean).to(type);
        const at::Tensor weight = random({channels}, type), bias = random({channels}, type);
        const at::Tensor shift = random({batch, channels}, type);
        const cpu::GroupNormParameters parameters{weight, bias, groups, 1e-5, false};
        const auto reference = [&](const at::Tensor& of) {
          return at::group_norm(of, groups, exact(weight), exact(bias), 1e-5);
        };
        const at::Tensor plain = cpu::group_norm(x, parameters, {});
        CHECK(plain.is_contiguous(at::MemoryFormat::ChannelsLast));
        CHECK(distance(plain, reference(exact(x))) < near);
        const at::Tensor shifted = exact(x) + exact(shift).unflatten(1, {-1, 1, 1});
        CHECK(distance(cpu::group_norm(x, parameters, shift), reference(shifted)) < near);
        CHECK(distance(cpu::group_norm(x, {weight, bias, groups, 1e-5, true}, {}), at::silu(reference(exact(x)))) <
              near);
      }
    }
  }
}

TEST_CASE("group norm keeps not a number and infinity to their group", "[nn]") {
  at::Tensor x = at::ones({1, 4, 2, 3}, at::kBFloat16);
  x[0][3][1][2] = NAN;
  const at::Tensor y =
      cpu::group_norm(x, {at::ones({4}, at::kBFloat16), at::zeros({4}, at::kBFloat16), 2, 1e-5, true}, {});
  CHECK(y.narrow(1, 0, 2).isfinite().all().item<bool>());
  CHECK(y.narrow(1, 2, 2).isnan().all().item<bool>());
}

TEST_CASE("gated GELU is exact but for bf16's rounding", "[nn]") {
  at::manual_seed(9);
  for (const int64_t width : {1, 7, 64, 321}) {
    const at::Tensor x = random({2, 5, 2 * width}, at::kBFloat16) * 3;
    const auto halves = exact(x).chunk(2, -1);
    CHECK(distance(cpu::gated_gelu(x), halves[0] * at::gelu(halves[1])) < tolerance::bf16_rounding);
  }
  const at::Tensor tails = at::tensor({1.0F, 1.0F, 1.0F, 1.0F, -20.0F, 20.0F, -200.0F, 0.0F}).to(at::kBFloat16);
  const at::Tensor y = cpu::gated_gelu(tails).to(at::kFloat);
  CHECK(y[0].item<float>() == Approx(0).margin(1e-6));
  CHECK(y[1].item<float>() == Approx(20));
  CHECK(y[2].item<float>() == Approx(0).margin(1e-6));
  CHECK(y[3].item<float>() == 0);
}

}  // namespace sdtorch
