#include "cli/report.hpp"

#include <nlohmann/json.hpp>

#include "cli/bench_report.hpp"
#include "support/catch.hpp"

using namespace sdtorch;

TEST_CASE("a result is a path or one JSON object with the promised keys", "[cli]") {
  Request request;
  request.prompt = "海 \"x\"\n";
  request.seed = 18446744073709551615u;
  request.steps = 7;
  const ImageResult result{.path = "out/a.png",
                           .index = 3,
                           .request = request,
                           .sampler = "euler",
                           .width = 64,
                           .height = 32,
                           .seconds = 1.25};
  CHECK(result_line(result, false) == "out/a.png\n");
  const std::string line = result_line(result, true);
  CHECK(line.find('\n') == line.size() - 1);
  const nlohmann::json expected = {{"event", "image"},
                                   {"path", "out/a.png"},
                                   {"index", 3},
                                   {"seed", 18446744073709551615u},
                                   {"prompt", "海 \"x\"\n"},
                                   {"width", 64},
                                   {"height", 32},
                                   {"sampler", "euler"},
                                   {"steps", 7},
                                   {"seconds", 1.25}};
  CHECK(nlohmann::json::parse(line) == expected);
}

TEST_CASE("the bar shows step, rate and time left, and never wraps", "[cli]") {
  CHECK(progress_line("", 5, 20, 10, 80) == "step 5/20 [==========                              ] 2.0 s/it, 30s left");
  CHECK(progress_line("image 2/8 ", 20, 20, 10, 60) == "image 2/8 step 20/20 [==================] 2.0 it/s, 0s left");
  CHECK(progress_line("", 1, 1000, 10, 80).find("2h46m left") != std::string::npos);
  for (int columns = 1; columns < 100; ++columns) {
    CHECK(progress_line("image 2/8 ", 7, 20, 3.3, columns).size() < static_cast<size_t>(columns));
  }
}

TEST_CASE("bench prints the promised keys on one line", "[cli]") {
  const BenchResult result{.load_s = 1, .steps = 4, .device = "cpu", .dtype = "fp32"};
  const std::string line = bench_text(result, true);
  CHECK(line.find('\n') == line.size() - 1);
  const nlohmann::json object = nlohmann::json::parse(line);
  for (const char* key : {"load_s", "text_s", "first_step_s", "step_median_s", "steps", "vae_s", "png_s", "total_s",
                          "peak_rss_mb", "device", "dtype", "threads"}) {
    CHECK(object.contains(key));
  }
  CHECK(object.size() == 12);
  CHECK(bench_text(result, false).find("peak memory") != std::string::npos);
}

TEST_CASE("bench tells a step's kinds of layers, and how near it comes to the machine's rate", "[cli]") {
  const std::vector<LayerCost> layers = {
      {.kind = LayerKind::linear, .product = {.rows = 10, .inner = 20, .columns = 30}, .calls = 2, .seconds = 1},
      {.kind = LayerKind::linear, .product = {.rows = 5, .inner = 20, .columns = 30}, .calls = 1, .seconds = 0.5},
      {.kind = LayerKind::norm, .calls = 3, .seconds = 0.25}};
  const StageProfile step = summarize(2, layers);
  CHECK(step.flops == 2.0 * 10 * 20 * 30 * 2.5);
  double seconds = 0;
  for (const KindCost& kind : step.kinds) seconds += kind.seconds;
  CHECK(seconds == 2);
  CHECK(step.kinds.back().kind == "rest");
  CHECK(step.kinds.back().seconds == 0.25);

  const BenchResult result{
      .device = "cpu", .dtype = "fp32", .profile = BenchProfile{.step = step, .product_rate = 3e4}};
  const nlohmann::json profile = nlohmann::json::parse(bench_text(result, true))["profile"];
  CHECK(profile["floor_s"] == 1);
  CHECK(profile["share_of_rate"] == 0.5);
  CHECK(profile["step"]["kinds"]["linear"] == nlohmann::json({{"calls", 3}, {"flops", 3e4}, {"seconds", 1.5}}));
  CHECK(profile["step"]["kinds"]["attention"]["calls"] == 0);
  CHECK(bench_text(result, false).find("50% of what the step took") != std::string::npos);
}
