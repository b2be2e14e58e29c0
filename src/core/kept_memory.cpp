#include "core/kept_memory.hpp"

#include <c10/core/Allocator.h>
#include <c10/core/CPUAllocator.h>
#include <malloc.h>
#include <sys/mman.h>

#include <cstdint>
#include <map>
#include <mutex>
#include <new>
#include <unordered_map>

#include "core/free_memory.hpp"

namespace sdtorch {
namespace {

constexpr size_t huge_page = size_t{2} << 20;
constexpr size_t page = 4096;
constexpr size_t least = size_t{1} << 20;  // smaller ones are the system allocator's
constexpr size_t most_kept = size_t{160} << 20;

size_t rounded_up(size_t n, size_t multiple) { return (n + multiple - 1) / multiple * multiple; }

/// Whether so much more may be taken.
bool may_take(size_t bytes) {
  const auto addresses = free_addresses();
  return !addresses || addresses->bytes >= bytes;
}

/// At a multiple of a huge page; nullptr: there is none to be had.
void* map_pages(size_t bytes) {
  const size_t reserved = bytes + huge_page;
  if (!may_take(reserved)) return nullptr;
  void* const from_system = mmap(nullptr, reserved, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (from_system == MAP_FAILED) return nullptr;
  auto* const begin = static_cast<std::byte*>(from_system);
  auto* const aligned = reinterpret_cast<std::byte*>(rounded_up(reinterpret_cast<uintptr_t>(begin), huge_page));
  const auto before = static_cast<size_t>(aligned - begin);
  if (before > 0) munmap(begin, before);
  munmap(aligned + bytes, reserved - before - bytes);
  madvise(aligned, bytes, MADV_HUGEPAGE);  // where there are none, small ones do
  return aligned;
}

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
    release_down_to(0);
  }

 private:
  static void give_back(void* block);

  void* take(size_t bytes) {
    const std::lock_guard lock(mutex_);
    // One that is larger by an eighth does too.
    const auto found = idle_.lower_bound(bytes);
    if (found != idle_.end() && found->first <= bytes + bytes / 8) {
      void* const block = found->second;
      sizes_[block] = found->first;
      idle_bytes_ -= found->first;
      idle_.erase(found);
      return block;
    }
    void* block = map_pages(bytes);
    if (!block) {
      release_down_to(0);
      block = map_pages(bytes);
    }
    if (block) sizes_[block] = bytes;
    return block;
  }

  /// false: it is none of these.
  bool keep(void* block) {
    const std::lock_guard lock(mutex_);
    const auto entry = sizes_.extract(block);
    if (entry.empty()) return false;
    idle_.emplace(entry.mapped(), block);
    idle_bytes_ += entry.mapped();
    release_down_to(most_kept);
    return true;
  }

  /// The smallest go first: they are the quickest to be had again.
  void release_down_to(size_t bytes) {
    while (idle_bytes_ > bytes) {
      const auto smallest = idle_.begin();
      munmap(smallest->second, smallest->first);
      idle_bytes_ -= smallest->first;
      idle_.erase(smallest);
    }
  }

  c10::Allocator* system_;
  std::mutex mutex_{};
  std::unordered_map<void*, size_t> sizes_{};  ///< of the blocks in use
  std::multimap<size_t, void*> idle_{};
  size_t idle_bytes_ = 0;
};

KeptMemory& kept_memory() {
  // Never destroyed: tensors that live until the process ends come back to it.
  static KeptMemory* const memory = new KeptMemory(c10::GetCPUAllocator());
  return *memory;
}

void KeptMemory::give_back(void* block) {
  KeptMemory& memory = kept_memory();
  const bool may_be_kept = reinterpret_cast<uintptr_t>(block) % huge_page == 0;
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
