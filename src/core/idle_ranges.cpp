#include "core/idle_ranges.hpp"

#include <sys/mman.h>

#include <algorithm>
#include <cstdint>
#include <iterator>

namespace sdtorch {

size_t rounded_up(size_t n, size_t multiple) { return (n + multiple - 1) / multiple * multiple; }

std::byte* rounded_up(std::byte* place, size_t multiple) {
  return reinterpret_cast<std::byte*>(rounded_up(reinterpret_cast<uintptr_t>(place), multiple));
}

void IdleRanges::add(std::byte* begin, size_t bytes) {
  bytes_ += bytes;
  auto next = by_place_.lower_bound(begin);
  if (next != by_place_.end() && next->first == begin + bytes) {
    bytes += next->second;
    next = erase(next);
  }
  if (next != by_place_.begin()) {
    const auto before = std::prev(next);
    if (before->first + before->second == begin) {
      begin = before->first;
      bytes += before->second;
      erase(before);
    }
  }
  insert(begin, bytes);
}

std::byte* IdleRanges::take(size_t bytes) {
  const auto found = by_size_.lower_bound({bytes, nullptr});
  if (found == by_size_.end()) return nullptr;
  const auto [size, begin] = *found;
  erase(by_place_.find(begin));
  if (size > bytes) insert(begin + bytes, size - bytes);
  bytes_ -= bytes;
  return begin;
}

void IdleRanges::release() {
  for (const auto& [begin, bytes] : by_place_) munmap(begin, bytes);
  by_place_.clear();
  by_size_.clear();
  bytes_ = 0;
}

void IdleRanges::release_huge_pages(size_t most) {
  while (bytes_ > most) {
    const auto [size, begin] = *by_size_.rbegin();
    std::byte* const first = rounded_up(begin, huge_page);
    const auto before = static_cast<size_t>(first - begin);
    if (size < before + huge_page) return;
    const size_t whole = std::min((size - before) / huge_page * huge_page, rounded_up(bytes_ - most, huge_page));
    munmap(first, whole);
    erase(by_place_.find(begin));
    bytes_ -= whole;
    if (before > 0) insert(begin, before);
    if (size > before + whole) insert(first + whole, size - before - whole);
  }
}

void IdleRanges::insert(std::byte* begin, size_t bytes) {
  by_place_.emplace(begin, bytes);
  by_size_.emplace(bytes, begin);
}

IdleRanges::ByPlace::iterator IdleRanges::erase(ByPlace::iterator range) {
  by_size_.erase({range->second, range->first});
  return by_place_.erase(range);
}

}  // namespace sdtorch
