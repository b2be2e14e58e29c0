#include "diffusion/noise.hpp"

#include <algorithm>
#include <limits>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "support/catch.hpp"
#include "support/golden.hpp"

using sdtorch::Noise;

TEST_CASE("noise is torch's CPU generator's, bit for bit, for any seed", "[diffusion]") {
  for (const auto& [name, expected] : load_golden("diffusion/noise")) {
    INFO(name);
    Noise noise({std::stoull(name.substr(0, name.find('.')))});
    const at::IntArrayRef shape = expected.sizes().slice(2);
    CHECK(at::equal(noise.draw(shape), expected[0]));
    CHECK(at::equal(noise.draw(shape), expected[1]));
  }
}

TEST_CASE("each image of a batch has its own noise", "[diffusion]") {
  constexpr uint64_t largest = std::numeric_limits<uint64_t>::max();
  Noise batch({0, 5, largest});
  Noise first({0}), second({5}), third({largest});
  for (int draw = 0; draw < 3; ++draw) {
    const at::Tensor alone = at::cat({first.draw({4, 3, 1}), second.draw({4, 3, 1}), third.draw({4, 3, 1})});
    CHECK(at::equal(batch.draw({4, 3, 1}), alone));
  }
}

TEST_CASE("Philox gives its authors' published words", "[diffusion]") {
  using sdtorch::philox;
  using sdtorch::PhiloxBlock;
  constexpr uint32_t ones = 0xFFFFFFFF;
  CHECK(philox({0, 0, 0, 0}, {0, 0}) == PhiloxBlock{0x6627E8D5, 0xE169C58D, 0xBC57AC4C, 0x9B00DBD8});
  CHECK(philox({ones, ones, ones, ones}, {ones, ones}) == PhiloxBlock{0x408F276D, 0x41C83B0E, 0xA20BC7C6, 0x6D5451FD});
  CHECK(philox({0x243F6A88, 0x85A308D3, 0x13198A2E, 0x03707344}, {0xA4093822, 0x299F31D0}) ==
        PhiloxBlock{0xD16CFE09, 0x94FDCCEB, 0x5001E420, 0x24126EA1});
}

namespace {

constexpr double of_a_device = 2e-5;  // how far a CUDA device's own sine and logarithm may be from these

double largest_difference(const at::Tensor& a, const at::Tensor& b) {
  REQUIRE(a.sizes() == b.sizes());
  return (a - b).abs().max().item<double>();
}

/// The parts of a golden's name behind its first.
std::vector<std::string> name_parts(const std::string& name) {
  std::vector<std::string> parts;
  for (size_t start = 0; start <= name.size();) {
    const size_t end = std::min(name.find('.', start), name.size());
    parts.push_back(name.substr(start, end - start));
    start = end + 1;
  }
  return {parts.begin() + 1, parts.end()};
}

}  // namespace

TEST_CASE("noise of a CUDA device is the paper's generator and Box and Muller's numbers, draw by draw", "[diffusion]") {
  int cases = 0;
  for (const auto& [name, expected] : load_golden("compat/noise")) {
    if (!name.starts_with("philox.")) continue;
    INFO(name);
    ++cases;
    const uint64_t seed = std::stoull(name_parts(name)[0]);
    sdtorch::NormalStream stream(sdtorch::RandomSource::cuda, seed);
    Noise noise({{.seed = seed}}, {.source = sdtorch::RandomSource::cuda, .sampler = sdtorch::RandomSource::cuda});
    for (int64_t draw = 0; draw < expected.size(0); ++draw) {
      CHECK(largest_difference(stream.draw(expected.sizes().slice(1)), expected[draw]) < of_a_device);
      CHECK(largest_difference(noise.draw(expected.sizes().slice(1))[0], expected[draw]) < of_a_device);
    }
  }
  CHECK(cases == 16);
}

TEST_CASE("variations, other sizes and later draws are A1111's", "[diffusion]") {
  struct Case {
    uint64_t ensd = 0;
    std::optional<uint64_t> variation{};
    double strength = 0;
    std::vector<int64_t> other{};
  };
  const std::map<std::string, Case> cases = {
      {"plain", {}},
      {"ensd", {.ensd = 31337}},
      {"ensd_back", {.ensd = ~uint64_t{0} - 4}},
      {"variation", {.variation = 9, .strength = 0.3}},
      {"same_variation", {.variation = 5, .strength = 0.25}},
      {"all_variation", {.variation = 9, .strength = 1}},
      {"larger", {.other = {9, 12}}},
      {"smaller", {.other = {3, 4}}},
      {"mixed", {.other = {3, 9}}},
      {"all", {.ensd = 31337, .variation = 9, .strength = 0.3, .other = {9, 5}}},
  };
  int held = 0;
  for (const auto& [name, expected] : load_golden("compat/noise")) {
    if (!name.starts_with("a1111.")) continue;
    INFO(name);
    ++held;
    const std::vector<std::string> parts = name_parts(name);
    const auto source = parts[0] == "cuda" ? sdtorch::RandomSource::cuda : sdtorch::RandomSource::cpu;
    const Case& c = cases.at(parts[1]);
    const sdtorch::PictureNoise picture{.seed = 5, .variation_seed = c.variation, .variation_strength = c.strength};
    // Another picture beside it changes nothing.
    Noise noise({{.seed = 77}, picture}, {.source = source, .sampler = source, .ensd = c.ensd, .other_size = c.other});
    const at::IntArrayRef shape = expected.sizes().slice(1);
    CHECK(largest_difference(noise.draw_start(shape)[1], expected[0]) < of_a_device);
    CHECK(largest_difference(noise.draw(shape)[1], expected[1]) < of_a_device);
    CHECK(largest_difference(noise.draw(shape)[1], expected[2]) < of_a_device);
  }
  CHECK(held == 20);
}

TEST_CASE("noise that is drawn at once for a batch is the slices of one draw", "[diffusion]") {
  for (const auto source : {sdtorch::RandomSource::cpu, sdtorch::RandomSource::cuda}) {
    const bool cpu = source == sdtorch::RandomSource::cpu;
    const at::Tensor expected = load_golden("compat/noise").at(cpu ? "comfy.cpu" : "comfy.cuda");
    const at::IntArrayRef shape = expected.sizes().slice(2);
    const sdtorch::NoiseRules rules{.source = source, .sampler = source, .ensd = 1};
    const auto slice = [](int64_t k) { return sdtorch::PictureNoise{.seed = 7, .slice = k, .slices = 3}; };
    Noise whole({slice(0), slice(1), slice(2)}, rules);
    Noise alone({slice(1)}, rules);
    for (int64_t draw = 0; draw < 3; ++draw) {
      const at::Tensor all = draw == 0 ? whole.draw_start(shape) : whole.draw(shape);
      const at::Tensor one = draw == 0 ? alone.draw_start(shape) : alone.draw(shape);
      CHECK(largest_difference(all, expected[draw]) < of_a_device);
      CHECK(at::equal(one[0], all[1]));
    }
  }
}

TEST_CASE("a variation of latents of one row is a mixture, not a number that is none", "[diffusion]") {
  const at::Tensor low = at::ones({4, 1, 3}), high = -at::ones({4, 1, 3});
  CHECK(sdtorch::slerp(low, high, 0.25).isfinite().all().item<bool>());
  CHECK(at::allclose(sdtorch::slerp(low, high, 0.25), at::full({4, 1, 3}, 0.5)));
}

TEST_CASE("input latents are sampled first, apart, or not", "[diffusion]") {
  using sdtorch::EncodeNoise;
  const std::vector<int64_t> shape{4, 2, 2};
  const at::Tensor first = Noise({3}).draw(shape);
  Noise before({{.seed = 3}}, {}), apart({{.seed = 3}}, {.encode = EncodeNoise::apart}),
      none({{.seed = 3}}, {.encode = EncodeNoise::none});
  CHECK(at::equal(before.draw_encoding(shape), first));
  CHECK_FALSE(at::equal(before.draw_start(shape), first));
  CHECK(at::equal(apart.draw_encoding(shape), first));
  CHECK(at::equal(apart.draw_start(shape), first));
  CHECK(at::equal(none.draw_encoding(shape), at::zeros({1, 4, 2, 2})));
  CHECK(at::equal(none.draw_start(shape), first));
}
