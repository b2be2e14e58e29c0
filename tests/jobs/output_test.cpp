#include <unistd.h>

#include <span>
#include <thread>

#include "io/atomic_file.hpp"
#include "io/sha256.hpp"
#include "jobs/output_folder.hpp"
#include "jobs/output_names.hpp"
#include "jobs/picture_writer.hpp"
#include "pipeline/metadata.hpp"
#include "support/catch.hpp"
#include "support/errors.hpp"
#include "support/files.hpp"
#include "support/pictures.hpp"
#include "support/temp_dir.hpp"

using namespace sdtorch;

namespace {

Settings request_for(const std::string& prompt, uint64_t seed = 42) {
  Settings request;
  request.prompt = prompt;
  request.seed = seed;
  request.width = 64;
  request.height = 32;
  request.sampler = "euler";
  return request;
}

}  // namespace

TEST_CASE("a slug keeps words and nothing that a file system minds", "[jobs]") {
  CHECK(slug("A Pirate Ship, near a paradise beach!") == "a-pirate-ship-near-a-paradise-beach");
  CHECK(slug("") == "image");
  CHECK(slug("../../etc/passwd") == "etc-passwd");
  CHECK(slug(".hidden -- \n") == "hidden");
  CHECK(slug("🏴 ☠") == "image");
  CHECK(slug("ÉCOLE 海賊船") == "école-海賊船");
  CHECK(slug("one two three", 8) == "one-two");
  CHECK(slug("one two three", 7) == "one-two");
  CHECK(slug(std::string(100, 'x')) == std::string(48, 'x'));
  CHECK(slug(std::string(30, 'x') + " " + std::string(30, 'y')) == std::string(30, 'x'));
  for (size_t most = 3; most < 20; ++most) {
    const std::string cut = slug("海賊船海賊船海賊船", most);
    CHECK(cut.size() <= most);
    CHECK(cut.size() % 3 == 0);
  }
}

TEST_CASE("templates are filled and find their index again", "[jobs]") {
  const Settings request = request_for("A boat", 7);
  CHECK(NameTemplate(default_name_template).fill(3, picture_for(request), request) == "00003-7-a-boat.png");
  CHECK(NameTemplate("{{x}}_{width}x{height}_{steps:04}_{sampler}_{cfg}_{model}.PNG")
            .fill(1, picture_for(request), request) == "{x}_64x32_0020_euler_7.5_demo.PNG");
  const NameTemplate names(default_name_template);
  CHECK(names.index_in("00012-1-x.png") == 12);
  CHECK(names.index_in("7.png") == 7);
  CHECK_FALSE(names.index_in("x.png"));
  CHECK_FALSE(names.index_in("99999999999999999999999-x.png"));
  CHECK(NameTemplate("p{index}.png").index_in("p8.png") == 8);
  CHECK_FALSE(NameTemplate("p{index}.png").index_in("8.png"));
  CHECK_FALSE(NameTemplate("{seed}-{index}.png").index_in("8-9.png"));
  for (const char* no_end : {"{index}{seed}.png", "{index}{slug}.png", "p{index}0.png"}) {
    CHECK_FALSE(NameTemplate(no_end).index_in("042.png"));
    CHECK_FALSE(NameTemplate(no_end).index_in("p10.png"));
  }
  CHECK(NameTemplate("{index}-{seed}.PNG").index_in("12-1.PNG") == 12);
  CHECK_THROWS_AS(NameTemplate("\xff{slug}.png"), Error);
  CHECK_THROWS_AS(NameTemplate("a\n{slug}.png"), Error);
}

TEST_CASE("pictures take the next free name and never another's", "[jobs]") {
  const TempDir folder;
  write_file(folder / "00041-1-old.png", "old");
  PictureWriter writer({.outdir = folder.path()});
  CHECK(writer.write(picture_for(request_for("a")), {}, 0).path.filename() == "00042-42-a.png");
  write_file(folder / "00043-42-a.png", "another run's");
  CHECK(writer.write(picture_for(request_for("a")), {}, 0).path.filename() == "00044-42-a.png");
  CHECK(file_contents(folder / "00043-42-a.png") == "another run's");
  CHECK(entries_in(folder.path()) == 4);

  const TempDir plain;
  PictureWriter unnumbered({.outdir = plain.path() / "new" / "one", .name = "{seed}.png"});
  CHECK(unnumbered.write(picture_for(request_for("a")), {}, 0).path.filename() == "42.png");
  CHECK(unnumbered.write(picture_for(request_for("a")), {}, 0).path.filename() == "42-2.png");
  CHECK(unnumbered.write(picture_for(request_for("a")), {}, 0).path.filename() == "42-3.png");
  CHECK(unnumbered.write(picture_for(request_for("a", 43)), {}, 0).path.filename() == "43.png");
}

TEST_CASE("pictures of a run that has a first index are named by their numbers, in any order", "[jobs]") {
  const TempDir folder;
  PictureWriter writer({.outdir = folder.path(), .name = "{index:03}-{slug}.png"}, 10);
  const WrittenPicture fifth = writer.write(picture_for(request_for("e")), {}, 5);
  CHECK(fifth.path.filename() == "015-e.png");
  const std::string bytes = file_contents(fifth.path);
  CHECK(fifth.bytes == bytes.size());
  CHECK(fifth.sha256 == sha256(std::as_bytes(std::span(bytes.data(), bytes.size()))));
  CHECK(writer.write(picture_for(request_for("a")), {}, 0).path.filename() == "010-a.png");
  write_file(folder / "011-b.png", "another's");
  CHECK(writer.write(picture_for(request_for("b")), {}, 1).path.filename() == "011-b-2.png");
  CHECK(file_contents(folder / "011-b.png") == "another's");
}

TEST_CASE("two runs in one folder share it without loss", "[jobs]") {
  const TempDir folder;
  const auto run = [&] {
    PictureWriter writer({.outdir = folder.path(), .name = "{index}.png"});
    for (int i = 0; i < 20; ++i) writer.write(picture_for(request_for("a")), {}, 0);
  };
  std::thread other(run);
  run();
  other.join();
  CHECK(entries_in(folder.path()) == 40);
}

TEST_CASE("--output's file is replaced and carries its request", "[jobs]") {
  const TempDir folder;
  write_file(folder / "a.png", "old");
  PictureWriter writer({.output = folder / "a.png"});
  CHECK(writer.write(picture_for(request_for("a 海", 9)), {}, 0).path == folder / "a.png");
  Settings repeated = settings_from_picture(folder / "a.png");
  CHECK(repeated == request_for("a 海", 9));
  CHECK(entries_in(folder.path()) == 1);
}

TEST_CASE("output places that cannot be are refused, and nothing is written", "[jobs]") {
  const TempDir folder;
  write_file(folder / "file", "x");
  check_error(ErrorKind::output, "is a folder", [&] { check_file(folder.path()); });
  check_error(ErrorKind::output, "its folder does not exist", [&] { check_file(folder / "no" / "a.png"); });
  check_error(ErrorKind::output, "is not a regular file", [&] { check_file("/dev/null"); });
  check_error(ErrorKind::output, "is not a folder", [&] { check_folder(folder / "file" / "deep"); });
  check_error(ErrorKind::output, "cannot be made", [&] { make_folder(folder / "file" / "deep"); });
  CHECK_NOTHROW(check_folder(folder / "new" / "deep"));
  CHECK_NOTHROW(check_folder(""));
  CHECK_NOTHROW(check_file(folder / "file"));
  if (geteuid() != 0) check_error(ErrorKind::output, "cannot be written to", [] { check_folder("/etc"); });
  CHECK(entries_in(folder.path()) == 1);
}

TEST_CASE("a new file does not replace what is there", "[jobs]") {
  const TempDir folder;
  write_file(folder / "a", "old");
  AtomicFile taken(folder / "a");
  taken.write(std::string_view("new"));
  CHECK_FALSE(taken.commit_new());
  AtomicFile free(folder / "b");
  free.write(std::string_view("new"));
  CHECK(free.commit_new());
  CHECK(file_contents(folder / "a") == "old");
  CHECK(file_contents(folder / "b") == "new");
}
