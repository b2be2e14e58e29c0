#include "jobs/line_flags.hpp"

#include <sstream>

#include "jobs/prompt_file.hpp"
#include "support/captured_stderr.hpp"
#include "support/catch.hpp"
#include "support/errors.hpp"

using namespace sdtorch;

namespace {

std::vector<Job> read_flagged(const std::string& text, const Settings& base = {},
                              std::optional<PromptFormat> format = std::nullopt) {
  std::istringstream in(text);
  return read_prompt_file("-", base, in, format);
}

Request flagged(const std::string& line, const Settings& base = {}) { return read_flagged(line, base).front().request; }

}  // namespace

TEST_CASE("a line of text may have flags of our own behind its prompt", "[jobs]") {
  Settings base;
  base.steps = 3;
  base.cfg_scale = 2;
  const Request full = flagged(
      R"(a "red" cat, it's late --steps 5 -W 512 --negative-prompt "blurry, dark" -s 7 --cfg=4.5 --vae-tiling)", base);
  CHECK(full.prompt == R"(a "red" cat, it's late)");
  CHECK(full.steps == 5);
  CHECK(full.width == 512);
  CHECK(full.negative_prompt == "blurry, dark");
  CHECK(full.seed == 7);
  CHECK(full.cfg_scale == 4.5);
  CHECK(full.vae_tiling);
  CHECK(flagged("a cat", base).steps == 3);
  CHECK(flagged("a cat --steps 7", base).cfg_scale == 2);

  const auto jobs =
      read_flagged("a cat --sampling-method \"DPM++ 2M Karras\" -b 3\nplain\n  a dog\t--ddim_steps=4  \n");
  REQUIRE(jobs.size() == 3);
  CHECK(jobs[0].request.sampler == "dpm++2m");
  CHECK(jobs[0].request.scheduler == "karras");
  CHECK(jobs[0].batch_count == 3);
  CHECK(jobs[1].request.sampler == std::nullopt);
  CHECK(jobs[2].request.prompt == "a dog");
  CHECK(jobs[2].request.steps == 4);
}

TEST_CASE("flags of a line are spelled and quoted as on the command line", "[jobs]") {
  CHECK(flagged("a cat -s7 -W64").width == 64);
  CHECK(flagged("a cat --seed -1 --steps 2").steps == 2);
  CHECK(flagged(R"(a cat --negative-prompt 'it is "dark"' --steps 2)").negative_prompt == R"(it is "dark")");
  CHECK(flagged(R"(a cat --negative-prompt="a b" --steps 2)").negative_prompt == "a b");
  CHECK(flagged(R"(a cat --negative-prompt a\ b --steps 2)").negative_prompt == "a b");
  CHECK(flagged(R"(a cat --negative-prompt "say \"no\"" --steps 2)").negative_prompt == R"(say "no")");
  CHECK(flagged(R"(a cat --negative-prompt "")").negative_prompt == "");
  CHECK(flagged("a cat --negative-prompt=").negative_prompt == "");
  CHECK(flagged(R"(a cat --negative-prompt "--steps 5")").negative_prompt == "--steps 5");
  CHECK(flagged("a 海\u3000--steps 3").steps == 3);
  CHECK(flagged("a 海\u3000--steps 3").prompt == "a 海");
  CHECK(flagged(R"(-p "a cat" -W 64)").prompt == "a cat");
  CHECK(flagged(R"(--steps 3 -p "a cat")").prompt == "a cat");
  CHECK(flagged(R"(--prompt "a cat" --scheduler karras)").scheduler == "karras");
  CHECK(flagged("a cat --style Oil --style Night --styles s.csv").style == std::vector<std::string>{"Oil", "Night"});
  const auto nets = read_flagged("a cat --control-net A=a.png --control-net B --control-image b.png").front();
  CHECK(nets.choice.control_net == std::vector<std::string>{"A", "B"});
  CHECK(nets.request.control_image == std::vector<std::string>{"a.png", "b.png"});
}

TEST_CASE("one dash begins flags only where all that follows is flags", "[jobs]") {
  CHECK(flagged("a cat -n blurry").negative_prompt == "blurry");
  CHECK(flagged("a cat -n \"blurry, dark\" -s 7").seed == 7);
  CHECK(flagged("a cat -s 7 --steps 5").seed == 7);
  for (const char* text : {"a -- b",
                           "a well--known man",
                           "a cat — steps 3",
                           "a --",
                           "--",
                           "--- a",
                           "a (--b)",
                           "a --5",
                           "a -n b c",
                           "a cat -n blurry, dark",
                           "a -s mall house",
                           "a knight -alone",
                           "3 -4",
                           "a - b",
                           "-",
                           "an x-ray",
                           "a -W wide",
                           "a -s 7 b",
                           "a -W 0",
                           "a castle —moody, a knight - alone",
                           "a -n",
                           "mp3 -s",
                           "a cat -m other.safetensors"}) {
    INFO(text);
    CHECK(flagged(text).prompt == text);
  }
  const std::string log = stderr_of([] {
    read_flagged("plain\n a cat -n blurry, dark\na dog -n grey, dull\nart -steps 5\na knight -alone\nx -s=3\n");
  });
  CHECK(log.find("line 2, column 8: -n is drawn as text") != std::string::npos);
  CHECK(log.find("line 3") == std::string::npos);
  CHECK(log.find("line 4, column 5: -steps is drawn as text") != std::string::npos);
  CHECK(log.find("line 5") == std::string::npos);
  CHECK(log.find("line 6, column 3: -s=3 is drawn as text") != std::string::npos);
  CHECK(flagged("a cat -n blurry, dark --steps 5").prompt == "a cat -n blurry, dark");
}

TEST_CASE("what is wrong with a line's flags is told with line and column", "[jobs]") {
  struct Case {
    std::string line, message;
  };
  const std::vector<Case> cases = {
      {"a cat --stesp 5", "line 2, column 7: --stesp: unknown flag; did you mean --steps?"},
      {"  a 海 --stesp 5", "line 2, column 7: --stesp: unknown flag"},
      {"a cat --Guidance_Scale=3", "column 7: --Guidance_Scale: unknown flag; did you mean --guidance-scale?"},
      {"a city --ar 16:9", "column 8: --ar: unknown flag; what is text belongs into a .jsonl or .csv file"},
      {"a girl --n blurry --w 64 --v 5", "column 26: --v: unknown flag"},
      {"a girl --n blurry --steps 5", "column 8: --n: unknown flag; did you mean --negative-prompt?"},
      {"a cat --steps 5 -x 3", "column 17: -x: unknown flag"},
      {"a cat --steps 5 -seed 3", "column 17: -seed: unknown flag; write --seed"},
      {"a cat --model m",
       "column 7: --model: holds for the whole run, not for a line; give --model on the command line"},
      {"a cat --steps 5 -m m", "column 17: -m: holds for the whole run, not for a line; give --model on"},
      {"a cat --resume", "column 7: --resume: holds for the whole run, not for a line; give --resume on"},
      {"a cat --outdir d", "column 7: --outdir: holds for the whole run, not for a line; give --outdir on"},
      {"a cat --steps many", "column 7: --steps: 'many' is not a whole number"},
      {"a cat --seed 5 --steps 0", "column 16: --steps: must be 1…"},
      {"a cat --seed 5 --cfg nan", "column 16: --cfg: 'nan' is not a finite number"},
      {"a cat --sampler eulr", "column 7: --sampler: no sampler 'eulr'; did you mean euler?"},
      {"a cat --resize shrink", "column 7: --resize: 'shrink' is not a choice"},
      {"a cat --strength 0.5", "column 7: --strength: there is no picture to start from"},
      {"a cat --steps", "column 7: --steps: needs a value"},
      {"a cat --steps --seed 5", "column 7: --steps: needs a value"},
      {"a cat --steps -s 5", "column 7: --steps: needs a value"},
      {"a cat --style \"\"", "column 7: --style: is empty"},
      {"a cat -s 3 -s 4 and more", "column 12: -s: given 2 times"},
      {"a cat -s 3 -s 4", "column 12: -s: given 2 times, takes one value"},
      {"a cat --steps 5 --ddim_steps 6", "column 17: --ddim_steps: given 2 times, takes one value"},
      {"a cat --vae-tiling=yes", "column 7: --vae-tiling: takes no value, got 'yes'"},
      {"a cat --negative-prompt blurry, dark", "column 33: 'dark': stands where a flag belongs; a value with blanks"},
      {"a cat --negative-prompt \"blurry", "column 25: a \" has no end"},
      {"a cat --negative-prompt it's", "column 27: a ' has no end"},
      {"a cat --steps 5 --prompt more", "column 17: --prompt: the prompt stands before the flags already"},
      {"--steps 3", "line 2, column 1: the prompt is missing; it stands before the flags"},
      {"a ladybird —steps 5", "column 12: —steps: begins with a dash that typesetting has put there; write --steps"},
      {"a ladybird –negative_prompt x", "column 12: –negative_prompt: begins with a dash"},
      {"a cat,--w 64", "column 7: --w: stands right behind a comma; put a blank before it"},
      {"a cat --steps 5 --", "column 17: '--': stands where a flag belongs"},
      {"a cat -i - --steps 5", "column 7: -: standard input holds the prompts already"},
  };
  for (const Case& c : cases) {
    INFO(c.line);
    check_error(ErrorKind::input, c.message, [&] { read_flagged("fine\n" + c.line + "\n"); });
  }
  std::string many;
  for (int i = 0; i < 30; ++i) many += "a cat --stesp 5\n";
  const std::string message = error_message(ErrorKind::input, [&] { read_flagged(many); });
  CHECK(message.find("line 20, column 7") != std::string::npos);
  CHECK(message.find("line 21") == std::string::npos);
  CHECK(message.ends_with("and 10 more"));
}
