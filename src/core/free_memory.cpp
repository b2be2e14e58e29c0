#include "core/free_memory.hpp"

#include <c10/core/CachingDeviceAllocator.h>
#include <fmt/format.h>
#include <sys/resource.h>
#include <unistd.h>

#include <algorithm>
#include <exception>
#include <fstream>
#include <iterator>
#include <sstream>
#include <vector>

#include "core/kept_memory.hpp"
#include "core/number.hpp"

namespace sdtorch {
namespace {

namespace fs = std::filesystem;

constexpr uint64_t kibibyte = 1024;

/// A file that holds one number; nothing for `max`, and where there is no such file.
std::optional<uint64_t> number_in(const fs::path& file) {
  std::ifstream in(file);
  std::string word;
  in >> word;
  return parse_unsigned(word);
}

/// All of a file that holds nothing but numbers.
std::vector<uint64_t> numbers_in(const fs::path& file) {
  std::ifstream in(file);
  return {std::istream_iterator<uint64_t>(in), std::istream_iterator<uint64_t>()};
}

/// The number behind a word at the beginning of a line: `MemAvailable:   123 kB`, `inactive_file 123`.
std::optional<uint64_t> number_behind(const fs::path& file, const std::string& word) {
  std::ifstream in(file);
  for (std::string line; std::getline(in, line);) {
    std::istringstream parts(line);
    std::string name, number;
    if (parts >> name >> number && name == word) return parse_unsigned(number);
  }
  return std::nullopt;
}

/// Bytes that a limit leaves, of which some are used.
uint64_t rest(uint64_t limit, uint64_t used) { return limit > used ? limit - used : 0; }

std::optional<uint64_t> free_of_machine(const fs::path& root) {
  const fs::path file = root / "proc/meminfo";
  const auto available = number_behind(file, "MemAvailable:");
  if (!available) return std::nullopt;
  return (*available + number_behind(file, "SwapFree:").value_or(0)) * kibibyte;
}

/// What the two versions of control groups call the same.
struct GroupFiles {
  const char *limit, *used, *inactive, *active;
};
constexpr GroupFiles first_version{"memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file",
                                   "total_active_file"};
constexpr GroupFiles second_version{"memory.max", "memory.current", "inactive_file", "active_file"};

/// What one group leaves, whatever those above it do.
std::optional<uint64_t> free_of_group(const fs::path& folder, const GroupFiles& files) {
  const auto limit = number_in(folder / files.limit), used = number_in(folder / files.used);
  if (!limit || !used) return std::nullopt;
  const uint64_t cached = number_behind(folder / "memory.stat", files.inactive).value_or(0) +
                          number_behind(folder / "memory.stat", files.active).value_or(0);
  uint64_t left = rest(*limit, rest(*used, cached));
  const auto swap = number_in(folder / "memory.swap.max"), swapped = number_in(folder / "memory.swap.current");
  if (swap && swapped) left += rest(*swap, *swapped);
  return left;
}

void take_least(std::optional<FreeMemory>& least, std::optional<uint64_t> bytes, const std::string& limit) {
  if (bytes && (!least || *bytes < least->bytes)) least = FreeMemory{.bytes = *bytes, .limit = limit};
}

/// The group and those above it. mount: where they are seen; a container may see its own as the mount's root.
void take_groups(std::optional<FreeMemory>& least, const fs::path& mount, fs::path group, const GroupFiles& files) {
  for (;; group = group.parent_path()) {
    take_least(least, free_of_group(mount / group.relative_path(), files),
               fmt::format("the control group {}", group.string()));
    if (!group.has_relative_path()) return;
  }
}

/// A line of proc/self/cgroup: `4:memory:/batch/job`, `0::/batch/job`.
void take_groups_of_line(std::optional<FreeMemory>& least, const fs::path& root, const std::string& line) {
  const size_t first = line.find(':'), second = line.find(':', first + 1);
  if (first == std::string::npos || second == std::string::npos) return;
  const std::string controllers = "," + line.substr(first + 1, second - first - 1) + ",";
  const fs::path group = line.substr(second + 1), mounts = root / "sys/fs/cgroup";
  if (!group.is_absolute()) return;
  if (controllers == ",,") {
    take_groups(least, mounts, group, second_version);
    take_groups(least, mounts / "unified", group, second_version);
  } else if (controllers.find(",memory,") != std::string::npos) {
    take_groups(least, mounts / "memory", group, first_version);
  }
}

c10::DeviceAllocator* allocator_of(at::Device device) {
  if (device.is_cpu()) return nullptr;
  return dynamic_cast<c10::DeviceAllocator*>(c10::GetAllocator(device.type()));
}

}  // namespace

std::optional<FreeMemory> free_memory(const fs::path& root) {
  std::optional<FreeMemory> least;
  take_least(least, free_of_machine(root), "this machine");
  std::ifstream groups(root / "proc/self/cgroup");
  for (std::string line; std::getline(groups, line);) take_groups_of_line(least, root, line);
  return least;
}

std::optional<FreeMemory> free_addresses() {
  constexpr uint64_t left_to_libraries = uint64_t{96} << 20;
  struct Limit {
    decltype(RLIMIT_AS) resource;
    size_t used;  // the number in /proc/self/statm, in pages
    const char* name;
  };
  std::optional<FreeMemory> least;
  for (const Limit& one : {Limit{RLIMIT_AS, 0, "ulimit -v"}, Limit{RLIMIT_DATA, 5, "ulimit -d"}}) {
    rlimit limit{};
    if (getrlimit(one.resource, &limit) != 0 || limit.rlim_cur == RLIM_INFINITY) continue;
    const std::vector<uint64_t> pages = numbers_in("/proc/self/statm");
    if (pages.size() <= one.used) continue;
    const uint64_t used = pages[one.used] * static_cast<uint64_t>(sysconf(_SC_PAGESIZE));
    take_least(least, rest(limit.rlim_cur, used + left_to_libraries), one.name);
  }
  return least;
}

std::optional<FreeMemory> free_device_memory(at::Device device) {
  c10::DeviceAllocator* const allocator = allocator_of(device);
  if (!allocator || !allocator->initialized()) return std::nullopt;
  try {
    const auto [free, total] = allocator->getMemoryInfo(device.index());
    const auto stats = allocator->getDeviceStats(device.index());
    constexpr auto all = static_cast<size_t>(c10::CachingAllocator::StatType::AGGREGATE);
    const int64_t kept = stats.reserved_bytes[all].current - stats.allocated_bytes[all].current;
    return FreeMemory{.bytes = free + static_cast<uint64_t>(std::max<int64_t>(kept, 0)), .limit = device.str()};
  } catch (const std::exception&) {  // an allocator that does not tell
    return std::nullopt;
  }
}

void release_device_memory(at::Device device) {
  release_kept_memory();
  if (c10::DeviceAllocator* const allocator = allocator_of(device)) allocator->emptyCache();
}

std::string shown_bytes(uint64_t bytes) {
  const auto number = static_cast<double>(bytes);
  if (number >= 1e9) return fmt::format("{:.1f} GB", number / 1e9);
  if (number >= 1e6) return fmt::format("{:.0f} MB", number / 1e6);
  return fmt::format("{:.0f} kB", number / 1e3);
}

}  // namespace sdtorch
