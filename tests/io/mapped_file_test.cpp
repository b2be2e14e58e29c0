#include "io/mapped_file.hpp"

#include <sys/stat.h>

#include <cstring>

#include "support/errors.hpp"
#include "support/files.hpp"
#include "support/temp_dir.hpp"

using sdtorch::ErrorKind;
using sdtorch::MappedFile;

TEST_CASE("a mapping holds the file's bytes, an empty file's none", "[io]") {
  const TempDir folder;
  write_file(folder / "x", std::string_view("a\0b", 3));
  write_file(folder / "empty", "");
  const MappedFile file(folder / "x", ErrorKind::input);
  REQUIRE(file.bytes().size() == 3);
  CHECK(std::memcmp(file.bytes().data(), "a\0b", 3) == 0);
  CHECK(MappedFile(folder / "empty", ErrorKind::input).bytes().empty());
}

TEST_CASE("what cannot be mapped is refused by name", "[io]") {
  const TempDir folder;
  REQUIRE(mkfifo((folder / "pipe").c_str(), 0600) == 0);
  check_error(ErrorKind::input, "none: cannot be opened: No such file or directory",
              [&] { MappedFile(folder / "none", ErrorKind::input); });
  check_error(ErrorKind::model, "is a folder", [&] { MappedFile(folder.path(), ErrorKind::model); });
  check_error(ErrorKind::model, "pipe: is no regular file", [&] { MappedFile(folder / "pipe", ErrorKind::model); });
}
