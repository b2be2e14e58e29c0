#include "core/kept_memory.hpp"

#include <c10/core/Allocator.h>
#include <c10/core/CPUAllocator.h>
#include <malloc.h>
#include <sys/mman.h>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <iterator>
#include <map>
#include <mutex>
#include <new>
#include <set>
#include <unordered_map>
#include <utility>

#include "core/free_memory.hpp"

namespace sdtorch {
namespace {

constexpr size_t huge_page = size_t{2} << 20;
constexpr size_t page = 4096;
constexpr size_t least = size_t{1} << 20;  // smaller ones are the system allocator's
constexpr size_t most_kept = size_t{160} << 20;

size_t rounded_up(size_t n, size_t multiple) { return (n + multiple - 1) / multiple * multiple; }

std::byte* rounded_up(std::byte* place, size_t multiple) {
  return reinterpret_cast<std::byte*>(rounded_up(reinterpret_cast<uintptr_t>(place), multiple));
}

/// Whether so much more may be taken.
bool may_take(size_t bytes) {
  const auto addresses = free_addresses();
  return !addresses || addresses->bytes >= bytes;
}

/// At a multiple of a huge page; nullptr: there is none to be had.
std::byte* map_pages(size_t bytes) {
  const size_t reserved = bytes + huge_page;
  if (!may_take(reserved)) return nullptr;
  void* const from_system = mmap(nullptr, reserved, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (from_system == MAP_FAILED) return nullptr;
  auto* const begin = static_cast<std::byte*>(from_system);
  // As far up as can be: Linux puts each mapping below the one before, and so they touch.
  auto* const aligned = rounded_up(begin + 1, huge_page);
  const auto before = static_cast<size_t>(aligned - begin);
  munmap(begin, before);
  if (before < huge_page) munmap(aligned + bytes, huge_page - before);
  madvise(aligned, bytes, MADV_HUGEPAGE);  // where there are none, small ones do
  return aligned;
}

/// Ranges of addresses in which nothing lies. Neighbours are one.
class IdleRanges {
 public:
  size_t bytes() const { return bytes_; }

  void add(std::byte* begin, size_t bytes) {
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

  /// From the beginning of the smallest that holds so much; nullptr: none does.
  std::byte* take(size_t bytes) {
    const auto found = by_size_.lower_bound({bytes, nullptr});
    if (found == by_size_.end()) return nullptr;
    const auto [size, begin] = *found;
    erase(by_place_.find(begin));
    if (size > bytes) insert(begin + bytes, size - bytes);
    bytes_ -= bytes;
    return begin;
  }

  /// The whole huge pages of the largest go back to the system, until no more than so many bytes are idle or none of
  /// the ranges has any.
  void release_down_to(size_t most) {
    while (bytes_ > most) {
      const auto [size, begin] = *by_size_.rbegin();
      auto* const first = rounded_up(begin, huge_page);
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

 private:
  using ByPlace = std::map<std::byte*, size_t>;

  void insert(std::byte* begin, size_t bytes) {
    by_place_.emplace(begin, bytes);
    by_size_.emplace(bytes, begin);
  }

  ByPlace::iterator erase(ByPlace::iterator range) {
    by_size_.erase({range->second, range->first});
    return by_place_.erase(range);
  }

  ByPlace by_place_{};
  std::set<std::pair<size_t, std::byte*>> by_size_{};
  size_t bytes_ = 0;
};

class KeptMemory final : public c10::Allocator {
 public:
  explicit KeptMemory(c10::Allocator* system) : system_(system) {}

  c10::DataPtr allocate(size_t bytes) override {
    if (bytes >= least) {
      if (void* const block = take(rounded_up(bytes, page))) return {block, block, &give_back, at::Device(at::kCPU)};
      if (!may_take(bytes)) throw std::bad_alloc();
    }
    c10::DataPtr small = system_->allocate(bytes);
    void* const block = small.get();
    small.release_context();
    return {block, block, &give_back, at::Device(at::kCPU)};
  }

  c10::DeleterFnPtr raw_deleter() const override { return &give_back; }

  void copy_data(void* to, const void* from, size_t bytes) const override { system_->copy_data(to, from, bytes); }

  void release() {
    const std::lock_guard lock(mutex_);
    idle_.release_down_to(0);
  }

 private:
  static void give_back(void* block);

  void* take(size_t bytes) {
    const std::lock_guard lock(mutex_);
    std::byte* block = idle_.take(bytes);
    if (!block && add_pages(rounded_up(bytes, huge_page))) block = idle_.take(bytes);
    if (block) sizes_[block] = bytes;
    return block;
  }

  /// What is idle, in pieces that are too small, makes room for them. false: there are none to be had.
  bool add_pages(size_t bytes) {
    idle_.release_down_to(idle_.bytes() - std::min(idle_.bytes(), bytes));
    std::byte* begin = map_pages(bytes);
    if (!begin) {
      idle_.release_down_to(0);
      begin = map_pages(bytes);
    }
    if (begin) idle_.add(begin, bytes);
    return begin != nullptr;
  }

  /// false: it is none of these.
  bool keep(void* block) {
    const std::lock_guard lock(mutex_);
    const auto entry = sizes_.extract(block);
    if (entry.empty()) return false;
    idle_.add(static_cast<std::byte*>(block), entry.mapped());
    return true;
  }

  c10::Allocator* system_;
  std::mutex mutex_{};
  std::unordered_map<void*, size_t> sizes_{};  ///< of the blocks in use
  IdleRanges idle_{};
};

KeptMemory& kept_memory() {
  // Never destroyed: tensors that live until the process ends come back to it.
  static KeptMemory* const memory = new KeptMemory(c10::GetCPUAllocator());
  return *memory;
}

void KeptMemory::give_back(void* block) {
  KeptMemory& memory = kept_memory();
  const bool may_be_kept = reinterpret_cast<uintptr_t>(block) % page == 0;
  if (!may_be_kept || !memory.keep(block)) memory.system_->raw_deallocate(block);
}

bool in_use = false;

}  // namespace

void keep_memory() {
  if (in_use) return;
  in_use = true;
  // The system's allocator keeps what a layer gives back, too: it would be asked for again at the next one.
  mallopt(M_MMAP_THRESHOLD, static_cast<int>(huge_page));
  mallopt(M_TRIM_THRESHOLD, static_cast<int>(most_kept));
  // Its shortest lists of free pieces are tidied up whenever a large piece goes, which is at nearly every layer.
  mallopt(M_MXFAST, 0);
  // Each thread that makes a PNG would else reserve 64 MiB of addresses, which count where those are limited.
  mallopt(M_ARENA_MAX, free_addresses() ? 1 : 2);
  c10::SetCPUAllocator(&kept_memory(), /*priority=*/1);
}

void release_kept_memory() {
  if (in_use) kept_memory().release();
}

}  // namespace sdtorch
