#include "io/atomic_folder.hpp"

#include "support/errors.hpp"
#include "support/files.hpp"
#include "support/temp_dir.hpp"

using sdtorch::AtomicFolder;
using sdtorch::ErrorKind;
namespace fs = std::filesystem;

TEST_CASE("a folder is there as a whole when it is committed, and not before", "[io]") {
  const TempDir temp;
  fs::create_directory(temp / "empty");
  for (const fs::path& target : {temp / "new", temp / "a" / "b" / "new", temp / "empty", temp / "slash" / ""}) {
    INFO(target);
    AtomicFolder folder(target);
    write_file(folder.path() / "x" / "y.txt", "y");
    write_file(folder.path() / "z.txt", "z");
    CHECK_FALSE(fs::exists(target / "z.txt"));
    folder.commit();
    CHECK(file_contents(target / "x" / "y.txt") == "y");
    CHECK(entries_in(target) == 2);
  }
  CHECK(entries_in(temp.path()) == 4);
}

TEST_CASE("a folder that is never committed leaves nothing", "[io]") {
  const TempDir temp;
  fs::create_directory(temp / "empty");
  for (const char* name : {"new", "empty"}) write_file(AtomicFolder(temp / name).path() / "x.txt", "x");
  CHECK(entries_in(temp.path()) == 1);
  CHECK(entries_in(temp / "empty") == 0);
}

TEST_CASE("folders that cannot be made are refused by name", "[io]") {
  const TempDir temp;
  write_file(temp / "full" / "x.txt", "x");
  check_error(ErrorKind::output, "full: is there already and not empty", [&] { AtomicFolder(temp / "full"); });
  check_error(ErrorKind::output, "x.txt: is there already and no folder",
              [&] { AtomicFolder(temp / "full" / "x.txt"); });
  check_error(ErrorKind::output, "cannot be made: Not a directory",
              [&] { AtomicFolder(temp / "full" / "x.txt" / "new"); });
  check_error(ErrorKind::output, "found an empty one", [&] { AtomicFolder(""); });
  CHECK(entries_in(temp / "full") == 1);
}
