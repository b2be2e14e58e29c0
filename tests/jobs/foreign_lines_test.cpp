#include "jobs/foreign_lines.hpp"

#include <fstream>
#include <sstream>

#include "jobs/prompt_file.hpp"
#include "support/captured_stderr.hpp"
#include "support/catch.hpp"
#include "support/errors.hpp"

using namespace sdtorch;

namespace {

std::vector<Job> read_text(const std::string& text, std::optional<PromptFormat> format = std::nullopt,
                           const Settings& base = {}) {
  std::istringstream in(text);
  return read_prompt_file("-", base, in, format);
}

}  // namespace

TEST_CASE("lines of A1111's prompts from file are requests, by their content", "[jobs]") {
  const auto jobs = read_text(
      "a plain prompt, 50% off\n"
      "--prompt \"a (ladybird:1.2), \\\"red\\\"\" --negative_prompt blurry grey --steps 21 --cfg_scale 6.5 "
      "--sampler_name \"DPM++ 2M Karras\" --width 64 --height 96 --seed 7\n"
      "--seed 3 --prompt an old man on a bench --n_iter 2 --batch_size 3 --subseed 4 --subseed_strength 0.25 "
      "--seed_resize_from_w 64 --seed_resize_from_h 32 --do_not_save_grid true\n"
      "--prompt 'a dog, --seed 5 \\ life --steps 3' --seed 9\n");
  REQUIRE(jobs.size() == 4);
  CHECK(jobs[0].request.prompt == "a plain prompt, 50% off");
  const Request& full = jobs[1].request;
  CHECK(full.prompt == "a (ladybird:1.2), \"red\"");
  CHECK(full.negative_prompt == "blurry grey");
  CHECK(full.steps == 21);
  CHECK(full.cfg_scale == 6.5);
  CHECK(full.sampler == "dpm++2m");
  CHECK(full.scheduler == "karras");
  CHECK(full.width == 64);
  CHECK(full.height == 96);
  CHECK(full.seed == 7);
  CHECK(jobs[2].request.prompt == "an old man on a bench");
  CHECK(jobs[2].batch_count == 6);
  CHECK(jobs[2].batch_size == 3);
  CHECK(jobs[2].request.variation_seed == 4);
  CHECK(jobs[2].request.variation_strength == 0.25);
  CHECK(jobs[2].request.seed_resize == PixelPair{.vertical = 32, .horizontal = 64});
  CHECK_FALSE(read_text("--prompt a --seed_resize_from_h -1 --seed_resize_from_w -1\n").front().request.seed_resize);
  CHECK(jobs[3].request.prompt == "a dog, --seed 5 \\ life --steps 3");
  CHECK(jobs[3].request.seed == 9);
}

TEST_CASE("lines of kohya's prompt files are requests, by their content", "[jobs]") {
  const auto jobs = read_text(
      "a girl, red hair --n low quality, blurry --w 64 --h 96 --d 42 --s 28 --l 7.5\n"
      "a boy -- with a dash\n"
      "a castle --S 5 --ss euler_a --ow 512 --oh 256 --ct 8\n");
  REQUIRE(jobs.size() == 3);
  CHECK(jobs[0].request.prompt == "a girl, red hair");
  CHECK(jobs[0].request.negative_prompt == "low quality, blurry");
  CHECK(jobs[0].request.width == 64);
  CHECK(jobs[0].request.height == 96);
  CHECK(jobs[0].request.seed == 42);
  CHECK(jobs[0].request.steps == 28);
  CHECK(jobs[0].request.cfg_scale == 7.5);
  CHECK(jobs[1].request.prompt == "a boy -- with a dash");
  CHECK(jobs[2].request.steps == 5);
  CHECK(jobs[2].request.sampler == "euler_a");
  CHECK(jobs[2].request.original_size == PixelPair{.vertical = 256, .horizontal = 512});
  CHECK(jobs[2].request.crop == PixelPair{.vertical = 8, .horizontal = 0});
}

TEST_CASE("other tools' lines that are wrong name line and flag", "[jobs]") {
  struct Case {
    PromptFormat format;
    std::string line, message;
  };
  const std::vector<Case> cases = {
      {PromptFormat::a1111, "--prompt a --stepz 5",
       "line 2, column 12: --stepz: is no flag of that tool's prompt files; did you mean steps?"},
      {PromptFormat::a1111, "--prompt a --steps many", "line 2, column 12: --steps: 'many' is not a whole number"},
      {PromptFormat::a1111, "--prompt a --steps", "line 2, column 12: --steps: needs a value"},
      {PromptFormat::a1111, "--prompt \"a --steps 5", "line 2, column 1: a \" has no end"},
      {PromptFormat::a1111, "--steps 5", "line 2, column 1: --prompt: is missing"},
      {PromptFormat::a1111, "a cat --steps 5", "line 2, column 1: 'a': stands where a flag belongs"},
      {PromptFormat::a1111, "--prompt a --sd_model x.ckpt",
       "line 2, column 12: --sd_model: the model holds for the whole run"},
      {PromptFormat::a1111, "--prompt a --sampler_name Eulr", "line 2, column 12: --sampler_name: no sampler 'Eulr'"},
      {PromptFormat::a1111, "--prompt a --steps 0", "line 2, column 12: --steps: must be 1"},
      {PromptFormat::kohya, "a cat --x 5", "line 2, column 7: --x: is no flag of that tool's prompt files"},
      {PromptFormat::kohya, "a cat --s", "line 2, column 7: --s: needs a value"},
      {PromptFormat::kohya, "a cat --d 1,2", "line 2, column 7: --d: names several seeds"},
      {PromptFormat::kohya, "--n blurry", "line 2, column 1: the prompt is missing"},
      {PromptFormat::kohya, "a cat --t 0.5", "line 2, column 7: --strength: there is no picture to start from"},
  };
  for (const Case& c : cases) {
    INFO(c.line);
    check_error(ErrorKind::input, c.message, [&] { read_text("fine\n" + c.line + "\n", c.format); });
  }
  // Said to be plain text, their flags are ours or none.
  CHECK(read_text("--prompt \"a b\" --steps 5", PromptFormat::txt).front().request.prompt == "a b");
  check_error(ErrorKind::input, "line 1, column 7: --s: unknown flag",
              [] { read_text("a cat --s 5", PromptFormat::txt); });
}

TEST_CASE("what other tools' lines say and we cannot do is told once", "[jobs]") {
  const std::string log = stderr_of([] {
    read_text(
        "--prompt a --restore_faces true\n--prompt b --restore_faces true\n--prompt c --tiling false\n"
        "a cat --nl 1.5\n");
  });
  CHECK(log.find("line 1: --restore_faces has no counterpart here and is left out") != std::string::npos);
  CHECK(log.find("line 2") == std::string::npos);
  CHECK(log.find("tiling") == std::string::npos);
  CHECK(log.find("line 4: --nl") != std::string::npos);
}
