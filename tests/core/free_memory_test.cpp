#include "core/free_memory.hpp"

#include <sys/resource.h>

#include <utility>

#include "support/catch.hpp"
#include "support/files.hpp"
#include "support/temp_dir.hpp"

using namespace sdtorch;
namespace fs = std::filesystem;

namespace {

constexpr uint64_t mib = uint64_t{1} << 20;

/// A system with 1000 MiB to be had, 24 of them by swapping.
void write_machine(const fs::path& root, const std::string& groups) {
  write_file(root / "proc/meminfo",
             "MemTotal:        2048000 kB\nMemFree:          100 kB\nMemAvailable:     999424 kB\n"
             "SwapFree:          24576 kB\n");
  write_file(root / "proc/self/cgroup", groups);
}

std::string number(uint64_t value) { return std::to_string(value) + "\n"; }

void check_free(const fs::path& root, uint64_t bytes, const std::string& limit) {
  const auto free = free_memory(root);
  REQUIRE(free);
  CHECK(free->bytes == bytes);
  CHECK(free->limit == limit);
}

}  // namespace

TEST_CASE("what a machine has left is told by the system", "[core]") {
  const TempDir root;
  CHECK_FALSE(free_memory(root.path()));
  write_machine(root.path(), "0::/\n");
  check_free(root.path(), 1000 * mib, "this machine");
  REQUIRE(free_memory());
  CHECK(free_memory()->bytes > mib);
}

TEST_CASE("control groups of the second version limit it, each with those above it", "[core]") {
  const TempDir root;
  write_machine(root.path(), "0::/batch/job\n");
  const fs::path batch = root / "sys/fs/cgroup/batch";
  write_file(batch / "job/memory.max", "max\n");
  write_file(batch / "job/memory.current", number(5 * mib));
  check_free(root.path(), 1000 * mib, "this machine");

  write_file(batch / "memory.max", number(300 * mib));
  write_file(batch / "memory.current", number(250 * mib));
  check_free(root.path(), 50 * mib, "the control group /batch");
  write_file(batch / "memory.stat",
             "anon 1\nfile 2\ninactive_file " + number(30 * mib) + "active_file " + number(10 * mib));
  check_free(root.path(), 90 * mib, "the control group /batch");
  write_file(batch / "memory.swap.max", number(20 * mib));
  write_file(batch / "memory.swap.current", number(5 * mib));
  check_free(root.path(), 105 * mib, "the control group /batch");
  write_file(batch / "memory.current", number(900 * mib));
  check_free(root.path(), 15 * mib, "the control group /batch");

  write_file(batch / "job/memory.max", number(6 * mib));
  check_free(root.path(), 1 * mib, "the control group /batch/job");
}

TEST_CASE("control groups of the first version limit it, seen from inside a container too", "[core]") {
  const TempDir root;
  write_machine(root.path(), "5:cpu,cpuacct:/a\n4:memory:/docker/0123\n0::/\n");
  const fs::path mount = root / "sys/fs/cgroup/memory";
  write_file(mount / "memory.limit_in_bytes", number(400 * mib));  // a container sees its own group as the root
  write_file(mount / "memory.usage_in_bytes", number(399 * mib));
  write_file(mount / "memory.stat", "inactive_file 1\ntotal_inactive_file " + number(9 * mib));
  check_free(root.path(), 10 * mib, "the control group /");
  write_file(mount / "memory.limit_in_bytes", "9223372036854771712\n");  // none
  check_free(root.path(), 1000 * mib, "this machine");
  write_file(root / "proc/self/cgroup", "a line of no group\n:\n4:memory:relative\n");
  check_free(root.path(), 1000 * mib, "this machine");
}

TEST_CASE("a limit of addresses or data is what is left of it", "[core]") {
  for (const auto& [resource, name] : {std::pair(RLIMIT_AS, "ulimit -v"), std::pair(RLIMIT_DATA, "ulimit -d")}) {
    rlimit before{};
    REQUIRE(getrlimit(resource, &before) == 0);
    const rlimit limit{.rlim_cur = rlim_t{1} << 46, .rlim_max = before.rlim_max};
    REQUIRE(setrlimit(resource, &limit) == 0);
    const auto free = free_addresses();
    setrlimit(resource, &before);
    REQUIRE(free);
    CHECK(free->limit == name);
    CHECK(free->bytes < limit.rlim_cur - mib);
    CHECK(free->bytes > limit.rlim_cur / 2);
  }
  CHECK(shown_bytes(3'440'000'000) == "3.4 GB");
  CHECK(shown_bytes(20'400'000) == "20 MB");
  CHECK(shown_bytes(900) == "1 kB");
}
