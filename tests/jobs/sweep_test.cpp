#include "jobs/sweep.hpp"

#include <sstream>

#include "jobs/expansion.hpp"
#include "jobs/prompt_file.hpp"
#include "support/catch.hpp"
#include "support/errors.hpp"

using namespace sdtorch;

namespace {

std::vector<Job> swept(const std::vector<std::string>& sweeps, const Settings& settings = {}) {
  return jobs_of(settings, {.sweep = Sweep(sweeps)});
}

}  // namespace

TEST_CASE("a sweep makes a job of each combination, the last name varying fastest", "[jobs]") {
  Settings base;
  base.prompt = "a cat";
  base.steps = 3;
  base.batch_count = 2;
  const auto jobs = swept({"cfg=5,7.5 sampler=euler,dpm++2m", "--seed=1,2,3"}, base);
  REQUIRE(jobs.size() == 12);
  for (size_t i = 0; i < jobs.size(); ++i) {
    INFO(i);
    const Request& request = jobs[i].request;
    CHECK(request.prompt == "a cat");
    CHECK(request.steps == 3);
    CHECK(jobs[i].batch_count == 2);
    CHECK(request.cfg_scale == (i < 6 ? 5 : 7.5));
    CHECK(request.sampler == (i / 3 % 2 == 0 ? "euler" : "dpm++2m"));
    CHECK(request.seed == i % 3 + 1);
  }
  CHECK(jobs[4].variant == "cfg-scale=5 sampler=dpm++2m seed=2");
  CHECK(swept({}, base).size() == 1);
}

TEST_CASE("values of a sweep are quoted as in a shell, and names are spelled as flags are", "[jobs]") {
  const auto jobs =
      swept({R"(prompt="a cat, red",'a "dog"',a\ cow,"" W=64,128 vae-tiling=true,no freeu="1.5,1.6,0.9,0.2")"});
  REQUIRE(jobs.size() == 16);
  CHECK(jobs[0].request.prompt == "a cat, red");
  CHECK(jobs[4].request.prompt == "a \"dog\"");
  CHECK(jobs[8].request.prompt == "a cow");
  CHECK(jobs[12].request.prompt.empty());
  CHECK(jobs[0].request.width == 64);
  CHECK(jobs[0].request.vae_tiling);
  CHECK_FALSE(jobs[1].request.vae_tiling);
  CHECK(jobs[2].request.width == 128);
  CHECK(jobs[0].request.freeu == std::vector<double>{1.5, 1.6, 0.9, 0.2});
  CHECK(swept({"sampler=\"DPM++ 2M Karras\",euler scheduler=exponential"})[0].request.scheduler == "exponential");
  CHECK(swept({"negative-prompt=\"\",blurry"})[0].request.negative_prompt == "");
}

TEST_CASE("a sweep makes several jobs of each line of a prompt file", "[jobs]") {
  std::istringstream in("a --cfg 2 --steps 4\nb\n");
  const Expansion expansion{.sweep = Sweep({"cfg=5,7"})};
  const auto jobs = read_prompt_file("-", {}, in, std::nullopt, expansion);
  REQUIRE(jobs.size() == 4);
  CHECK(jobs[0].request.prompt == "a");
  CHECK(jobs[0].request.cfg_scale == 5);
  CHECK(jobs[1].request.cfg_scale == 7);
  CHECK(jobs[1].request.steps == 4);
  CHECK(jobs[1].source == "<stdin>: line 1");
  CHECK(jobs[3].request.prompt == "b");
  std::istringstream json("{\"steps\": 4}\n");
  CHECK(read_prompt_file("-", {}, json, std::nullopt, {.sweep = Sweep({"prompt=a,b"})})[1].request.prompt == "b");
  std::istringstream bad("a\n");
  check_error(ErrorKind::input, "<stdin>: line 1, column 1: --strength: there is no picture",
              [&] { read_prompt_file("-", {}, bad, std::nullopt, {.sweep = Sweep({"strength=0.5,0.6"})}); });
}

TEST_CASE("sweeps that say nothing sensible are refused", "[jobs]") {
  struct Case {
    std::string sweep, message;
  };
  const std::vector<Case> cases = {
      {"", "--sweep: is empty"},
      {"  ", "--sweep: is empty"},
      {"cfg", "--sweep: 'cfg' has no values; write NAME=VALUE,VALUE, as cfg=5,7.5"},
      {"=5", "--sweep: '=5' has no values"},
      {"cgf=5", "--sweep: cgf: unknown flag; did you mean cfg?"},
      {"model=a,b", "--sweep: model: holds for the whole run, not for a line"},
      {"outdir=a", "--sweep: outdir: holds for the whole run"},
      {"cfg=", "--sweep: cfg: a value is empty"},
      {"cfg=5,", "--sweep: cfg: a value is empty"},
      {"cfg=5,,7", "--sweep: cfg: a value is empty"},
      {"cfg=5, 7", "--sweep: cfg: a value is empty; no blanks stand around commas"},
      {"cfg=5 7", "--sweep: '7' has no values"},
      {"sampler=\"\"", "--sweep: sampler: is empty"},
      {"style=\"\"", "--sweep: style: is empty"},
      {"prompt=\"a", "--sweep: prompt: a \" has no end"},
      {"cfg=5 cfg-scale=6", "--sweep: cfg-scale: is given twice"},
      {"cfg=5,7,5.0", "--sweep: cfg: '5.0' is there already; each value once"},
      {"sampler=euler,Euler", "--sweep: sampler: 'Euler' is there already"},
      {"cfg=five", "--sweep: cfg: 'five' is not a finite number"},
      {"steps=0", "--sweep: --steps: must be 1…"},
      {"sampler=eulr", "--sweep: sampler: no sampler 'eulr'; did you mean euler?"},
      {"resize=shrink", "--sweep: --resize: 'shrink' is not a choice"},
      {"vae-tiling=maybe", "--sweep: vae-tiling: 'maybe' is neither true nor false"},
      {"cfg=\xff", "--sweep: the text is not UTF-8"},
  };
  for (const Case& c : cases) {
    INFO(c.sweep);
    check_error(ErrorKind::usage, c.message, [&] { Sweep({c.sweep}); });
  }
  check_error(ErrorKind::usage, "--sweep: cfg: is given twice", [] { Sweep({"cfg=5", "cfg=6"}); });
  std::string many = "seed=";
  for (int i = 0; i < 4000; ++i) many += (i == 0 ? "" : ",") + std::to_string(i);
  std::string more = many;
  more.replace(0, 4, "ensd");
  check_error(ErrorKind::usage, "--sweep: makes more than 10000000 combinations", [&] { Sweep({many, more}); });
  more.resize(more.find(",1000"));
  check_error(ErrorKind::usage, "more than 1000000 jobs are asked for", [&] { swept({many, more}); });
  Settings base;
  base.batch_count = 1'000'000;
  check_error(ErrorKind::usage, "12000000 pictures are asked for",
              [&] { check_pictures(swept({"cfg=1,2,3,4,5,6,7,8,9,10,11,12"}, base)); });
}
