#include "io/atomic_file.hpp"

#include <sys/stat.h>

#include "support/errors.hpp"
#include "support/files.hpp"
#include "support/temp_dir.hpp"

using sdtorch::AtomicFile;
using sdtorch::ErrorKind;
namespace fs = std::filesystem;

TEST_CASE("a file is there when it is committed, and not before", "[io]") {
  const TempDir folder;
  write_file(folder / "x.txt", "old");
  {
    AtomicFile file(folder / "x.txt");
    file.write("one, ");
    file.write("two");
    CHECK(file_contents(folder / "x.txt") == "old");
    file.commit();
  }
  CHECK(file_contents(folder / "x.txt") == "one, two");
  CHECK(entries_in(folder.path()) == 1);
}

TEST_CASE("a file that is never committed leaves nothing", "[io]") {
  const TempDir folder;
  { AtomicFile(folder / "x.txt").write("half"); }
  CHECK(entries_in(folder.path()) == 0);
}

TEST_CASE("two files may be under way in one folder", "[io]") {
  const TempDir folder;
  AtomicFile first(folder / "x.txt"), second(folder / "x.txt");
  first.write("first");
  second.write("second");
  first.commit();
  second.commit();
  CHECK(file_contents(folder / "x.txt") == "second");
}

TEST_CASE("a written file has the permissions of any other", "[io]") {
  const TempDir folder;
  sdtorch::write_file_atomically(folder / "atomic", "x");
  write_file(folder / "plain", "x");
  CHECK(fs::status(folder / "atomic").permissions() == fs::status(folder / "plain").permissions());
}

TEST_CASE("a symbolic link stays one", "[io]") {
  const TempDir folder;
  write_file(folder / "there" / "x.txt", "old");
  fs::create_symlink(folder / "there" / "x.txt", folder / "link.txt");
  sdtorch::write_file_atomically(folder / "link.txt", "new");
  CHECK(fs::is_symlink(folder / "link.txt"));
  CHECK(file_contents(folder / "there" / "x.txt") == "new");
}

TEST_CASE("paths that cannot be written are refused by name, and nothing is left", "[io]") {
  const TempDir folder;
  fs::create_directory(folder / "folder");
  REQUIRE(mkfifo((folder / "pipe").c_str(), 0600) == 0);
  struct Case {
    fs::path path;
    std::string message;
  };
  const Case cases[] = {
      {folder / "none" / "x.txt", "none/x.txt: cannot be written: No such file or directory"},
      {folder / "folder", "folder: is a folder"},
      {folder / "folder" / "", "is a folder"},
      {folder / "pipe", "pipe: is there already and no regular file"},
      {"/dev/null", "/dev/null: is there already and no regular file"},
      {folder / "pipe" / "x.txt", "cannot be written: Not a directory"},
      {folder / std::string(300, 'x'), "File name too long"},
      {"", "is no file name"},
  };
  for (const Case& c : cases) {
    INFO(c.path);
    check_error(ErrorKind::output, c.message, [&] { sdtorch::write_file_atomically(c.path, "x"); });
  }
  CHECK(entries_in(folder.path()) == 2);
  CHECK(entries_in(folder / "folder") == 0);
}

TEST_CASE("what a killed process left is removed at once, and what a living one writes stays", "[io]") {
  const TempDir folder;
  write_file(folder / ".sdtorch-1-0.tmp", "half");
  write_file(folder / ".sdtorch-other", "of somebody else");
  REQUIRE(mkfifo((folder / ".sdtorch-2-0.tmp").c_str(), 0600) == 0);
  AtomicFile living(folder / "x.txt");
  for (const auto& entry : fs::directory_iterator(folder.path())) {
    const std::string name = entry.path().filename().string();
    if (!sdtorch::is_temporary_name(name)) continue;
    INFO(name);
    CHECK(sdtorch::is_abandoned(entry.path()) == (name == ".sdtorch-1-0.tmp"));
  }
  sdtorch::remove_abandoned_files(folder.path());
  CHECK_FALSE(fs::exists(folder / ".sdtorch-1-0.tmp"));
  CHECK(fs::exists(folder / ".sdtorch-other"));
  living.write("x");
  living.commit();
  CHECK(file_contents(folder / "x.txt") == "x");
}
