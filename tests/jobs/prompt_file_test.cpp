#include "jobs/prompt_file.hpp"

#include <sys/stat.h>

#include <fstream>
#include <sstream>
#include <thread>

#include "jobs/prompt_faults.hpp"
#include "jobs/prompt_line_reader.hpp"
#include "support/catch.hpp"
#include "support/errors.hpp"
#include "support/files.hpp"
#include "support/temp_dir.hpp"

using namespace sdtorch;

namespace {

std::vector<Job> read(const std::string& name, const std::string& contents, const Settings& base = {},
                      std::optional<PromptFormat> format = std::nullopt) {
  const TempDir folder;
  write_file(folder / name, contents);
  std::istringstream none;
  return read_prompt_file((folder / name).string(), base, none, format);
}

std::vector<std::string> prompts(const std::string& name, const std::string& contents,
                                 std::optional<PromptFormat> format = std::nullopt) {
  std::vector<std::string> prompts;
  for (const Job& job : read(name, contents, {}, format)) prompts.push_back(job.request.prompt);
  return prompts;
}

using Prompts = std::vector<std::string>;

}  // namespace

TEST_CASE("a .txt file holds a prompt a line", "[jobs]") {
  Settings base;
  base.steps = 5;
  const auto jobs = read("p.txt",
                         "\xEF\xBB\xBF"
                         "a boat\r\n\n  # a note\n  a 海 \n-- steps 3\nlast",
                         base);
  REQUIRE(jobs.size() == 4);
  CHECK(jobs[0].request.prompt == "a boat");
  CHECK(jobs[1].request.prompt == "a 海");
  CHECK(jobs[2].request.prompt == "-- steps 3");
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
      {"p.txt", "fine\nbad \xff\n", "p.txt: line 2, column 5: the text is not UTF-8"},
      {"p.txt", std::string("a\0b", 3), "line 1, column 1: --prompt: offset 1: the text holds a NUL"},
      {"p.jsonl", "{\"prompt\": \"a\"", "p.jsonl: line 1"},
      {"p.jsonl", "[1]", "line 1, column 1: must be an object, is array"},
      {"p.jsonl", "{\"steps\": 3}", "line 1, column 1: the key prompt is missing"},
      {"p.jsonl", R"({"prompt": "a", "stesp": 3})", "line 1, column 17: stesp: unknown key; did you mean steps?"},
      {"p.jsonl", R"({"prompt": "a", "cfg_scale": 3})",
       "line 1, column 17: cfg_scale: unknown key; did you mean cfg-scale?"},
      {"p.jsonl", R"({"prompt": 3})", "line 1, column 2: prompt: must be a string, is number"},
      {"p.jsonl", R"({"prompt": null})", "line 1, column 2: prompt: must be a string, is null"},
      {"p.jsonl", R"({"prompt": "a", "steps": "3"})", "line 1, column 17: steps: must be a whole number"},
      {"p.jsonl", R"({"prompt": "a", "steps": 3.0})", "line 1, column 17: steps: must be a whole number, is 3.0"},
      {"p.jsonl", R"({"prompt": "a", "steps": 18446744073709551615})",
       "line 1, column 17: steps: 18446744073709551615 is too"},
      {"p.jsonl", R"({"prompt": "a", "steps": 0})", "line 1, column 17: steps: must be 1…"},
      {"p.jsonl", R"({"prompt": "a", "seed": -2})", "line 1, column 17: seed: must be a whole number"},
      {"p.jsonl", R"({"prompt": "a", "seed": 18446744073709551616})",
       "line 1, column 17: seed: must be a whole number"},
      {"p.jsonl", R"({"prompt": "a", "cfg-scale": "7"})", "line 1, column 17: cfg-scale: must be a number"},
      {"p.jsonl", R"({"prompt": "a", "sampler": "eulr"})",
       "line 1, column 17: sampler: no sampler 'eulr'; did you mean euler?"},
      {"p.jsonl", R"({"prompt": "a", "prompt": "b"})", "line 1"},
      {"p.jsonl", R"({"prompt": "a", "model": "m"})", "line 1, column 17: model: holds for the whole run"},
      {"p.jsonl", R"({"prompt": "a", "dtype": "fp32"})", "line 1, column 17: dtype: holds for the whole run"},
      {"p.jsonl", "{\"prompt\": \"a\"}\n\n{}\n", "line 3, column 1: the key prompt is missing"},
  };
  for (const Case& c : cases) check_error(ErrorKind::input, c.message, [&] { read(c.name, c.contents); });
  const std::string both =
      error_message(ErrorKind::input, [] { read("p.jsonl", "{\"prompt\": 1}\n{\"prompt\": \"a\"}\n{\"x\": 1}\n"); });
  CHECK(both.find("line 1, column 2: prompt") != std::string::npos);
  CHECK(both.find("line 3, column 2: x") != std::string::npos);
  std::istringstream none;
  check_error(ErrorKind::input, "no-such.txt: no such file", [&] { read_prompt_file("no-such.txt", {}, none); });
}

TEST_CASE("files of other endings are told by content, or by a flag", "[jobs]") {
  const std::string json = R"({"prompt": "x"})";
  for (const char* name : {"p.prompts", "p", "p.json", "p.tsv", "p.ndjson", "63"}) {
    INFO(name);
    CHECK(prompts(name, "one\n{two}") == Prompts{"one", "{two}"});
    CHECK(prompts(name, "{red|blue} cat\n") == Prompts{"{red|blue} cat"});
    CHECK(prompts(name, "\n# note\n " + json + "\n# note\n") == Prompts{"x"});
    CHECK(prompts(name, "\xEF\xBB\xBF" + json) == Prompts{"x"});
    check_error(ErrorKind::input, "line 2", [&] { read(name, json + "\n{\"prompt\"\n"); });
    check_error(ErrorKind::input, "line 1", [&] { read(name, "{\"prompt\": \"x\"\n" + json); });
  }
  CHECK(prompts("p.TXT", json) == Prompts{json});
  CHECK(prompts("p.JSONL", json) == Prompts{"x"});
  check_error(ErrorKind::input, "line 1", [] { read("p.JsonL", "a cat"); });
  CHECK(prompts("p.jsonl", json, PromptFormat::txt) == Prompts{json});
  CHECK(prompts("p.txt", json, PromptFormat::jsonl) == Prompts{"x"});
  CHECK(prompts("p.txt", "[\"a\"]", PromptFormat::txt) == Prompts{"[\"a\"]"});
  CHECK(prompts("p", "[cat|dog] on a hill\n[a:b:0.5]") == Prompts{"[cat|dog] on a hill", "[a:b:0.5]"});
  for (const char* text : {"{red|blue} cat", "{\"red\"|\"blue\"} cat", "{} cat", "{day: night}", "{", "{{a}}"}) {
    std::istringstream in(text);
    INFO(text);
    CHECK(read_prompt_file("-", {}, in).front().request.prompt == text);
  }
  for (const char* text : {"{}", "{\"steps\": 3}", "{'prompt': 'a'}", "{\"prompt\": \"a\""}) {
    std::istringstream in(text);
    check_error(ErrorKind::input, "<stdin>: line 1", [&] { read_prompt_file("-", {}, in); });
  }
}

TEST_CASE("a prompt file may be a pipe", "[jobs]") {
  const TempDir folder;
  const std::string pipe = (folder / "pipe").string();
  REQUIRE(mkfifo(pipe.c_str(), 0600) == 0);
  for (const char* text : {"one\ntwo\n", "{\"prompt\": \"one\"}\n{\"prompt\": \"two\"}\n"}) {
    std::thread writer([&] { std::ofstream(pipe) << text; });
    std::istringstream none;
    const std::vector<Job> jobs = read_prompt_file(pipe, {}, none);
    writer.join();
    REQUIRE(jobs.size() == 2);
    CHECK(jobs[1].request.prompt == "two");
    CHECK(jobs[1].source == pipe + ": line 2");
  }
}

TEST_CASE("lines end and are blank in every way that editors know", "[jobs]") {
  CHECK(prompts("p.txt", "one\rtwo\r\rthree") == Prompts{"one", "two", "three"});
  CHECK(prompts("p.txt", "one\r\ntwo\r\n") == Prompts{"one", "two"});
  CHECK(read("p.txt", "one\r\n\rtwo").back().source.ends_with("line 3"));
  CHECK(prompts("p.jsonl", "{\"prompt\": \"a\"}\r{\"prompt\": \"b\"}") == Prompts{"a", "b"});
  const std::string blanks = "\u00A0\u3000 \u200B\uFEFF\u2003\t\u2028\u0085";
  CHECK(prompts("p.txt", "one\n" + blanks + "\n" + blanks + "two" + blanks + "\n" + blanks + "# note") ==
        Prompts{"one", "two"});
  CHECK(prompts("p.jsonl", blanks + "\n" + blanks + "{\"prompt\": \"a\"}" + blanks) == Prompts{"a"});
  check_error(ErrorKind::input, "holds no prompt", [&] { read("p.txt", blanks); });
  check_error(ErrorKind::input, "holds no prompt", [] { read("p.jsonl", "# a note\n"); });
}

TEST_CASE("a table whose columns are flags is read as one, whatever its file is called", "[jobs]") {
  for (const char* text : {"\n# mine\nprompt\tsteps\na cat\t5\n\"a, b\"\t6\n", "prompt,steps\na cat,5\n\"a, b\",6\n",
                           "steps; \"prompt\"; cfg\n5;a cat;7\n6;a, b;7\n"}) {
    INFO(text);
    const std::vector<Job> jobs = read("p.lst", text);
    REQUIRE(jobs.size() == 2);
    CHECK(jobs[0].request.prompt == "a cat");
    CHECK(jobs[0].request.steps == 5);
    CHECK(jobs[1].request.prompt == "a, b");
  }
  PromptLineReader reader({.name = "<stdin>", .mixed = true, .ids = true});
  CHECK(reader.read("prompt,seed", 1).empty());
  CHECK(reader.read("\"a, b\",7", 2).front().request.seed == 7);
}

TEST_CASE("faults of all kinds are found together", "[jobs]") {
  const TempDir folder;
  write_file(folder / "p.txt", "a\nb --stepz 3\nc\n");
  std::istringstream none;
  std::vector<LineFault> faults;
  const std::vector<Job> jobs = read_prompt_file((folder / "p.txt").string(), {}, none, {}, {}, &faults);
  CHECK(jobs.size() == 2);
  REQUIRE(faults.size() == 1);
  CHECK(faults[0].line == 2);
  faults.push_back({.line = 1, .text = "another"});
  check_error(ErrorKind::input, "another\n  ", [&] { throw_faults(faults); });
}

TEST_CASE("tables and lists of settings are named, not drawn as text", "[jobs]") {
  const auto refused = [](const char* file, const std::string& text, const std::string& message) {
    check_error(ErrorKind::input, message, [&] { read(file, text); });
  };
  refused("p.tsv", "\n# mine\nprompt\tmood\na cat\t5\n", "p.tsv: is a table or a list of settings");
  refused("p.yaml", "- prompt: a cat\n", "is a table or a list");
  refused("p.lst", "prompt,mood\na cat,5\n", "one prompt a line; give --from-file-format csv");
  refused("p.lst", "- prompt: a cat\n  steps: 3\n", "is a table or a list");
  CHECK(read("p.lst", "prompt engineering, a poster\n").size() == 1);
  CHECK(read("p.lst", "style, class, mask\n").size() == 1);
  CHECK(read("p.txt", "a castle —moody, a knight - alone, 3 -4\n").size() == 1);
}

TEST_CASE("what is no list of lines is named", "[jobs]") {
  const auto wide = [](const std::string& text, bool big) {
    std::string bytes;
    for (const char c : text) bytes += big ? std::string{'\0', c} : std::string{c, '\0'};
    return bytes;
  };
  const std::string zip("PK\x03\x04\0\0", 6), elf("\x7F"
                                                  "ELF\x02\0\0\xFF\0\x03",
                                                  10);
  struct Case {
    std::string contents, message;
  };
  const std::vector<Case> cases = {
      {"\xFF\xFE" + wide("a cat\n", false), "is UTF-16; save it as UTF-8"},
      {"\xFE\xFF" + wide("a cat\n", true), "is UTF-16; save it as UTF-8"},
      {wide("a cat\n", false), "is UTF-16; save it as UTF-8"},
      {wide("{\"prompt\": \"a\"}\n", true), "is UTF-16; save it as UTF-8"},
      {std::string("\xFF\xFE\0\0a\0\0\0", 8), "is UTF-32"},
      {"\x89PNG\r\n", "is a picture; --from-image FILE.png"},
      {zip, "is a zip archive"},
      {elf, "is a binary file"},
      {"[{\"prompt\": \"a\"}]", "is a JSON array; one object a line is expected"},
      {"[\n  {\"prompt\": \"a\"},\n  {\"prompt\": \"b\"},\n]", "is a JSON array; one object a line is expected"},
      {"[\"a cat\",\n \"a dog\"]\n", "is a JSON array; one object a line is expected"},
      {"{\n  \"prompt\": \"a\"\n}\n", "is a JSON object over several lines; one object a line is expected"},
      {std::string((size_t{1} << 20) + 1, 'a'), "line 1, column 1: is longer than 1048576 bytes"},
  };
  for (const Case& c : cases) {
    for (const char* name : {"p.txt", "p.jsonl", "p"}) {
      INFO(name);
      check_error(ErrorKind::input, c.message, [&] { read(name, c.contents); });
    }
  }
  check_error(ErrorKind::input, "line 1, column 16: ends in a comma",
              [] { read("p.jsonl", "{\"prompt\": \"a\"},\n"); });
}
