// Files of prompts, sweeps and wildcards, from the command line to the pictures.
#include <algorithm>
#include <nlohmann/json.hpp>
#include <set>
#include <sstream>

#include "cli/options.hpp"
#include "support/catch.hpp"
#include "support/errors.hpp"
#include "support/files.hpp"
#include "support/golden.hpp"
#include "support/process.hpp"
#include "support/temp_dir.hpp"

namespace {

const std::string prompt_model = golden_path("pipeline/models/sd1").string();

/// What --json tells of a run by the tiny model, a picture a line.
std::vector<nlohmann::json> drawn_by(const TempDir& folder, std::vector<std::string> arguments) {
  arguments.insert(arguments.begin(), {"-m", prompt_model, "--steps", "1", "--json"});
  const ProcessResult run = run_sdtorch(arguments, {.folder = folder.path()});
  INFO(run.err);
  REQUIRE(run.exit_code == 0);
  std::vector<nlohmann::json> pictures;
  std::istringstream stream(run.out);
  for (std::string line; std::getline(stream, line);) {
    const auto object = nlohmann::json::parse(line);
    if (object.contains("path")) pictures.push_back(object);
  }
  return pictures;
}

}  // namespace

TEST_CASE("lines and tables say what the same flags say", "[cli]") {
  const TempDir folder;
  write_file(folder / "p.txt", "a cat -s 7 -n \"grey, dull\" --cfg 3\na dog\n");
  write_file(folder / "p.csv", "prompt,seed,negative-prompt,cfg\na cat,7,\"grey, dull\",3\na dog,,,\n");
  write_file(folder / "p.jsonl",
             "{\"prompt\": \"a cat\", \"seed\": 7, \"negative-prompt\": \"grey, dull\", \"cfg\": 3}\n"
             "{\"prompt\": \"a dog\"}\n");
  const auto flags = drawn_by(folder, {"-p", "a cat", "-s", "7", "-n", "grey, dull", "--cfg", "3", "-o", "cat.png"});
  REQUIRE(flags.size() == 1);
  for (const char* file : {"p.txt", "p.csv", "p.jsonl"}) {
    INFO(file);
    const auto pictures = drawn_by(folder, {"--from-file", file, "--outdir", std::string(file) + ".out"});
    REQUIRE(pictures.size() == 2);
    CHECK(file_contents(folder / pictures[0]["path"].get<std::string>()) == file_contents(folder / "cat.png"));
    CHECK(pictures[1]["prompt"] == "a dog");
    CHECK(pictures[1]["seed"] == 42);
  }
}

TEST_CASE("a sweep's pictures come in its order", "[cli]") {
  const TempDir folder;
  const auto pictures = drawn_by(folder, {"-p", "x", "--sweep", "seed=3,4 sampler=euler,ddim", "--outdir", "out"});
  REQUIRE(pictures.size() == 4);
  CHECK(pictures[1]["seed"] == 3);
  CHECK(pictures[1]["sampler"] == "ddim");
  CHECK(pictures[2]["seed"] == 4);
  CHECK(pictures[2]["sampler"] == "euler");
}

TEST_CASE("a picture carries the prompt that its wildcards made, and needs them no more", "[cli]") {
  const TempDir folder;
  write_file(folder / "words/colour.txt", "red\ngreen\nblue\ngrey\n");
  const auto pictures = drawn_by(folder, {"-p", "a __colour__ cat", "--wildcards", "words", "-b", "4", "--batch-size",
                                          "4", "-s", "0", "--outdir", "out"});
  REQUIRE(pictures.size() == 4);
  std::set<std::string> prompts;
  for (const auto& picture : pictures) prompts.insert(picture["prompt"].get<std::string>());
  CHECK(prompts.size() > 1);
  CHECK(
      std::ranges::none_of(prompts, [](const std::string& prompt) { return prompt.find("__") != std::string::npos; }));
  const auto alone = drawn_by(folder, {"-p", "a __colour__ cat", "--wildcards", "words", "-s", "2", "-o", "2.png"});
  CHECK(alone.front()["prompt"] == pictures[2]["prompt"]);
  std::filesystem::remove_all(folder / "words");
  const ProcessResult again = run_sdtorch({"--from-image", "2.png", "-o", "again.png"}, {.folder = folder.path()});
  INFO(again.err);
  REQUIRE(again.exit_code == 0);
  CHECK(file_contents(folder / "again.png") == file_contents(folder / "2.png"));
}

TEST_CASE("what cannot be drawn of many prompts is refused before anything is", "[cli]") {
  const TempDir folder;
  write_file(folder / "lines.txt", "fine\na --width 65\n  b (c:1.1.1)\nd --cfg 3 --steps 1001\ne -i none.png\nf\n");
  write_file(folder / "table.csv", "prompt,width\nfine,64\n\"a\nb\",65\n");
  write_file(folder / "words/colour.txt", "red\n");
  struct Case {
    std::vector<std::string> arguments;
    int exit_code;
    std::vector<std::string> messages;
  };
  const std::vector<Case> cases = {
      {{"--from-file", "lines.txt"},
       5,
       {"lines.txt: line 2, column 3: --width: 65 is not a multiple of 8", "lines.txt: line 3, column 8: --prompt: the",
        "lines.txt: line 4, column 11: --steps", "lines.txt: line 5, column 3: none.png"}},
      {{"--from-file", "table.csv"}, 5, {"table.csv: line 4, column 4: --width: 65 is not a multiple of 8"}},
      {{"--from-file", "table.csv", "--from-file-format", "txt", "--sweep", "width=65,63"}, 5, {"with width=63"}},
      {{"-p", "x", "--sweep", "cgf=5"}, 2, {"--sweep: cgf: unknown flag; did you mean cfg?"}},
      {{"-p", "x", "--sweep", "cfg=5,7", "-o", "a.png"}, 2, {"--output: names one file for several images"}},
      {{"-p", "x", "--sweep", "width=65,64"}, 2, {"--width: 65 is not a multiple of 8"}},
      {{"-p", "x", "--sweep", "strength=0.5,0.6"}, 2, {"--strength: there is no picture to start from"}},
      {{"--sweep", "cfg=5"}, 2, {"--prompt: nothing to draw"}},
      {{"-p", "__color__", "--wildcards", "words"},
       2,
       {"--prompt: __color__: there is no words/color.txt; did you mean"}},
      {{"-p", "x", "--wildcards", "nowhere"}, 2, {"--wildcards: there is no folder 'nowhere'"}},
  };
  for (const Case& c : cases) {
    std::vector<std::string> arguments = c.arguments;
    arguments.insert(arguments.end(), {"-m", prompt_model, "--steps", "1"});
    const ProcessResult run = run_sdtorch(arguments, {.folder = folder.path()});
    INFO(run.err);
    CHECK(run.exit_code == c.exit_code);
    for (const std::string& message : c.messages) CHECK(run.err.find(message) != std::string::npos);
    CHECK(run.out == "");
    CHECK(entries_in(folder.path()) == 3);
  }
}

TEST_CASE("the command line's flags are what a file's lines start from, even those that need a line's picture",
          "[cli]") {
  const auto parsed = [](std::vector<std::string> arguments) {
    std::vector<const char*> argv = {"sdtorch"};
    for (const std::string& argument : arguments) argv.push_back(argument.c_str());
    return sdtorch::parse_command_line(static_cast<int>(argv.size()), argv.data());
  };
  CHECK(parsed({"--from-file", "p.jsonl", "--strength", "0.5"}).settings.strength == 0.5);
  CHECK(parsed({"--sweep", "prompt=a,b"}).expansion.sweep.size() == 2);
  for (const char* flag : {"--strength=2", "--steps=0", "--resize=shrink"}) {
    check_error(sdtorch::ErrorKind::usage, std::string(flag).substr(0, 7), [&] { parsed({"--from-file", "p", flag}); });
  }
}
