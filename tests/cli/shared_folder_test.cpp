// Runs of several prompt files in one folder.
#include <chrono>
#include <filesystem>
#include <future>
#include <string>
#include <thread>
#include <vector>

#include "cli/continued.hpp"
#include "io/atomic_file.hpp"
#include "io/folder_lock.hpp"
#include "jobs/journal.hpp"
#include "support/catch.hpp"
#include "support/files.hpp"
#include "support/process.hpp"

namespace fs = std::filesystem;
using namespace sdtorch;

namespace {

/// A share of prompts.txt that has planned when another one, whose files lie in the folder `elsewhere`, gets its
/// numbers.
ProcessResult run_overtaken(const Continued& prompts, const std::vector<std::string>& flags,
                            const std::vector<fs::path>& files) {
  const fs::path out = prompts.folder / "out";
  std::future<ProcessResult> share;
  {
    const FolderLock others(out, true);
    share = std::async(std::launch::async, [&] { return prompts.run(flags); });
    std::this_thread::sleep_for(std::chrono::seconds(3));  // it waits by now
    for (const fs::path& file : files) {
      write_file_atomically(out / file, file_contents(prompts.folder / "elsewhere" / file));
    }
  }
  ProcessResult result = share.get();
  INFO(result.err);
  CHECK(result.err.find("waiting for another run that begins") != std::string::npos);
  return result;
}

}  // namespace

TEST_CASE("a prompt file begins in a folder that another one has filled, resumed and in shares", "[cli]") {
  const Continued prompts("a cat\na dog\n");
  write_file(prompts.folder / "more.txt", "a lion\na tiger\na bear\n");
  for (const char* outdir : {"resumed", "shared", "plain"}) REQUIRE(prompts.run({}, outdir).exit_code == 0);
  CHECK(prompts.verify({"--from-file", "more.txt", "-m", prompts.model}, "resumed") == 3);  // has not begun
  CHECK(prompts.run({}, "plain", "more.txt").exit_code == 0);
  CHECK(prompts.run({"--resume"}, "resumed", "more.txt").exit_code == 0);
  CHECK(prompts.contents("resumed") == prompts.contents("plain"));
  CHECK(prompts.run({"--shard", "1/2"}, "shared", "more.txt").exit_code == 0);
  CHECK(prompts.verify({"--from-file", "more.txt"}, "shared") == 3);
  CHECK(prompts.run({"--shard", "0/2"}, "shared", "more.txt").exit_code == 0);
  CHECK(prompts.verify({"--from-file", "more.txt", "--join"}, "shared") == 0);
  CHECK(prompts.contents("shared") == prompts.contents("plain"));
  CHECK(prompts.run({"--resume"}, "shared").exit_code == 0);
  CHECK(prompts.verify({"--from-file", "prompts.txt"}, "shared") == 0);
  CHECK(prompts.contents("shared").size() == 6);

  write_file(prompts.folder / "more.txt", "a wolf\na tiger\na bear\n");  // its own run is another now
  const auto edited = prompts.run({"--shard", "1/2"}, "shared", "more.txt");
  CHECK(edited.exit_code == 2);
  CHECK(edited.err.find("--shard") != std::string::npos);
  CHECK(prompts.run({"--resume"}, "resumed", "more.txt").exit_code == 2);
  CHECK(prompts.contents("resumed") == prompts.contents("plain"));
}

TEST_CASE("a share takes its numbers after those of another prompt file's that begins at the same moment", "[cli]") {
  const Continued prompts("a cat\na dog\n");
  write_file(prompts.folder / "more.txt", "a lion\na tiger\na bear\n");
  REQUIRE(prompts.run({"--shard", "1/2"}, "elsewhere", "more.txt").exit_code == 0);
  const fs::path out = prompts.folder / "out", other = "sdtorch.jobs.1-of-2.jsonl";
  fs::create_directory(out);
  CHECK(run_overtaken(prompts, {"--shard", "0/2"}, {other}).exit_code == 0);
  const std::vector<RunRecord> runs = read_journals(out).runs;
  REQUIRE(runs.size() == 2);
  for (const RunRecord& run : runs) {
    CHECK(run.first_index == (run.prompt_file == "more.txt" ? 0 : 3));
  }
}

TEST_CASE("lines that were added take no numbers that another prompt file takes at the same moment", "[cli]") {
  const Continued prompts("a cat\na dog\n");
  write_file(prompts.folder / "more.txt", "a lion\na tiger\na bear\n");
  const fs::path out = prompts.folder / "out", other = "sdtorch.jobs.1-of-2.jsonl";
  REQUIRE(prompts.run({"--shard", "0/2"}).exit_code == 0);
  fs::copy(out, prompts.folder / "elsewhere");
  REQUIRE(prompts.run({"--shard", "1/2"}, "elsewhere", "more.txt").exit_code == 0);  // behind two pictures
  prompts.add("a wolf");
  const ProcessResult refused = run_overtaken(prompts, {"--shard", "0/2"}, {other});
  CHECK(refused.exit_code == 2);
  CHECK(refused.err.find("the numbers that they would have are those of more.txt") != std::string::npos);
  CHECK(prompts.run({"--shard", "0/2"}, "out", "more.txt").exit_code == 0);
  CHECK(prompts.verify({"--from-file", "more.txt"}) == 3);  // its other share is still to come
}

TEST_CASE("a share takes the seeds of one that began meanwhile, before a line was added", "[cli]") {
  const Continued prompts("a cat\na dog\n");
  const fs::path out = prompts.folder / "out", elsewhere = prompts.folder / "elsewhere";
  REQUIRE(prompts.run({"--shard", "0/2", "-s", "-1"}, "elsewhere").exit_code == 0);
  prompts.add("a wolf");
  fs::create_directory(out);
  std::vector<fs::path> files;
  for (const auto& entry : fs::directory_iterator(elsewhere)) files.push_back(entry.path().filename());
  CHECK(run_overtaken(prompts, {"--shard", "1/2", "-s", "-1"}, files).exit_code == 0);
  CHECK(prompts.run({"--shard", "0/2", "-s", "-1"}).exit_code == 0);
  CHECK(prompts.verify({"--from-file", "prompts.txt", "--join"}) == 0);
}

TEST_CASE("a prompt file goes on with its own run, not with a later one that its lines begin with", "[cli]") {
  const Continued prompts("a cat\na dog\n");
  write_file(prompts.folder / "less.txt", "a cat\n");
  REQUIRE(prompts.run({}).exit_code == 0);
  REQUIRE(prompts.run({}, "out", "less.txt").exit_code == 0);
  const auto whole = prompts.contents();
  CHECK(prompts.verify({"--from-file", "prompts.txt"}) == 0);
  CHECK(prompts.run({"--resume"}).exit_code == 0);
  CHECK(prompts.contents() == whole);
  // One of a new name goes on with none whose next numbers are another's.
  write_file(prompts.folder / "new.txt", "a cat\na dog\na lion\n");
  CHECK(prompts.run({"--resume"}, "out", "new.txt").exit_code == 0);
  CHECK(prompts.verify({"--from-file", "new.txt"}) == 0);
  CHECK(prompts.verify({"--from-file", "prompts.txt"}) == 0);
  fs::rename(prompts.folder / "prompts.txt", prompts.folder / "renamed.txt");
  const auto before = prompts.contents();
  CHECK(prompts.verify({"--from-file", "renamed.txt"}) == 0);
  CHECK(prompts.run({"--resume"}, "out", "renamed.txt").out.empty());
  CHECK(prompts.contents().size() == before.size());
  fs::rename(prompts.folder / "renamed.txt", prompts.folder / "prompts.txt");
  for (const std::string file : {"prompts.txt", "less.txt"}) {
    REQUIRE(prompts.run({"--shard", "0/2"}, "shared", file).exit_code == 0);
  }
  for (const std::string file : {"prompts.txt", "less.txt"}) {
    CHECK(prompts.run({"--shard", "1/2"}, "shared", file).exit_code == 0);
    CHECK(prompts.verify({"--from-file", file, "--join"}, "shared") == 0);
  }
}

TEST_CASE("a folder is verified whatever another run was begun with is gone", "[cli]") {
  const Continued prompts("a cat\n");
  write_file(prompts.folder / "more.txt", "a __thing__\n");
  fs::create_directory(prompts.folder / "words");
  write_file(prompts.folder / "words/thing.txt", "lion\n");
  REQUIRE(prompts.run({}).exit_code == 0);
  REQUIRE(prompts.run({"--wildcards", "words"}, "out", "more.txt").exit_code == 0);
  fs::remove_all(prompts.folder / "words");
  CHECK(prompts.verify() == 0);
  CHECK(prompts.verify({"--from-file", "prompts.txt"}) == 0);
  CHECK(prompts.verify({"--from-file", "more.txt"}) == 2);
  fs::rename(prompts.folder / "prompts.txt", prompts.folder / "renamed.txt");
  CHECK(prompts.verify({"--from-file", "renamed.txt"}) == 0);
}

TEST_CASE("seeds left to chance are a prompt file's own in a folder of another one's", "[cli]") {
  const Continued prompts("a cat\n");
  write_file(prompts.folder / "more.txt", "a lion\na tiger -s -1\n");
  REQUIRE(prompts.run({"-s", "-1"}).exit_code == 0);
  REQUIRE(prompts.run({"-s", "-1", "--resume"}, "out", "more.txt").exit_code == 0);
  const JournalContent known = read_journal(prompts.folder / "out" / journal_name);
  REQUIRE(known.runs.size() == 2);
  CHECK(known.runs[0].defaults["seed"] != known.runs[1].defaults["seed"]);
  CHECK(known.runs[0].seeds_from != known.runs[1].seeds_from);
  const auto whole = prompts.contents();
  CHECK(prompts.run({"-s", "-1", "--resume"}, "out", "more.txt").exit_code == 0);
  CHECK(prompts.run({"-s", "-1", "--resume"}).exit_code == 0);
  CHECK(prompts.contents() == whole);
}

TEST_CASE("a prompt file is verified as its own run was begun, whatever it is called and came after it", "[cli]") {
  const Continued prompts("a cat\na dog -s -1\n");
  REQUIRE(prompts.run({"-s", "7"}).exit_code == 0);
  fs::create_directory(prompts.folder / "other");
  write_file(prompts.folder / "other/prompts.txt", "a lion\n");
  REQUIRE(prompts.run({"-s", "8"}, "out", "other/prompts.txt").exit_code == 0);
  CHECK(prompts.verify({"--from-file", "prompts.txt"}) == 0);
  CHECK(prompts.verify({"--from-file", "other/prompts.txt"}) == 0);
  fs::rename(prompts.folder / "prompts.txt", prompts.folder / "renamed.txt");
  CHECK(prompts.verify({"--from-file", "renamed.txt"}) == 0);
  write_file(prompts.folder / "renamed.txt", "a wolf\n");
  CHECK(prompts.verify({"--from-file", "renamed.txt"}) == 3);  // has not begun
}
