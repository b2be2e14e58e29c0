// Runs that are gone on with after what people do to prompt files, folders and add-ons meanwhile.
#include <filesystem>
#include <string>
#include <vector>

#include "cli/continued.hpp"
#include "io/image.hpp"
#include "io/png_text.hpp"
#include "io/read_picture.hpp"
#include "jobs/journal.hpp"
#include "support/catch.hpp"
#include "support/files.hpp"
#include "support/process.hpp"

namespace fs = std::filesystem;
using namespace sdtorch;

TEST_CASE("a folder of add-ons counts by those that a prompt calls, and a run's own pictures are none", "[cli]") {
  const Continued batch("a cat\na dog\n");
  for (const char* flag : {"--lora-dir", "--embd-dir", "--hypernetwork-dir"}) {
    INFO(flag);
    const std::string outdir = std::string("out") + flag;
    REQUIRE(batch.run({flag, "."}, outdir).exit_code == 0);
    fs::remove(batch.folder / outdir / "00001-42-a-dog.png");
    write_file(batch.folder / "another.safetensors", flag);
    const ProcessResult resumed = batch.run({flag, ".", "--resume"}, outdir);
    INFO(resumed.err);
    CHECK(resumed.exit_code == 0);
    CHECK(batch.verify({"--from-file", "prompts.txt", flag, "."}, outdir) == 0);
  }
}

TEST_CASE("another add-on of a name that a prompt or a style calls is another request", "[cli]") {
  Continued batch("a cat\na dog\n");
  batch.model = "model5";
  for (const char* seed : {"5", "6", "7"}) {
    const std::string model = std::string("model") + seed, lora = std::string("lora") + seed + ".safetensors";
    REQUIRE(run_sdtorch({"init-model", "--seed", seed, model}, {.folder = batch.folder.path()}).exit_code == 0);
    if (model == batch.model) continue;
    REQUIRE(
        run_sdtorch({"extract-lora", batch.model, model, "-o", lora, "--rank", "1"}, {.folder = batch.folder.path()})
            .exit_code == 0);
  }
  fs::create_directories(batch.folder / "add-ons");
  const auto put = [&](const char* file) {
    fs::copy_file(batch.folder / file, batch.folder / "add-ons" / "glow.safetensors",
                  fs::copy_options::overwrite_existing);
  };
  put("lora6.safetensors");
  write_file(batch.folder / "styles.csv", "name,prompt,negative_prompt\nshine,{prompt} <lora:glow:1>,\n");
  const auto run = [&](const std::string& outdir, std::vector<std::string> more = {}) {
    if (outdir == "styled") more.insert(more.end(), {"--styles", "styles.csv", "--style", "shine"});
    more.insert(more.end(), {"--lora-dir", "add-ons"});
    return batch.run(more, outdir);
  };
  REQUIRE(run("plain").exit_code == 0);
  REQUIRE(run("styled").exit_code == 0);
  batch.add("a glow");
  REQUIRE(run("word").exit_code == 0);
  batch.add("a hen <lora:glow:0.5>");
  REQUIRE(run("called").exit_code == 0);
  put("lora7.safetensors");
  const ProcessResult refused = run("called", {"--resume"});
  CHECK(refused.exit_code == 2);
  CHECK(refused.err.find("lora-dir glow.safetensors: \"") != std::string::npos);
  write_file(batch.folder / "prompts.txt", "a cat\na dog\na glow\n");
  CHECK(run("word", {"--resume"}).exit_code == 0);
  write_file(batch.folder / "prompts.txt", "a cat\na dog\n");
  CHECK(run("plain", {"--resume"}).exit_code == 0);
  CHECK(run("styled", {"--resume"}).exit_code == 2);
}

TEST_CASE("a resume that goes on with no run says how it differs from the last, once", "[cli]") {
  const Continued batch("a cat\na dog\n");
  for (int i = 0; i < 3; ++i) REQUIRE(batch.run({"--seed", "-1"}).exit_code == 0);
  write_file(batch.folder / "prompts.txt", "a cat\na ] pig\n");
  const ProcessResult resumed = batch.run({"--seed", "-1", "--resume"});
  CHECK(resumed.exit_code == 2);
  CHECK(resumed.err.find("picture 1 of 2 is another than it was") != std::string::npos);
  CHECK(resumed.err.find("seed: ") == std::string::npos);
  const size_t warning = resumed.err.find("closes nothing");
  CHECK(warning != std::string::npos);
  CHECK(resumed.err.find("closes nothing", warning + 1) == std::string::npos);
}

TEST_CASE("a journal that lost its run's line is gone on with; one whose values are none is refused", "[cli]") {
  const Continued batch("a cat\na dog\n");
  REQUIRE(batch.run({"--seed", "-1"}).exit_code == 0);
  const fs::path journal = batch.folder / "out" / journal_name;
  const std::string whole = file_contents(journal);
  for (const char* damage : {"\"x\"", "-5", "null", "[1]"}) {
    INFO(damage);
    std::string text = whole;
    const size_t at = text.find("\"seed\":") + 7;
    text.replace(at, text.find_first_of(",}", at) - at, damage);
    write_file(journal, text);
    const ProcessResult refused = batch.run({"--seed", "-1", "--resume"});
    CHECK(refused.exit_code == 6);
    CHECK(refused.err.find("line 1: defaults: seed: ") != std::string::npos);
  }
  const Continued fixed("a cat\na dog\n");
  REQUIRE(fixed.run({}).exit_code == 0);
  const auto contents = fixed.contents();
  const std::string lines = contents.at(std::string(journal_name));
  write_file(fixed.folder / "out" / journal_name, lines.substr(lines.find('\n') + 1));
  CHECK(fixed.run({"--resume"}).out.empty());
  CHECK((fixed.contents() == contents));
}

TEST_CASE("a run is verified without saying again what it was begun with", "[cli]") {
  const Continued batch("a __animal__\na dog\n");
  fs::create_directories(batch.folder / "w");
  write_file(batch.folder / "w" / "animal.txt", "cat\ncow\n");
  REQUIRE(batch.run({"--wildcards", "w", "--sweep", "seed=1,2", "--sweep", "steps=1,2"}).exit_code == 0);
  CHECK(batch.contents().size() == 9);
  CHECK(batch.verify({"--from-file", "prompts.txt"}) == 0);
  write_file(batch.folder / "w" / "animal.txt", "hen\nfox\n");
  CHECK(batch.verify({"--from-file", "prompts.txt"}) == 2);
  fs::create_directories(batch.folder / "pictures");
  fs::copy_file(batch.folder / "out" / batch.contents().begin()->first, batch.folder / "pictures" / "i.png");
  REQUIRE(batch.run({"--init-img", "pictures/i.png", "--strength", "1", "--seed", "-1"}, "from").exit_code == 0);
  CHECK(batch.verify({"--from-file", "prompts.txt"}, "from") == 0);
  CHECK(batch.verify({"--from-file", "prompts.txt", "--seed", "-1"}, "from") == 0);
  REQUIRE(batch.run({"--sweep", "seed=-1,3,-1"}, "chance").exit_code == 0);
  CHECK(batch.verify({"--from-file", "prompts.txt"}, "chance") == 0);
}

TEST_CASE("lines that are added may bring files of their own", "[cli]") {
  const Continued batch("a cat\na dog\n");
  REQUIRE(batch.run({}).exit_code == 0);
  fs::copy_file(batch.folder / "out" / "00000-42-a-cat.png", batch.folder / "i.png");
  batch.add("a horse --init-img i.png --strength 1");
  const ProcessResult resumed = batch.run({"--resume"});
  INFO(resumed.err);
  CHECK(resumed.exit_code == 0);
  CHECK(batch.contents().size() == 4);
  // One of the same name, too.
  fs::create_directories(batch.folder / "other");
  fs::copy_file(batch.folder / "out" / "00001-42-a-dog.png", batch.folder / "other" / "i.png");
  batch.add("a pig --init-img other/i.png --strength 1");
  CHECK(batch.run({"--resume"}).exit_code == 0);
  CHECK(batch.contents().size() == 5);
  CHECK(batch.verify({"--from-file", "prompts.txt"}) == 0);
}

TEST_CASE("a variation's seed that is left to chance is drawn again as it was", "[cli]") {
  const std::vector<std::string> varied = {"--variation-seed", "-1", "--variation-strength", "0.5"};
  const auto with = [&](std::vector<std::string> more) {
    more.insert(more.end(), varied.begin(), varied.end());
    return more;
  };
  const Continued batch("a cat\na dog\n");
  REQUIRE(batch.run(varied).exit_code == 0);
  const auto whole = batch.contents();
  batch.take_back(1);
  CHECK(batch.run(with({"--resume"})).exit_code == 0);
  CHECK((batch.contents() == whole));
  for (const char* share : {"0/2", "1/2"}) CHECK(batch.run(with({"--shard", share}), "shared").exit_code == 0);
  CHECK(batch.verify({}, "shared") == 0);
}

TEST_CASE("each of several runs of seeds left to chance is completed", "[cli]") {
  const Continued batch("a cat --seed -1\na dog --seed -1\n");
  REQUIRE(batch.run({}).exit_code == 0);
  batch.take_back(1);
  REQUIRE(batch.run({}).exit_code == 0);
  CHECK(batch.verify() == 3);
  CHECK(batch.run({"--resume"}).exit_code == 0);
  CHECK(batch.verify() == 0);
  fs::remove(batch.folder / "out" / batch.contents().begin()->first);  // of the first run
  CHECK(batch.run({"--resume"}).exit_code == 0);
  CHECK(batch.verify() == 0);
  // Another file of that name.
  write_file(batch.folder / "prompts.txt", "a pig --seed -1\na hen --seed -1\n");
  REQUIRE(batch.run({}).exit_code == 0);
  batch.take_back(1);
  write_file(batch.folder / "prompts.txt", "a cat --seed -1\na dog --seed -1\n");
  CHECK(batch.run({"--resume"}).exit_code == 0);
  write_file(batch.folder / "prompts.txt", "a pig --seed -1\na hen --seed -1\n");
  CHECK(batch.run({"--resume"}).exit_code == 0);
  CHECK(batch.verify() == 0);
  CHECK(batch.contents().size() == 7);
}

TEST_CASE("a name that is too long is told before anything is drawn", "[cli]") {
  const Continued batch("a cat\n" + std::string(60, 'w') + " and more\n");
  const ProcessResult run = batch.run({"--name", "{slug}-{slug}-{slug}-{slug}-{slug}-{slug}.png"});
  CHECK(run.exit_code == 5);
  CHECK(run.err.find("prompts.txt: line 2, column 1: --name: makes a name of ") != std::string::npos);
  CHECK_FALSE(fs::exists(batch.folder / "out"));
  CHECK(batch.run({"--name", std::string(243, 'x') + ".png"}).exit_code == 0);
  CHECK(batch.run({"--name", std::string(244, 'x') + ".png"}, "long").exit_code == 5);
}

TEST_CASE("pictures of one name are told apart by their places in the file, whoever draws them and when", "[cli]") {
  const Continued batch("a cat --seed 1\na cat --seed 2 -W 128\na cat --seed 3\na cat 3\na cat --seed 1\n");
  const std::vector<std::string> slugs = {"--name", "{slug}.png"};
  const auto with = [&](std::vector<std::string> more) {
    more.insert(more.end(), slugs.begin(), slugs.end());
    return more;
  };
  REQUIRE(batch.run(slugs).exit_code == 0);
  const auto whole = batch.contents();
  REQUIRE(whole.contains("a-cat-4.png"));
  REQUIRE(whole.contains("a-cat-3.png"));  // the fourth prompt's own name
  batch.take_back(3);
  CHECK(batch.run(with({"--resume"})).exit_code == 0);
  CHECK((batch.contents() == whole));
  CHECK(batch.run(with({"--batch-size", "2"}), "batches").exit_code == 0);
  CHECK((batch.contents("batches") == whole));
  CHECK(batch.run(with({"--device", "cpu,cpu", "-t", "2"}), "devices").exit_code == 0);
  CHECK((batch.contents("devices") == whole));
  for (const char* share : {"1/2", "0/2"}) CHECK(batch.run(with({"--shard", share}), "shared").exit_code == 0);
  // One that was published and not recorded is its shard's own, although another one's looks the same.
  JournalContent known = read_journal(batch.folder / "shared" / "sdtorch.jobs.0-of-2.jsonl");
  known.pictures.erase(4);
  write_file(batch.folder / "shared" / "sdtorch.jobs.0-of-2.jsonl", journal_text(known));
  CHECK(batch.run(with({"--shard", "0/2"}), "shared").out.empty());
  CHECK(batch.verify({"--join"}, "shared") == 0);
  CHECK((batch.contents("shared") == whole));
}

TEST_CASE("where somebody else has pictures' names, each goes on to others that are its own", "[cli]") {
  const Continued batch("a cat\na cat\na cat --seed 3\n");
  for (const char* outdir : {"out", "killed", "shared", "devices"}) {
    fs::create_directories(batch.folder / outdir / "a-cat.png");
    write_file(batch.folder / outdir / "a-cat-2.png", "foreign");
  }
  const auto named = [&](std::vector<std::string> more, const std::string& outdir) {
    more.insert(more.end(), {"--name", "{slug}.png"});
    return batch.run(more, outdir);
  };
  const auto content_of = [&](const std::string& outdir) {
    fs::remove(batch.folder / outdir / "a-cat.png");
    return batch.contents(outdir);
  };
  CHECK(named({}, "out").out == "out/a-cat-4.png\nout/a-cat-5.png\nout/a-cat-3.png\n");
  const auto whole = content_of("out");
  REQUIRE(named({}, "killed").exit_code == 0);
  batch.take_back(2, "killed");
  JournalContent known = read_journal(batch.folder / "killed" / journal_name);
  known.pictures.clear();
  write_file(batch.folder / "killed" / journal_name, journal_text(known));
  CHECK(named({"--resume"}, "killed").exit_code == 0);
  CHECK((content_of("killed") == whole));
  for (const char* share : {"2/3", "0/3", "1/3"}) REQUIRE(named({"--shard", share}, "shared").exit_code == 0);
  CHECK(batch.verify({"--join"}, "shared") == 0);
  CHECK((content_of("shared") == whole));
  REQUIRE(named({"--device", "cpu,cpu", "-t", "2"}, "devices").exit_code == 0);
  CHECK((content_of("devices") == whole));
}

TEST_CASE("a picture whose index stands behind its prompt is taken up as its own", "[cli]") {
  const Continued batch("a cat\na cat\na cat\n");
  REQUIRE(batch.run({"--name", "{slug}-{index}.png"}).exit_code == 0);
  const auto whole = batch.contents();
  JournalContent known = read_journal(batch.folder / "out" / journal_name);
  fs::remove(batch.folder / "out" / "a-cat-0.png");
  known.pictures.clear();
  write_file(batch.folder / "out" / journal_name, journal_text(known));
  CHECK(batch.run({"--name", "{slug}-{index}.png", "--resume"}).out == "out/a-cat-0.png\n");
  CHECK((batch.contents() == whole));
}

TEST_CASE("what is drawn again keeps its name, and a damaged picture stays known as one", "[cli]") {
  const Continued batch("a cat\na dog\n");
  for (const char* share : {"0/2", "1/2"}) REQUIRE(batch.run({"--shard", share}).exit_code == 0);
  const fs::path out = batch.folder / "out", first = out / "00000-42-a-cat.png", second = out / "00000-42-a-cat-2.png";
  // Other pixels, and whole all the same.
  Image picture = read_picture(first).image;
  picture.pixels[0] ^= 1;
  const Bytes damaged = encode_png(picture, read_png_text(first));
  const std::string whole = file_contents(first);
  write_file(first, {reinterpret_cast<const char*>(damaged.data()), damaged.size()});
  CHECK(batch.run({"--shard", "0/2"}).out == "out/00000-42-a-cat-2.png\n");
  CHECK(batch.verify({"--join"}) == 0);
  for (const std::vector<std::string>& how : {std::vector<std::string>{"--shard", "0/2"}, {"--resume"}}) {
    fs::remove(second);
    CHECK(batch.run(how).out == "out/00000-42-a-cat-2.png\n");
    CHECK(batch.verify({"--join"}) == 0);
    CHECK(file_contents(second) == whole);
  }
}

TEST_CASE("a line that was added, drawn and is another now is refused", "[cli]") {
  const Continued prompts("a cat\na dog\n");
  REQUIRE(prompts.run({}).exit_code == 0);
  prompts.add("a lion");
  REQUIRE(prompts.run({"--resume"}).exit_code == 0);
  const auto whole = prompts.contents();
  write_file(prompts.folder / "prompts.txt", "a cat\na dog\na bear\n");
  const auto edited = prompts.run({"--resume"});
  CHECK(edited.exit_code == 2);
  CHECK(edited.err.find("picture 2 of 3 is another than it was") != std::string::npos);
  const auto share = prompts.run({"--shard", "0/2"});
  CHECK(share.exit_code == 2);
  CHECK(share.err.find("--shard: ") != std::string::npos);
  CHECK(prompts.contents() == whole);  // no share's journal either
  write_file(prompts.folder / "prompts.txt", "a cat\na dog\n");
  CHECK(prompts.run({"--resume"}).exit_code == 0);
  CHECK(prompts.contents() == whole);
}

TEST_CASE("joining journals clears away what a kill left", "[cli]") {
  const Continued prompts("a cat\n");
  REQUIRE(prompts.run({"--shard", "0/1"}).exit_code == 0);
  write_file(prompts.folder / "out/.sdtorch-1999999999-0.tmp", "a piece");
  CHECK(prompts.verify({"--from-file", "prompts.txt"}) == 3);
  CHECK(prompts.verify({"--from-file", "prompts.txt", "--join"}) == 0);
  CHECK(prompts.verify({"--from-file", "prompts.txt"}) == 0);
}

TEST_CASE("a row that is added to a table of styles is no other request, one that is changed is", "[cli]") {
  const Continued prompts("a cat --style old\n");
  const std::string header = "name,prompt,negative_prompt\nold,\"{prompt}, old\",\n";
  const std::vector<std::string> resumed = {"--styles", "styles.csv", "--resume"};
  write_file(prompts.folder / "styles.csv", header);
  REQUIRE(prompts.run({"--styles", "styles.csv"}).exit_code == 0);
  write_file(prompts.folder / "styles.csv", header + "new,\"{prompt}, new\",\n");
  prompts.add("a dog --style new");
  CHECK(prompts.run(resumed).exit_code == 0);
  CHECK(prompts.verify({"--from-file", "prompts.txt"}) == 0);
  write_file(prompts.folder / "styles.csv", "name,prompt,negative_prompt\nold,\"{prompt}, older\",\n");
  write_file(prompts.folder / "prompts.txt", "a cat --style old\n");
  CHECK(prompts.run(resumed).exit_code == 2);
}

TEST_CASE("a folder that lost its journal is not drawn anew", "[cli]") {
  const Continued batch("a cat\na dog\n");
  REQUIRE(batch.run({}).exit_code == 0);
  const auto whole = batch.contents();
  fs::remove(batch.folder / "out" / journal_name);
  fs::remove(batch.folder / "out" / "00000-42-a-cat.png");
  CHECK(batch.run({"--resume"}).out == "out/00000-42-a-cat.png\n");
  CHECK((batch.contents() == whole));
}
