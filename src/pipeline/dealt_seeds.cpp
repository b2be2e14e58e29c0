#include "pipeline/dealt_seeds.hpp"

#include <random>

#include "pipeline/settings.hpp"

namespace sdtorch {
namespace {

/// What deal_seeds has begun.
struct DealtSeeds {
  uint64_t start = 0;
  std::mt19937_64 sequence{};
  bool used = false;
};
std::optional<DealtSeeds> dealt;

}  // namespace

void deal_seeds(std::optional<uint64_t> start) {
  dealt.reset();
  if (start) dealt = DealtSeeds{.start = *start, .sequence = std::mt19937_64(*start)};
}

std::optional<uint64_t> start_of_dealt_seeds() {
  return dealt && dealt->used ? std::optional(dealt->start) : std::nullopt;
}

uint64_t draw_seed() {
  if (dealt) {
    dealt->used = true;
    return dealt->sequence();
  }
  std::random_device device;
  return std::uniform_int_distribution<uint64_t>()(device);
}

}  // namespace sdtorch
