#include "core/kept_memory.hpp"

#include <ATen/Parallel.h>
#include <c10/core/Allocator.h>
#include <c10/core/CPUAllocator.h>
#include <malloc.h>
#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <cstdint>
#include <cstdlib>
#include <mutex>
#include <new>
#include <unordered_map>

#include "core/free_memory.hpp"
#include "core/idle_ranges.hpp"

namespace sdtorch {
namespace {

constexpr size_t least = size_t{1} << 20;             // smaller ones are the system allocator's
constexpr size_t most_beside_new = size_t{16} << 20;  // of what is idle, about, when more is asked of the system
constexpr size_t most_untrimmed = size_t{160} << 20;  // of what the system's allocator keeps

size_t page() {
  static const auto bytes = static_cast<size_t>(sysconf(_SC_PAGESIZE));
  return bytes;
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

class KeptMemory final : public c10::Allocator {
 public:
  explicit KeptMemory(c10::Allocator* system) : system_(system) {}

  c10::DataPtr allocate(size_t bytes) override {
    if (bytes >= least && bytes <= PTRDIFF_MAX) {
      if (void* const block = take(rounded_up(bytes, page()))) return {block, block, &give_back, at::Device(at::kCPU)};
      if (!may_take(bytes)) throw std::bad_alloc();
    }
    c10::DataPtr small = system_->allocate(bytes);
    void* const block = small.get();
    small.release_context();
    return {block, block, &give_back, at::Device(at::kCPU)};
  }

  c10::DeleterFnPtr raw_deleter() const override { return &give_back; }

  void copy_data(void* to, const void* from, size_t bytes) const override { system_->copy_data(to, from, bytes); }

  void ready(size_t bytes) {
    release();
    const auto free = free_memory();
    constexpr size_t share = 4;  // of what is free
    if (bytes == 0 || !free || free->bytes / share < bytes) return;
    bytes = rounded_up(bytes, huge_page);
    auto* const block = static_cast<std::byte*>(take(bytes));
    if (!block) return;
    at::parallel_for(0, static_cast<int64_t>(bytes / page()), 1, [&](int64_t begin, int64_t end) {
      for (auto i = static_cast<size_t>(begin); i < static_cast<size_t>(end); ++i) block[i * page()] = std::byte{0};
    });
    keep(block);
  }

  void release() {
    const std::lock_guard lock(mutex_);
    idle_.release();
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
    idle_.release_huge_pages(std::min(most_beside_new, idle_.bytes() - std::min(idle_.bytes(), bytes)));
    std::byte* begin = map_pages(bytes);
    if (!begin) {
      idle_.release();
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
  const bool may_be_kept = reinterpret_cast<uintptr_t>(block) % page() == 0;
  if (!may_be_kept || !memory.keep(block)) memory.system_->raw_deallocate(block);
}

bool in_use = false;

}  // namespace

void keep_memory() {
  if (in_use) return;
  in_use = true;
  // The system's allocator keeps what a layer gives back, too: it would be asked for again at the next one.
  mallopt(M_MMAP_THRESHOLD, static_cast<int>(huge_page));
  mallopt(M_TRIM_THRESHOLD, static_cast<int>(most_untrimmed));
  // Its shortest lists of free pieces are tidied up whenever a large piece goes, which is at nearly every layer.
  mallopt(M_MXFAST, 0);
  const bool limited = free_addresses().has_value();
  // Each thread that makes a PNG would else reserve 64 MiB of addresses, which count where those are limited.
  mallopt(M_ARENA_MAX, limited ? 1 : 2);
  // oneDNN, and what LibTorch has before it, keep what they made for a layer and a size of picture, some 8 MiB a size:
  // a thousand such things each by themselves, where a step has less than a hundred.
  for (const char* variable : {"ONEDNN_PRIMITIVE_CACHE_CAPACITY", "LRU_CACHE_CAPACITY"}) {
    setenv(variable, limited ? "64" : "256", /*replace=*/0);
  }
  c10::SetCPUAllocator(&kept_memory(), /*priority=*/1);
}

void ready_memory(size_t bytes) {
  if (in_use) kept_memory().ready(bytes);
}

void release_kept_memory() {
  if (in_use) kept_memory().release();
}

}  // namespace sdtorch
