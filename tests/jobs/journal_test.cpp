#include "jobs/journal.hpp"

#include <sys/stat.h>

#include <thread>

#include "jobs/file_fingerprints.hpp"
#include "jobs/request_facts.hpp"
#include "support/catch.hpp"
#include "support/errors.hpp"
#include "support/files.hpp"
#include "support/temp_dir.hpp"

using namespace sdtorch;

namespace {

RunRecord some_run(int64_t first_index = 0) {
  return {.prompt_file = "prompts.txt",
          .name = "{index}.png",
          .settings = {{"dtype", "fp32"}},
          .defaults = {{"steps", 20}},
          .files = {{"model demo", "0123456789abcdef"}},
          .requests = {"0123456789abcdef", "fedcba9876543210"},
          .first_index = first_index};
}

PictureRecord some_picture(int64_t index) {
  return {.index = index, .path = "p.png", .sha256 = std::string(64, 'a'), .bytes = 7, .request = "0123456789abcdef"};
}

}  // namespace

TEST_CASE("a journal is read as it was written", "[jobs]") {
  const TempDir folder;
  PictureRecord noted = some_picture(1);
  noted.notes = {"VAE again in fp32"};
  {
    Journal journal(folder.path(), std::nullopt, false);
    journal.add(some_run());
    journal.add(FailureRecord{.index = 0, .request = "0123456789abcdef", .error = "NaN", .exit_code = 8});
    journal.add(noted);
  }
  JournalContent content = read_journal(folder / "sdtorch.jobs.jsonl");
  CHECK((content.runs == std::vector<RunRecord>{some_run()}));
  CHECK((content.pictures == std::map<int64_t, PictureRecord>{{1, noted}}));
  CHECK(content.failures.at(0).exit_code == 8);
  {
    Journal journal(folder.path(), std::nullopt, false);
    journal.add(some_picture(0));  // what failed succeeds
  }
  content = read_journal(folder / "sdtorch.jobs.jsonl");
  CHECK(content.failures.empty());
  write_file(folder / "sdtorch.jobs.jsonl", journal_text(content));
  CHECK((read_journal(folder / "sdtorch.jobs.jsonl").pictures == content.pictures));
}

TEST_CASE("a torn last line is passed over, and taken off before the next is written", "[jobs]") {
  const TempDir folder;
  const auto file = folder / "sdtorch.jobs.jsonl";
  { Journal(folder.path(), std::nullopt, false).add(some_picture(0)); }
  const std::string whole = file_contents(file);
  for (const size_t cut : {size_t{1}, whole.size() / 2, whole.size() - 1}) {
    write_file(file, whole + whole.substr(0, cut));
    CHECK(read_journal(file).pictures.size() == 1);
    { Journal(folder.path(), std::nullopt, false).add(some_picture(1)); }
    CHECK(read_journal(file).pictures.size() == 2);
  }
  write_file(file, whole.substr(0, 9));
  { Journal(folder.path(), std::nullopt, false).add(some_picture(3)); }
  CHECK(read_journal(file).pictures.size() == 1);
}

TEST_CASE("an empty line between a journal's is passed over", "[jobs]") {
  const TempDir folder;
  const auto file = folder / "sdtorch.jobs.jsonl";
  { Journal(folder.path(), std::nullopt, false).add(some_picture(0)); }
  const std::string whole = file_contents(file);
  write_file(file, "\n" + whole + " \r\n");
  CHECK(read_journal(file).pictures.size() == 1);
  Journal(folder.path(), std::nullopt, false).put_in_order();
  CHECK(file_contents(file) == whole);
}

TEST_CASE("a journal that is none is refused by its line", "[jobs]") {
  const TempDir folder;
  const auto file = folder / "sdtorch.jobs.jsonl";
  const auto check_line = [&](const std::string& line, const std::string& reason) {
    write_file(file, R"({"index":0,"path":"a.png","sha256":"","bytes":1,"request":""})"
                     "\n" +
                         line + "\n");
    check_error(ErrorKind::output, "line 2", [&] { read_journal(file); });
    check_error(ErrorKind::output, reason, [&] { read_journal(file); });
  };
  check_line("x", "take the line out");
  check_line("{}", "is no journal's");
  check_line("[]", "is no journal's");
  check_line(R"({"index":"0","path":"a.png","sha256":"","bytes":1,"request":""})", "is no journal's");
  check_line(R"({"index":1,"path":"../a.png","sha256":"","bytes":1,"request":""})", "is no file's name");
  check_line(R"({"index":1,"path":"","sha256":"","bytes":1,"request":""})", "is no file's name");
  check_line(R"({"run":{"version":99}})", "is of version 99");
  check_line(
      R"({"run":{"version":1,"prompt_file":"","model":"","name":"","settings":{},"defaults":{},"files":{},"first_index":0,"pictures":3,"requests":"00"}})",
      "do not fit");
}

TEST_CASE("one process at a time writes a folder's journal; shards write theirs beside one another", "[jobs]") {
  const TempDir folder;
  const Shard first{.index = 0, .count = 2}, second{.index = 1, .count = 2};
  {
    const Journal journal(folder.path(), std::nullopt, false);
    check_error(ErrorKind::in_use, "another run works", [&] { Journal(folder.path(), std::nullopt, false); });
    check_error(ErrorKind::in_use, "another run works", [&] { Journal(folder.path(), first, false); });
  }
  {
    Journal one(folder.path(), first, false), other(folder.path(), second, false);
    one.add(some_picture(0));
    check_error(ErrorKind::in_use, "another run works", [&] { Journal(folder.path(), first, false); });
    check_error(ErrorKind::in_use, "another run works", [&] { Journal(folder.path(), std::nullopt, false); });
    const Shard of_three{.index = 2, .count = 3};
    check_error(ErrorKind::in_use, "another number of shards", [&] { Journal(folder.path(), of_three, false); });
  }
  // A share that was refused, or has not begun, leaves none.
  const std::vector<std::filesystem::path> journals = {folder / "sdtorch.jobs.jsonl",
                                                       folder / "sdtorch.jobs.0-of-2.jsonl"};
  CHECK((journals_in(folder.path()) == journals));
  auto held = std::make_unique<Journal>(folder.path(), std::nullopt, false);
  std::thread waiting([&] { Journal(folder.path(), std::nullopt, true).add(some_picture(5)); });
  std::this_thread::sleep_for(std::chrono::milliseconds(300));
  held->add(some_picture(4));
  held.reset();
  waiting.join();
  CHECK(read_journal(folder / "sdtorch.jobs.jsonl").pictures.size() == 2);
}

TEST_CASE("facts are a picture's, wherever its files lie", "[jobs]") {
  Settings here;
  here.prompt = "a";
  here.lora = {"/home/one/style.safetensors:0.5"};
  here.device = "cuda:0";
  here.batch_size = 4;
  Settings there = here;
  there.lora = {"style.safetensors:0.5"};
  there.device = "cpu";
  there.batch_size = 1;
  CHECK(digest_of(request_facts(here)) == digest_of(request_facts(there)));
  there.lora = {"style.safetensors:0.6"};
  CHECK(digest_of(request_facts(here)) != digest_of(request_facts(there)));
  there = here;
  there.seed = 43;
  CHECK(digest_of(request_facts(here)) != digest_of(request_facts(there)));
  CHECK(differences(request_facts(here), request_facts(there)) == "\n  seed: 42, now 43");
}

TEST_CASE("a fingerprint tells another file or folder, not another place or time", "[jobs]") {
  const TempDir folder;
  std::filesystem::create_directories(folder / "a" / "unet");
  std::filesystem::create_directories(folder / "b" / "unet");
  for (const char* name : {"a", "b"}) write_file(folder / name / "unet" / "w.safetensors", "weights");
  CHECK(fingerprint(folder / "a") == fingerprint(folder / "b"));
  write_file(folder / "b" / ".hidden", "x");
  CHECK(fingerprint(folder / "a") == fingerprint(folder / "b"));
  write_file(folder / "b" / "unet" / "w.safetensors", "Weights");
  CHECK(fingerprint(folder / "a") != fingerprint(folder / "b"));
  CHECK(fingerprint(folder / "none").empty());
  std::string large(whole_bytes + 1'000'000, 'x');
  write_file(folder / "large", large);
  const std::string before = fingerprint(folder / "large");
  large.back() = 'y';
  write_file(folder / "large", large);
  CHECK(fingerprint(folder / "large") != before);
}

TEST_CASE("a journal that is a pipe is not waited for", "[jobs]") {
  const TempDir folder;
  REQUIRE(mkfifo((folder.path() / journal_name).c_str(), 0600) == 0);
  CHECK_THROWS_AS(read_journals(folder.path()), Error);
  CHECK_THROWS_AS(Journal(folder.path(), std::nullopt, false), Error);
}

TEST_CASE("a journal that is put in order is the same, whoever drew in whatever order", "[jobs]") {
  const TempDir folder;
  const auto drawn = [](int64_t index) {
    PictureRecord picture = some_picture(index);
    picture.path = std::to_string(index) + ".png";
    return picture;
  };
  const auto written = [&](const char* name, const std::vector<int64_t>& order, bool resumed) {
    std::filesystem::create_directory(folder / name);
    const std::filesystem::path file = folder / name / "sdtorch.jobs.jsonl";
    {
      Journal journal(folder / name, std::nullopt, false);
      journal.add(some_run());
      for (const int64_t index : order) journal.add(drawn(index));
      if (!resumed) journal.put_in_order();
    }
    if (resumed) Journal(folder / name, std::nullopt, false).put_in_order();
    return file_contents(file);
  };
  const std::string ordered = written("a", {0, 1, 2}, false);
  CHECK(written("b", {2, 0, 1}, false) == ordered);
  CHECK(written("c", {1, 2, 0, 1}, true) == ordered);
  CHECK(ordered == journal_text(read_journal(folder / "a" / "sdtorch.jobs.jsonl")));
}

TEST_CASE("of two records of a picture the later file's counts, whichever journal has it", "[jobs]") {
  JournalContent first, second;
  first.pictures[1] = second.pictures[1] = some_picture(1);
  first.pictures[1].path = "p-10.png";
  second.pictures[1].path = "p-2.png";
  JournalContent all = first;
  add_journal(all, second);
  CHECK(all.pictures.at(1).path == "p-10.png");
  all = second;
  add_journal(all, first);
  CHECK(all.pictures.at(1).path == "p-10.png");
}

TEST_CASE("a folder's journals are those of runs and of shares, and no copies of them", "[jobs]") {
  const TempDir folder;
  for (const char* name : {"sdtorch.jobs.jsonl", "sdtorch.jobs.0-of-2.jsonl", "sdtorch.jobs.backup-of-monday.jsonl"}) {
    write_file(folder / name, "");
  }
  CHECK(journals_in(folder.path()).size() == 2);
}
