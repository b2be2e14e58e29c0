// A share of a run's pictures: what one of several processes draws.
#pragma once

#include <cstdint>

namespace sdtorch {

/// Share `index` of `count`, 0…count-1: of the pictures, numbered through the run, every count-th. Which they are
/// depends on nothing else, so shares are disjoint and complete whoever draws them, and when.
struct Shard {
  int64_t index = 0, count = 1;

  bool has(int64_t number) const { return number % count == index; }

  bool operator==(const Shard&) const = default;
};

}  // namespace sdtorch
