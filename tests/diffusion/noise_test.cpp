#include "diffusion/noise.hpp"

#include <limits>

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
