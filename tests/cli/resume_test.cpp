// A prompt file's run as its users meet it: killed, resumed, checked.
#include <sys/stat.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <map>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "jobs/journal.hpp"
#include "support/catch.hpp"
#include "support/files.hpp"
#include "support/golden.hpp"
#include "support/process.hpp"
#include "support/temp_dir.hpp"

namespace fs = std::filesystem;
using namespace sdtorch;

namespace {

const std::string tiny = golden_path("pipeline/models/sd1").string();

/// A folder with a prompt file, and runs over it.
class PromptFolder {
 public:
  explicit PromptFolder(const std::string& prompts) { write_file(folder / "prompts.txt", prompts); }

  ProcessResult run(std::vector<std::string> more = {}, const std::string& outdir = "out") const {
    std::vector<std::string> arguments = {"-m",       tiny,   "--from-file", "prompts.txt",
                                          "--outdir", outdir, "--cfg-scale", "1"};
    if (std::ranges::find(more, "--steps") == more.end()) more.insert(more.end(), {"--steps", "1"});
    arguments.insert(arguments.end(), more.begin(), more.end());
    return run_sdtorch(arguments, {.folder = folder.path()});
  }

  ProcessResult verify(std::vector<std::string> more = {}, const std::string& outdir = "out") const {
    std::vector<std::string> arguments = {"verify", outdir};
    arguments.insert(arguments.end(), more.begin(), more.end());
    return run_sdtorch(arguments, {.folder = folder.path()});
  }

  /// Names and contents of the pictures.
  std::map<std::string, std::string> pictures(const std::string& outdir = "out") const {
    std::map<std::string, std::string> found;
    for (const auto& entry : fs::directory_iterator(folder / outdir)) {
      const std::string name = entry.path().filename().string();
      if (name.ends_with(".png")) found[name] = file_contents(entry.path());
    }
    return found;
  }

  const TempDir folder{};
};

size_t lines_of(const std::string& text) { return static_cast<size_t>(std::ranges::count(text, '\n')); }

}  // namespace

TEST_CASE("a run is resumed: what is there stays, what is gone or new is drawn, nothing twice", "[cli]") {
  const PromptFolder batch("a\nb\n# no prompt\nc\n");
  const ProcessResult first = batch.run();
  INFO(first.err);
  REQUIRE(first.exit_code == 0);
  CHECK(lines_of(first.out) == 3);
  const auto whole = batch.pictures();
  REQUIRE(whole.size() == 3);
  CHECK(whole.contains("00000-42-a.png"));
  CHECK(batch.verify().exit_code == 0);
  CHECK(batch.verify({"--from-file", "prompts.txt"}).out == "3 of 3 pictures are as they should be\n");

  const ProcessResult again = batch.run({"--resume"});
  CHECK(again.exit_code == 0);
  CHECK(again.out.empty());
  CHECK((batch.pictures() == whole));

  fs::remove(batch.folder / "out" / "00001-42-b.png");
  CHECK(batch.verify().exit_code == 3);
  CHECK(batch.verify().out.find("gone 00001 00001-42-b.png") == 0);
  const ProcessResult mended = batch.run({"--resume"});
  CHECK(mended.out == "out/00001-42-b.png\n");
  CHECK((batch.pictures() == whole));

  std::ofstream(batch.folder / "prompts.txt", std::ios::app) << "d\n";
  CHECK(batch.verify({"--from-file", "prompts.txt"}).out.find("missing 00003: is still to be drawn\n3 of 4") == 0);
  CHECK(batch.run({"--resume"}).out == "out/00003-42-d.png\n");
  CHECK(batch.verify({"--from-file", "prompts.txt"}).exit_code == 0);
  CHECK(batch.pictures().size() == 4);
}

TEST_CASE("a published picture that a kill kept from the journal is taken, and a torn line is mended", "[cli]") {
  for (const std::string name : {"{index:05}-{seed}-{slug}.png", "{slug}-{index}.png", "{seed}.png"}) {
    INFO(name);
    const PromptFolder batch("a\nb\na\n");
    REQUIRE(batch.run({"--name", name}).exit_code == 0);
    const auto whole = batch.pictures();
    const fs::path journal = batch.folder / "out" / journal_name;
    const std::string text = file_contents(journal);
    // Not the last two records, and half of one before.
    size_t end = text.size();
    for (int i = 0; i < 2; ++i) end = text.rfind('\n', end - 2) + 1;
    write_file(journal, text.substr(0, end) + text.substr(end, 40));
    CHECK(batch.verify().exit_code == 3);
    const ProcessResult resumed = batch.run({"--resume", "--name", name});
    INFO(resumed.err);
    CHECK(resumed.exit_code == 0);
    CHECK(resumed.out.empty());
    CHECK((batch.pictures() == whole));
    CHECK(batch.verify().exit_code == 0);
  }
}

TEST_CASE("a picture that no journal tells of is taken only if it is whole and the run's model drew it", "[cli]") {
  const PromptFolder batch("a\nb\n");
  REQUIRE(batch.run().exit_code == 0);
  const auto whole = batch.pictures();
  const fs::path journal = batch.folder / "out" / journal_name, second = batch.folder / "out" / "00001-42-b.png";
  const std::string text = file_contents(journal);
  const std::string first_only = text.substr(0, text.rfind('\n', text.size() - 2) + 1);
  fs::copy(tiny, batch.folder / "other", fs::copy_options::recursive);
  REQUIRE(run_sdtorch({"-m", "other", "-p", "b", "-o", "b.png", "--cfg-scale", "1", "--steps", "1"},
                      {.folder = batch.folder.path()})
              .exit_code == 0);
  // One that a copy cut short, and one of another model.
  for (const std::string& there : {whole.at("00001-42-b.png").substr(0, 9000), file_contents(batch.folder / "b.png")}) {
    write_file(journal, first_only);
    write_file(second, there);
    const ProcessResult resumed = batch.run({"--resume"});
    INFO(resumed.err);
    CHECK(resumed.out == "out/00001-42-b-2.png\n");
    CHECK(file_contents(second) == there);
    CHECK(batch.pictures().at("00001-42-b-2.png") == whole.at("00001-42-b.png"));
    fs::remove(batch.folder / "out" / "00001-42-b-2.png");
  }
}

TEST_CASE("another model or request is refused by what differs, and nothing is drawn", "[cli]") {
  const PromptFolder batch("a\nb\n");
  REQUIRE(batch.run().exit_code == 0);
  const auto check_refused = [&](const std::vector<std::string>& flags, const std::string& difference) {
    const ProcessResult run = batch.run(flags);
    INFO(run.err);
    CHECK(run.exit_code == 2);
    CHECK(run.err.find(difference) != std::string::npos);
    CHECK(batch.pictures().size() == 2);
  };
  check_refused({"--resume", "--steps", "2"}, "steps: 1, now 2");
  check_refused({"--resume", "-s", "7"}, "seed: 42, now 7");
  check_refused({"--resume", "--name", "{index}.png"}, "name: {index:05}-{seed}-{slug}.png, now {index}.png");
  check_refused({"--resume", "-b", "2"}, "batch-count: 1, now 2");
  write_file(batch.folder / "prompts.txt", "a\nB\n");
  check_refused({"--resume"}, "picture 1 of 2 is another than it was");
  write_file(batch.folder / "prompts.txt", "a\n");
  check_refused({"--resume"}, "pictures: 2, now 1");
  write_file(batch.folder / "prompts.txt", "a\nb\n");

  fs::copy(tiny, batch.folder / "model", fs::copy_options::recursive);
  std::vector<std::string> other = {"-m",          "model", "--from-file", "prompts.txt", "--outdir", "out",
                                    "--cfg-scale", "1",     "--steps",     "1",           "--resume"};
  other[1] = (batch.folder / "model").string();
  const fs::path weights = batch.folder / "model" / "unet" / "diffusion_pytorch_model.safetensors";
  const auto refusal = [&] { return run_sdtorch(other, {.folder = batch.folder.path()}).err; };
  const std::string before = refusal();
  write_file(batch.folder / "model" / "README.md", "a note beside the weights");
  CHECK(refusal() == before);
  std::string bytes = file_contents(weights);
  bytes.back() = static_cast<char>(bytes.back() ^ 1);
  write_file(weights, bytes);
  const ProcessResult changed = run_sdtorch(other, {.folder = batch.folder.path()});
  CHECK(changed.exit_code == 2);
  CHECK(changed.err.find("model model: not given, now") != std::string::npos);
}

TEST_CASE("seeds that were left to chance are drawn again as they were", "[cli]") {
  const PromptFolder batch("a\nb\n");
  write_file(batch.folder / "prompts.jsonl", R"({"prompt": "a"})"
                                             "\n"
                                             R"({"prompt": "b", "seed": -1})"
                                             "\n"
                                             R"({"prompt": "c", "variation-strength": 0.2})"
                                             "\n");
  const auto run = [&](const std::vector<std::string>& more, const std::string& outdir) {
    std::vector<std::string> arguments = {"-m", tiny, "--from-file", "prompts.jsonl", "--outdir",   outdir, "--steps",
                                          "1",  "-s", "-1",          "--name",        "{index}.png"};
    arguments.insert(arguments.end(), more.begin(), more.end());
    return run_sdtorch(arguments, {.folder = batch.folder.path()});
  };
  REQUIRE(run({}, "out").exit_code == 0);
  CHECK(batch.verify({"--from-file", "prompts.jsonl"}).exit_code == 0);
  const auto whole = batch.pictures();
  for (const char* name : {"0.png", "1.png", "2.png"}) fs::remove(batch.folder / "out" / name);
  REQUIRE(run({"--resume"}, "out").exit_code == 0);
  CHECK((batch.pictures() == whole));
  REQUIRE(run({}, "other").exit_code == 0);
  CHECK((batch.pictures("other") != whole));
}

TEST_CASE("without --resume a folder's next run comes after the one that is there", "[cli]") {
  const PromptFolder batch("a\nb\n");
  REQUIRE(batch.run().exit_code == 0);
  REQUIRE(batch.run().exit_code == 0);
  CHECK(batch.pictures().size() == 4);
  CHECK(batch.pictures().contains("00003-42-b.png"));
  CHECK(batch.verify().out == "4 of 4 pictures are as they should be\n");
}

TEST_CASE("a folder in which another run works is left", "[cli]") {
  const PromptFolder batch("a\n");
  fs::create_directories(batch.folder / "out");
  {
    const Journal held(batch.folder / "out", std::nullopt, false);
    const ProcessResult left = batch.run();
    CHECK(left.exit_code == 11);
    CHECK(left.err.find("another run works in this folder") != std::string::npos);
    CHECK(batch.verify({"--join"}).exit_code == 11);
  }
  CHECK(batch.run().exit_code == 0);
}

TEST_CASE("what cannot be drawn is left out and told, unless the run is to end there", "[cli]") {
  const PromptFolder batch("");
  write_file(batch.folder / "prompts.jsonl",
             "{\"prompt\": \"a\"}\n{\"prompt\": \"b\", \"cfg-scale\": 1e38}\n{\"prompt\": \"c\"}\n");
  const auto run = [&](const std::string& how, const std::string& outdir) {
    return run_sdtorch(
        {"-m", tiny, "--from-file", "prompts.jsonl", "--outdir", outdir, "--steps", "2", how, "--dtype", "fp32"},
        {.folder = batch.folder.path()});
  };
  const ProcessResult rest = run("--keep-going", "out");
  INFO(rest.err);
  CHECK(rest.exit_code == 3);
  CHECK(lines_of(rest.out) == 2);
  CHECK(rest.err.find("prompts.jsonl: line 2: ") != std::string::npos);
  CHECK(rest.err.find("1 of 3 pictures could not be drawn") != std::string::npos);
  CHECK(batch.verify().out.find("failed 00001: ") == 0);
  CHECK(run("--resume", "out").exit_code == 3);
  CHECK(batch.pictures().size() == 2);

  const ProcessResult fast = run("--fail-fast", "fast");
  CHECK(fast.exit_code == 8);
  CHECK(lines_of(fast.out) == 1);
  CHECK(fast.err.find("error: prompts.jsonl: line 2: ") != std::string::npos);
  const ProcessResult events = run_sdtorch({"-m", tiny, "--from-file", "prompts.jsonl", "--outdir", "events", "--steps",
                                            "2", "--fail-fast", "--dtype", "fp32", "--json"},
                                           {.folder = batch.folder.path()});
  CHECK(events.exit_code == 8);
  CHECK(events.out.find("{\"event\":\"failed\",\"index\":1,") != std::string::npos);
  CHECK(events.err.find("\"failed\":1") != std::string::npos);
}

TEST_CASE("verify tells a damaged picture and one that carries other parameters; a resume draws them again", "[cli]") {
  const PromptFolder batch("a\nb\nc\n");
  REQUIRE(batch.run().exit_code == 0);
  const fs::path folder = batch.folder / "out";
  std::string bytes = file_contents(folder / "00000-42-a.png");
  bytes[bytes.size() / 2] = static_cast<char>(bytes[bytes.size() / 2] ^ 1);
  write_file(folder / "00000-42-a.png", bytes);
  write_file(folder / "00001-42-b.png", "short");
  write_file(folder / "other.png", "of nobody");
  const ProcessResult told = batch.verify({"--json"});
  CHECK(told.exit_code == 3);
  const auto report = nlohmann::json::parse(told.out);
  CHECK(report["complete"] == false);
  CHECK(report["pictures"] == 3);
  CHECK(report["right"] == 1);
  CHECK(report["faults"][0]["fault"] == "damaged");
  CHECK(report["faults"][1]["reason"].get<std::string>().find("has 5 bytes") == 0);
  CHECK(report["others"] == nlohmann::json{"other.png"});
  CHECK(batch.verify({}, "nowhere").exit_code == 6);

  const ProcessResult resumed = batch.run({"--resume"});
  CHECK(resumed.exit_code == 0);
  CHECK(resumed.out == "out/00000-42-a-2.png\nout/00001-42-b-2.png\n");
  CHECK(resumed.err.find("2 pictures of the journal are not in the folder, or damaged") != std::string::npos);
  CHECK(file_contents(folder / "00000-42-a.png") == bytes);  // nothing is overwritten
  CHECK(batch.verify({"--from-file", "prompts.txt"}).exit_code == 0);
}

TEST_CASE("a file that two records name is one picture's: the other is gone, and drawn by a resume", "[cli]") {
  const PromptFolder batch("a\na\n");
  REQUIRE(batch.run().exit_code == 0);
  const fs::path journal = batch.folder / "out" / journal_name, second = batch.folder / "out" / "00001-42-a.png";
  const std::string bytes = file_contents(second);
  std::string text = file_contents(journal);
  text.replace(text.find("00001-42-a.png"), 14, "00000-42-a.png");
  write_file(journal, text);
  fs::remove(second);
  const ProcessResult told = batch.verify();
  CHECK(told.exit_code == 3);
  CHECK(told.out.find("gone 00001 00000-42-a.png: is picture 0's file\n1 of 2 pictures") == 0);
  CHECK(batch.run({"--resume"}).exit_code == 0);
  CHECK(file_contents(second) == bytes);
  CHECK(batch.verify().exit_code == 0);
}

TEST_CASE("a folder whose run was killed before it wrote what it is about is not verified", "[cli]") {
  const PromptFolder batch("a\n");
  fs::create_directory(batch.folder / "out");
  write_file(batch.folder / "out" / journal_name, "");
  CHECK(batch.verify().exit_code == 3);
  CHECK(batch.verify({"--from-file", "prompts.txt"}).out.find("missing: no run") == 0);
  CHECK(batch.run({"--resume"}).exit_code == 0);
  CHECK(batch.verify({"--from-file", "prompts.txt"}).exit_code == 0);
}

TEST_CASE("a picture that a kill kept from the journal is taken up whatever the names", "[cli]") {
  for (const char* names : {"{slug}.PNG", ".png", "{index}{seed}.png", "{seed}{index}{index}.Png"}) {
    const PromptFolder batch("a\nb\nc\n");
    REQUIRE(batch.run({"--name", names}).exit_code == 0);
    const fs::path journal = batch.folder / "out" / journal_name;
    const auto files = [&] { return std::distance(fs::directory_iterator(batch.folder / "out"), {}); };
    CHECK(files() == 4);
    const std::string whole = file_contents(journal);
    write_file(journal, whole.substr(0, whole.rfind('\n', whole.size() - 2) + 1));
    const ProcessResult resumed = batch.run({"--name", names, "--resume"});
    CHECK(resumed.exit_code == 0);
    CHECK(resumed.out.empty());
    CHECK(files() == 4);
    CHECK(file_contents(journal) == whole);
    CHECK(batch.verify().exit_code == 0);
  }
}

TEST_CASE("a picture whose pixels are damaged is not taken up, nor one that was found damaged before", "[cli]") {
  const PromptFolder batch("a\nb\n");
  REQUIRE(batch.run().exit_code == 0);
  const auto whole = batch.pictures();
  const fs::path second = batch.folder / "out" / "00001-42-b.png", third = batch.folder / "out" / "00001-42-b-2.png";
  std::string flipped = whole.at("00001-42-b.png");
  flipped[flipped.size() - 40] ^= 1;
  write_file(second, flipped);
  for (int again = 0; again < 2; ++again) {
    CHECK(batch.run({"--resume"}).out == "out/00001-42-b-2.png\n");
    CHECK(file_contents(third) == whole.at("00001-42-b.png"));
    fs::remove(third);
  }
  const fs::path journal = batch.folder / "out" / journal_name;
  const std::string text = file_contents(journal);
  write_file(journal, text.substr(0, text.rfind('\n', text.size() - 2) + 1));  // nothing tells of it now
  CHECK(batch.run({"--resume"}).out == "out/00001-42-b-2.png\n");
  CHECK(batch.verify().exit_code == 0);
}

TEST_CASE("several runs in one folder are each gone on with, and keep out of one another's numbers", "[cli]") {
  const PromptFolder batch("a\nb\n");
  write_file(batch.folder / "others.txt", "c\n");
  const auto others = [&](std::vector<std::string> more) {
    std::vector<std::string> arguments = {"-m", tiny, "--from-file", "others.txt", "--outdir", "out", "--steps", "1"};
    arguments.insert(arguments.end(), more.begin(), more.end());
    return run_sdtorch(arguments, {.folder = batch.folder.path()});
  };
  REQUIRE(batch.run({"-s", "-1"}).exit_code == 0);
  const auto first = batch.pictures();
  REQUIRE(batch.run({"-s", "-1"}).exit_code == 0);
  REQUIRE(others({"-s", "-1"}).exit_code == 0);
  CHECK(batch.pictures().size() == 5);
  fs::remove(batch.folder / "out" / first.begin()->first);
  CHECK(batch.verify().exit_code == 3);
  const ProcessResult resumed = others({"-s", "-1", "--resume"});
  CHECK(resumed.exit_code == 0);
  CHECK(resumed.out.empty());

  write_file(batch.folder / "others.txt", "c\nd\n");
  CHECK(others({"-s", "-1", "--resume"}).exit_code == 0);  // the last run may grow
  CHECK(batch.pictures().size() == 5);

  const PromptFolder twice("a\nb\n");
  REQUIRE(twice.run().exit_code == 0);
  REQUIRE(twice.run().exit_code == 0);
  const auto both = twice.pictures();
  fs::remove(twice.folder / "out" / "00001-42-b.png");
  CHECK(twice.run({"--resume"}).exit_code == 0);
  CHECK((twice.pictures() == both));
  write_file(twice.folder / "more.txt", "x\n");
  REQUIRE(run_sdtorch({"-m", tiny, "--from-file", "more.txt", "--outdir", "out", "--steps", "1"},
                      {.folder = twice.folder.path()})
              .exit_code == 0);
  write_file(twice.folder / "prompts.txt", "a\nb\nc\n");
  const ProcessResult refused = twice.run({"--resume"});
  CHECK(refused.exit_code == 2);
  CHECK(refused.err.find("are those of more.txt") != std::string::npos);
}

TEST_CASE("a damaged picture of shares is drawn again by a run of all, and verified", "[cli]") {
  const PromptFolder batch("a\nb\n");
  for (const char* share : {"0/2", "1/2"}) REQUIRE(batch.run({"--shard", share}).exit_code == 0);
  write_file(batch.folder / "out" / "00001-42-b.png", "no picture");
  CHECK(batch.run({"--resume"}).out == "out/00001-42-b-2.png\n");
  CHECK(batch.run({"--resume"}).out.empty());
  CHECK(batch.verify({"--from-file", "prompts.txt"}).exit_code == 0);
  CHECK(batch.verify({"--join"}).exit_code == 0);
  CHECK(batch.verify().exit_code == 0);
}

TEST_CASE("what is no picture under a missing one's name is left there, and the picture takes another", "[cli]") {
  const PromptFolder batch("a\nb\nc\nd\n");
  REQUIRE(batch.run().exit_code == 0);
  const auto whole = batch.pictures();
  const fs::path out = batch.folder / "out", journal = out / journal_name;
  JournalContent known = read_journal(journal);
  for (const auto& [name, png] : whole) {
    if (!name.ends_with("d.png")) fs::remove(out / name);
  }
  std::erase_if(known.pictures, [](const auto& one) { return one.first != 3; });
  write_file(journal, journal_text(known));
  fs::create_directory(out / "00000-42-a.png");
  fs::create_symlink("nowhere", out / "00001-42-b.png");
  REQUIRE(mkfifo((out / "00002-42-c.png").c_str(), 0666) == 0);
  const ProcessResult resumed = batch.run({"--resume"});
  INFO(resumed.err);
  CHECK(resumed.exit_code == 0);
  CHECK(resumed.out == "out/00000-42-a-2.png\nout/00001-42-b-2.png\nout/00002-42-c-2.png\n");
  CHECK(file_contents(out / "00001-42-b-2.png") == whole.at("00001-42-b.png"));
  CHECK(fs::is_symlink(out / "00001-42-b.png"));
  CHECK(batch.verify({"--from-file", "prompts.txt"}).exit_code == 0);
}
