#include "jobs/wildcards.hpp"

#include <set>
#include <sstream>

#include "jobs/expansion.hpp"
#include "jobs/prompt_file.hpp"
#include "support/captured_stderr.hpp"
#include "support/catch.hpp"
#include "support/errors.hpp"
#include "support/files.hpp"
#include "support/temp_dir.hpp"

using namespace sdtorch;

namespace {

void write_lists(const TempDir& folder) {
  write_file(folder / "colour.txt", "\xEF\xBB\xBFred\r\n\r\n# not this\r\n  green  \r\nblue\r\ngrey");
  write_file(folder / "animals/cats.txt", "a tabby\na __colour__ persian\na lynx\n");
}

Settings asking(const std::string& prompt, uint64_t seed, int64_t count = 1) {
  Settings settings;
  settings.prompt = prompt;
  settings.seed = seed;
  settings.batch_count = count;
  return settings;
}

}  // namespace

TEST_CASE("a wildcard is a line of its file, by seed and place", "[jobs]") {
  const TempDir folder;
  write_lists(folder);
  Wildcards wildcards(folder.path());
  // By the formula of wildcards.hpp, computed apart from this code.
  struct Case {
    uint64_t seed;
    std::string prompt, negative;
  };
  const std::vector<Case> cases = {{0, "a red persian and blue and green", "green"},
                                   {1, "a blue persian and grey and red", "green"},
                                   {2, "a red persian and red and grey", "red"},
                                   {3, "a lynx and blue and blue", "green"},
                                   {7, "a lynx and blue and blue", "blue"},
                                   {42, "a green persian and grey and green", "grey"},
                                   {18446744073709551615u, "a grey persian and blue and blue", "green"}};
  for (const Case& c : cases) {
    INFO(c.seed);
    const std::string text = "__animals/cats__ and __colour__ and __colour__";
    CHECK(wildcards.expand(text, c.seed, PromptSide::prompt) == c.prompt);
    CHECK(wildcards.expand("__colour__", c.seed, PromptSide::negative) == c.negative);
  }
  std::map<std::string, int> counts;
  for (uint64_t seed = 0; seed < 4000; ++seed) ++counts[wildcards.expand("__colour__", seed, PromptSide::prompt)];
  REQUIRE(counts.size() == 4);
  for (const auto& [line, count] : counts) {
    CHECK(count > 850);
    CHECK(count < 1150);
  }
}

TEST_CASE("text that only looks like a wildcard is left as it is", "[jobs]") {
  const TempDir folder;
  write_lists(folder);
  Wildcards wildcards(folder.path());
  for (const char* text : {"", "__", "____", "_____", "a __ b __ c", "__a", "snake_case_", "__(x)__"}) {
    INFO(text);
    CHECK_FALSE(has_wildcards(text));
    CHECK(wildcards.expand(text, 1, PromptSide::prompt) == text);
  }
  CHECK(has_wildcards("___colour__"));
  CHECK(wildcards.expand("x__colour__y", 2, PromptSide::negative) == "xredy");
}

TEST_CASE("each picture of a batch has lines of its own, whatever else is drawn", "[jobs]") {
  const TempDir folder;
  write_lists(folder);
  Expansion expansion{.wildcards = std::make_shared<Wildcards>(folder.path())};
  Settings settings = asking("__animals/cats__", 0, 8);
  settings.negative_prompt = "__colour__";
  settings.batch_size = 4;
  const auto jobs = jobs_of(settings, expansion);
  REQUIRE(jobs.size() == 8);
  for (size_t i = 0; i < jobs.size(); ++i) {
    CHECK(jobs[i].batch_count == 1);
    CHECK(jobs[i].batch_size == 4);
    CHECK(jobs[i].request.seed == i);
    Settings alone = asking("__animals/cats__", i);
    alone.negative_prompt = "__colour__";
    CHECK(jobs_of(alone, expansion).front().request.prompt == jobs[i].request.prompt);
    CHECK(jobs_of(alone, expansion).front().request.negative_prompt == jobs[i].request.negative_prompt);
  }
  settings.compat = "comfy";  // whose pictures share a seed
  const auto slices = jobs_of(settings, expansion);
  CHECK(slices[3].request.noise_slice == "3/8");
  CHECK(slices[3].request.seed == 0);
  CHECK(slices[3].request.prompt == jobs[3].request.prompt);
  CHECK(jobs_of(asking("a cat", 0, 8), expansion).size() == 1);

  expansion.sweep = Sweep({"seed=1,2 prompt=\"a __colour__ cat\",\"a __colour__ dog\""});
  const auto swept = jobs_of(asking("", 0, 2), expansion);
  REQUIRE(swept.size() == 8);
  CHECK(swept[1].request.prompt == "a green cat");  // of seed 2, wherever it comes
  CHECK(swept[4].request.prompt == "a green cat");
}

TEST_CASE("wildcards that cannot be filled are refused by name", "[jobs]") {
  const TempDir folder, outside;
  write_lists(folder);
  write_file(outside / "secret.txt", "secret\n");
  std::filesystem::create_symlink(outside / "secret.txt", folder / "link.txt");
  std::filesystem::create_directory_symlink(outside.path(), folder / "linked");
  std::filesystem::create_symlink(folder / "colour.txt", folder / "inner.txt");
  write_file(folder / "empty.txt", "# nothing\n\n");
  write_file(folder / "bad.txt", "fine\nb\xff\n");
  write_file(folder / "a.txt", "x\n__b__\n");
  write_file(folder / "b.txt", "__c__\ny\n");
  write_file(folder / "c.txt", "z __a__\n");
  write_file(folder / "self.txt", "z\n__self__\n");
  write_file(folder / "lost.txt", "__color__\n");
  write_file(folder / "folder.txt/x.txt", "x\n");
  for (int i = 0; i < 30; ++i) {
    write_file(folder / ("deep" + std::to_string(i) + ".txt"), "__deep" + std::to_string(i + 1) + "__\n");
  }
  write_file(folder / "deep30.txt", "end\n");
  for (int i = 0; i < 18; ++i) {
    const std::string next = "__wide" + std::to_string(i + 1) + "__";
    write_file(folder / ("wide" + std::to_string(i) + ".txt"), next + next + next + "\n");
  }
  write_file(folder / "wide18.txt", "end\n");
  struct Case {
    ErrorKind kind;
    std::string prompt, message;
  };
  const std::vector<Case> cases = {
      {ErrorKind::usage, "__color__", "--prompt: __color__: there is no "},
      {ErrorKind::usage, "__color__", "color.txt; did you mean colour"},
      {ErrorKind::usage, "__cats__", "did you mean animals/cats"},
      {ErrorKind::usage, "__../x__", "--prompt: __../x__: leads out of "},
      {ErrorKind::usage, "__animals/../../x__", "leads out of "},
      {ErrorKind::usage, "__/etc/passwd__", "leads out of "},
      {ErrorKind::usage, "__link__", "leads out of "},
      {ErrorKind::usage, "__linked/secret__", "leads out of "},
      {ErrorKind::usage, "__lost__", "__color__ in lost.txt: there is no "},
      {ErrorKind::input, "__empty__", "empty.txt: holds no line to choose"},
      {ErrorKind::input, "__bad__", "bad.txt: line 2: offset 1: the text is not UTF-8"},
      {ErrorKind::input, "__folder__", "folder.txt: is no file"},
      {ErrorKind::input, "__a__", "c.txt: __a__ leads back to itself: a, b, c, a"},
      {ErrorKind::input, "__c__", "b.txt: __c__ leads back to itself: c, a, b, c"},
      {ErrorKind::input, "__self__", "self.txt: __self__ leads back to itself: self, self"},
      {ErrorKind::input, "__deep0__", "deep0.txt: leads more than 20 lists deep"},
      {ErrorKind::usage, "__wide0__", "--prompt: its wildcards make more than 1048576 bytes"},
  };
  for (const Case& c : cases) {
    INFO(c.prompt);
    Wildcards wildcards(folder.path());
    check_error(c.kind, c.message, [&] { wildcards.expand(c.prompt, 1, PromptSide::prompt); });
  }
  Wildcards wildcards(folder.path());
  CHECK(wildcards.expand("__inner__", 2, PromptSide::negative) == "red");
  CHECK(wildcards.expand("__deep15__", 2, PromptSide::negative) == "end");
  check_error(ErrorKind::usage, "--negative-prompt: __x__",
              [&] { wildcards.expand("__x__", 1, PromptSide::negative); });
  check_error(ErrorKind::usage, "--wildcards: there is no folder 'nowhere'", [] { Wildcards("nowhere"); });
  std::istringstream in("fine\na nice __color__ --steps 3\n__bad__\n");
  const std::string told = error_message(ErrorKind::input, [&] {
    read_prompt_file("-", {}, in, std::nullopt, {.wildcards = std::make_shared<Wildcards>(folder.path())});
  });
  CHECK(told.find("<stdin>: line 2, column 1: --prompt: __color__: there is no") != std::string::npos);
  CHECK(told.find("<stdin>: line 3, column 1: ") != std::string::npos);
}

TEST_CASE("without a folder wildcards are text, and that is said once", "[jobs]") {
  const std::string log = stderr_of([] {
    std::istringstream in("a __colour__ cat\na __colour__ dog\n");
    const auto jobs = read_prompt_file("-", {}, in);
    CHECK(jobs[1].request.prompt == "a __colour__ dog");
  });
  const size_t first = log.find("__name__ in prompts is drawn as text; --wildcards DIR");
  CHECK(first != std::string::npos);
  CHECK(log.find("__name__", first + 1) == std::string::npos);
}
