#include "diffusion/brownian_tree.hpp"

#include <sstream>

#include "diffusion/seed_sequence.hpp"
#include "support/catch.hpp"
#include "support/golden.hpp"

using namespace sdtorch;

namespace {

std::vector<std::string> split(const std::string& name) {
  std::vector<std::string> parts;
  std::istringstream stream(name);
  for (std::string part; std::getline(stream, part, ',');) parts.push_back(part);
  return parts;
}

}  // namespace

TEST_CASE("a Brownian tree is torchsde's, and its seeds are numpy's", "[diffusion]") {
  const std::map<std::string, at::Tensor> goldens = load_golden("samplers/brownian");
  REQUIRE(goldens.size() == 48);
  for (const auto& [name, expected] : goldens) {
    INFO(name);
    const std::vector<std::string> parts = split(name);
    if (parts[0] == "words") {
      const std::array<uint64_t, 2> place{std::stoull(parts[2]), (1ULL << 33) + 5};
      const std::vector<uint32_t> words = SeedSequence(std::stoull(parts[1]), place, 24).generate(4);
      CHECK(at::equal(at::tensor(std::vector<int64_t>(words.begin(), words.end())), expected));
      continue;
    }
    const BrownianTree tree({.entropy = std::stoull(parts[0]),
                             .start = std::stod(parts[1]),
                             .end = std::stod(parts[2]),
                             .shape = {4, 3, 2}});
    CHECK(relative_error(tree.increment(std::stod(parts[3]), std::stod(parts[4])), expected) < 1e-5);
  }
}

TEST_CASE("increments of a Brownian tree add up, and there is nothing outside it", "[diffusion]") {
  const BrownianTree tree({.entropy = 7, .start = 0.1, .end = 10, .shape = {4, 8, 8}});
  const at::Tensor whole = tree.increment(0.1, 10);
  CHECK(relative_error(tree.increment(0.1, 3) + tree.increment(3, 10), whole) < 1e-5);
  CHECK(at::equal(tree.increment(0, 20), whole));
  CHECK(tree.increment(5, 5).abs().max().item<float>() == 0);
  CHECK(tree.increment(11, 12).abs().max().item<float>() == 0);
  CHECK(whole.std().item<double>() == Approx(std::sqrt(9.9)).epsilon(0.15));
}
