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
  const nlohmann::json expected = {{"path", "out/a.png"},    {"index", 3},  {"seed", 18446744073709551615u},
                                   {"prompt", "海 \"x\"\n"}, {"width", 64}, {"height", 32},
                                   {"sampler", "euler"},     {"steps", 7},  {"seconds", 1.25}};
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
                          "peak_rss_mb", "device", "dtype"}) {
    CHECK(object.contains(key));
  }
  CHECK(object.size() == 11);
  CHECK(bench_text(result, false).find("peak memory") != std::string::npos);
}
