#include "jobs/prompt_file.hpp"

#include <sstream>

#include "support/catch.hpp"
#include "support/errors.hpp"
#include "support/files.hpp"
#include "support/temp_dir.hpp"

using namespace sdtorch;

namespace {

std::vector<Job> read(const std::string& name, const std::string& contents, const Settings& base = {}) {
  const TempDir folder;
  write_file(folder / name, contents);
  std::istringstream none;
  return read_prompt_file((folder / name).string(), base, none);
}

}  // namespace

TEST_CASE("a .txt file holds a prompt a line", "[jobs]") {
  Settings base;
  base.steps = 5;
  const auto jobs = read("p.txt",
                         "\xEF\xBB\xBF"
                         "a boat\r\n\n  # a note\n  a 海 \n--steps 3\nlast",
                         base);
  REQUIRE(jobs.size() == 4);
  CHECK(jobs[0].request.prompt == "a boat");
  CHECK(jobs[1].request.prompt == "a 海");
  CHECK(jobs[2].request.prompt == "--steps 3");
  CHECK(jobs[3].request.prompt == "last");
  CHECK(jobs[3].request.steps == 5);
  CHECK(jobs[1].source.ends_with("p.txt: line 4"));
}

TEST_CASE("a .jsonl file holds a request a line", "[jobs]") {
  Settings base;
  base.steps = 5;
  base.negative_prompt = "fog";
  const auto jobs = read("p.jsonl",
                         R"({"prompt": "a", "seed": 18446744073709551615, "width": 64, "sampler": "Euler a"})"
                         "\n\n"
                         R"({"prompt": "", "steps": 7, "cfg-scale": 3, "negative-prompt": "x"})",
                         base);
  REQUIRE(jobs.size() == 2);
  CHECK(jobs[0].request.seed == 18446744073709551615u);
  CHECK(jobs[0].request.width == 64);
  CHECK(jobs[0].request.sampler == "euler_a");
  CHECK(jobs[0].request.steps == 5);
  CHECK(jobs[0].request.negative_prompt == "fog");
  CHECK(jobs[1].request.prompt.empty());
  CHECK(jobs[1].request.steps == 7);
  CHECK(jobs[1].request.cfg_scale == 3);
}

TEST_CASE("standard input is told by its first character", "[jobs]") {
  std::istringstream text("one\n{two}\n"), json("\n {\"prompt\": \"x\"}\n");
  CHECK(read_prompt_file("-", {}, text).size() == 2);
  CHECK(read_prompt_file("-", {}, json).front().request.prompt == "x");
}

TEST_CASE("every line at fault is reported with its number", "[jobs]") {
  struct Case {
    std::string name, contents, message;
  };
  const std::vector<Case> cases = {
      {"p.txt", "", "holds no prompt"},
      {"p.txt", "\n# nothing\n", "holds no prompt"},
      {"p.csv", "a", "a prompt file ends in .txt or .jsonl"},
      {"p.txt", "fine\nbad \xff\n", "p.txt: line 2: offset 4: the text is not UTF-8"},
      {"p.txt", std::string("a\0b", 3), "line 1: the text holds a NUL"},
      {"p.jsonl", "{\"prompt\": \"a\"", "p.jsonl: line 1"},
      {"p.jsonl", "[1]", "line 1: must be an object, is array"},
      {"p.jsonl", "{\"steps\": 3}", "line 1: the key prompt is missing"},
      {"p.jsonl", R"({"prompt": "a", "stesp": 3})", "line 1: stesp: unknown key; did you mean steps?"},
      {"p.jsonl", R"({"prompt": "a", "cfg_scale": 3})", "line 1: cfg_scale: unknown key; did you mean cfg-scale?"},
      {"p.jsonl", R"({"prompt": 3})", "line 1: prompt: must be a string, is number"},
      {"p.jsonl", R"({"prompt": null})", "line 1: prompt: must be a string, is null"},
      {"p.jsonl", R"({"prompt": "a", "steps": "3"})", "line 1: steps: must be a whole number"},
      {"p.jsonl", R"({"prompt": "a", "steps": 3.0})", "line 1: steps: must be a whole number, is 3.0"},
      {"p.jsonl", R"({"prompt": "a", "steps": 18446744073709551615})", "line 1: steps: 18446744073709551615 is too"},
      {"p.jsonl", R"({"prompt": "a", "steps": 0})", "line 1: steps: must be 1…"},
      {"p.jsonl", R"({"prompt": "a", "seed": -2})", "line 1: seed: must be a whole number"},
      {"p.jsonl", R"({"prompt": "a", "seed": 18446744073709551616})", "line 1: seed: must be a whole number"},
      {"p.jsonl", R"({"prompt": "a", "cfg-scale": "7"})", "line 1: cfg-scale: must be a number"},
      {"p.jsonl", R"({"prompt": "a", "sampler": "eulr"})", "line 1: sampler: no sampler 'eulr'; did you mean euler?"},
      {"p.jsonl", R"({"prompt": "a", "prompt": "b"})", "line 1"},
      {"p.jsonl", R"({"prompt": "a", "model": "m"})", "line 1: model: holds for the whole run"},
      {"p.jsonl", R"({"prompt": "a", "dtype": "fp32"})", "line 1: dtype: holds for the whole run"},
      {"p.jsonl", "{\"prompt\": \"a\"}\n\n{}\n", "line 3: the key prompt is missing"},
  };
  for (const Case& c : cases) check_error(ErrorKind::input, c.message, [&] { read(c.name, c.contents); });
  const std::string both =
      error_message(ErrorKind::input, [] { read("p.jsonl", "{\"prompt\": 1}\n{\"prompt\": \"a\"}\n{\"x\": 1}\n"); });
  CHECK(both.find("line 1: prompt") != std::string::npos);
  CHECK(both.find("line 3: x") != std::string::npos);
  std::istringstream none;
  check_error(ErrorKind::input, "no-such.txt: no such file", [&] { read_prompt_file("no-such.txt", {}, none); });
}
