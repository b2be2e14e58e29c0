#include "io/folder_lock.hpp"

#include <algorithm>
#include <atomic>
#include <chrono>
#include <filesystem>
#include <thread>
#include <vector>

#include "support/catch.hpp"
#include "support/errors.hpp"
#include "support/files.hpp"
#include "support/temp_dir.hpp"

namespace fs = std::filesystem;
using sdtorch::ErrorKind;
using sdtorch::FolderLock;

TEST_CASE("one at a time has a folder's lock, which leaves nothing behind", "[io]") {
  const TempDir folder;
  write_file(folder / FolderLock::name, "");  // as a kill leaves it
  std::atomic<int> holders = 0, most = 0, turns = 0;
  std::vector<std::thread> threads;
  for (int i = 0; i < 4; ++i) {
    threads.emplace_back([&] {
      for (int turn = 0; turn < 25; ++turn) {
        const FolderLock lock(folder.path(), true);
        most = std::max<int>(most, ++holders);
        ++turns;
        std::this_thread::yield();
        --holders;
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  CHECK(turns == 100);
  CHECK(most == 1);
  CHECK(fs::is_empty(folder.path()));
}

TEST_CASE("who does not want to wait leaves a folder whose lock is held for long", "[io]") {
  const TempDir folder;
  const FolderLock stopped(folder.path(), false);
  check_error(ErrorKind::in_use, "does not go on",
              [&] { FolderLock(folder.path(), false, std::chrono::milliseconds(50)); });
}

TEST_CASE("a folder's lock that cannot be made is told", "[io]") {
  const TempDir folder;
  check_error(ErrorKind::output, "cannot be opened", [&] { FolderLock(folder / "missing", true); });
}
