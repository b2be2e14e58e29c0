#include "core/idle_ranges.hpp"

#include <sys/mman.h>

#include <catch2/catch.hpp>
#include <random>
#include <utility>
#include <vector>

using namespace sdtorch;

namespace {

constexpr size_t piece = size_t{1} << 16;  // a page of any Linux

/// Mapped, at a multiple of a huge page. What is not unmapped meanwhile stays so: the next one may lie there.
std::byte* mapped(size_t bytes) {
  void* const begin = mmap(nullptr, bytes + huge_page, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  REQUIRE(begin != MAP_FAILED);
  return rounded_up(static_cast<std::byte*>(begin), huge_page);
}

bool is_mapped(std::byte* page) {
  unsigned char in_memory = 0;
  return mincore(page, 1, &in_memory) == 0;
}

}  // namespace

TEST_CASE("Idle ranges that touch are one, and the smallest that is large enough is taken", "[core]") {
  std::byte* const begin = mapped(8 * huge_page);
  IdleRanges idle;
  CHECK(idle.take(piece) == nullptr);
  idle.add(begin, piece);
  idle.add(begin + 2 * piece, piece);
  CHECK(idle.take(2 * piece) == nullptr);
  idle.add(begin + piece, piece);  // between them
  CHECK(idle.bytes() == 3 * piece);
  CHECK(idle.take(3 * piece) == begin);
  CHECK(idle.bytes() == 0);

  idle.add(begin + huge_page, 5 * piece);
  idle.add(begin, 2 * piece);
  CHECK(idle.take(piece) == begin);
  CHECK(idle.take(3 * piece) == begin + huge_page);
  CHECK(idle.take(2 * piece) == begin + huge_page + 3 * piece);
  CHECK(idle.take(2 * piece) == nullptr);
  CHECK(idle.take(piece) == begin + piece);
}

TEST_CASE("Idle ranges go back to the system: huge pages alone where they make room, everything where it is released",
          "[core]") {
  std::byte* const begin = mapped(8 * huge_page);
  IdleRanges idle;
  idle.add(begin + piece, 4 * huge_page);  // three whole huge pages, and parts of two
  idle.release_huge_pages(4 * huge_page);
  CHECK(idle.bytes() == 4 * huge_page);
  idle.release_huge_pages(4 * huge_page - piece);
  CHECK(idle.bytes() == 3 * huge_page);
  CHECK_FALSE(is_mapped(begin + huge_page));
  idle.release_huge_pages(0);
  CHECK(idle.bytes() == huge_page);
  CHECK(is_mapped(begin + piece));
  CHECK(is_mapped(begin + 4 * huge_page));
  CHECK_FALSE(is_mapped(begin + 3 * huge_page));
  idle.release();
  CHECK(idle.bytes() == 0);
  CHECK_FALSE(is_mapped(begin + piece));
  CHECK_FALSE(is_mapped(begin + 4 * huge_page));
  CHECK(is_mapped(begin));  // was never given
  CHECK(idle.take(piece) == nullptr);
}

TEST_CASE("Ranges that are taken never overlap, and all of them together become the one that was given", "[core]") {
  constexpr size_t pieces = 512;
  std::byte* const begin = mapped(pieces * piece);
  IdleRanges idle;
  idle.add(begin, pieces * piece);
  std::vector<std::pair<std::byte*, size_t>> taken;
  std::vector<bool> in_use(pieces);
  std::mt19937 random(5);
  for (int i = 0; i < 5000; ++i) {
    if (!taken.empty() && random() % 2 == 0) {
      std::swap(taken[random() % taken.size()], taken.back());
      const auto [block, bytes] = taken.back();
      taken.pop_back();
      for (size_t at = 0; at < bytes / piece; ++at) in_use[static_cast<size_t>(block - begin) / piece + at] = false;
      idle.add(block, bytes);
      continue;
    }
    const size_t bytes = (1 + random() % 40) * piece;
    std::byte* const block = idle.take(bytes);
    if (!block) continue;
    for (size_t at = 0; at < bytes / piece; ++at) {
      const size_t place = static_cast<size_t>(block - begin) / piece + at;
      REQUIRE_FALSE(in_use.at(place));
      in_use[place] = true;
    }
    taken.emplace_back(block, bytes);
  }
  for (const auto& [block, bytes] : taken) idle.add(block, bytes);
  CHECK(idle.bytes() == pieces * piece);
  CHECK(idle.take(pieces * piece) == begin);
}
