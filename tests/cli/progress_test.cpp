#include "cli/progress.hpp"

#include <ATen/ATen.h>

#include <nlohmann/json.hpp>
#include <sstream>
#include <string>
#include <vector>

#include "cli/report.hpp"
#include "support/captured_stderr.hpp"
#include "support/catch.hpp"

using namespace sdtorch;

namespace {

std::vector<nlohmann::json> events_in(const std::string& text) {
  std::vector<nlohmann::json> events;
  std::istringstream lines(text);
  for (std::string line; std::getline(lines, line);) {
    if (line.starts_with('{')) events.push_back(nlohmann::json::parse(line));
  }
  return events;
}

}  // namespace

TEST_CASE("a run's time left is told from its first step on", "[cli]") {
  RunProgress run;
  run.batch(2, 10, 100);
  CHECK(run.seconds_left(100) == 0);
  run.step(1, 10, 101);  // a fifth of a picture in a second
  CHECK(run.images_per_second(101) == Approx(0.2));
  CHECK(run.seconds_left(101) == Approx(9.8 / 0.2));
  run.step(10, 10, 110);
  CHECK(run.seconds_left(110) == Approx(40));
  run.image();
  run.image();
  CHECK(run.seconds_left(120) == Approx(80));
  run.batch(2, 10, 120);  // half of a batch's time are its steps
  run.step(10, 10, 130);
  CHECK(run.images_per_second(130) == Approx(3.0 / 30));
}

TEST_CASE("pictures that are drawn and not yet on disk count, once", "[cli]") {
  RunProgress run;
  run.batch(1, 4, 0);
  run.step(2, 2, 10);
  run.batch(1, 4, 10);  // the first one's file is still being written
  CHECK(run.images_per_second(10) == Approx(0.1));
  run.step(1, 2, 15);
  CHECK(run.images_per_second(15) == Approx(0.1));
  run.image();
  CHECK(run.images_per_second(15) == Approx(0.1));
  run.failed();  // the one in flight
  CHECK(run.images_per_second(20) == Approx(0.1));
  CHECK(run.seconds_left(20) == Approx(20));
}

TEST_CASE("a batch that is begun anew does not count for what it had", "[cli]") {
  RunProgress run;
  run.batch(4, 4, 0);
  run.step(1, 2, 10);
  run.batch(2, 4, 10);
  CHECK(run.images_per_second(10) == 0);
  run.step(2, 2, 20);
  CHECK(run.images_per_second(20) == Approx(0.1));
}

TEST_CASE("pictures of an earlier run are done, and say nothing of the speed", "[cli]") {
  RunProgress run;
  for (int i = 0; i < 90; ++i) run.done_before();
  run.batch(1, 10, 0);
  run.step(2, 2, 5);
  run.image();
  CHECK(run.total() == 100);
  CHECK(run.seconds_left(5) == Approx(45));
  CHECK(run.line(5) == "91/100 images, 5.0 s/image, 45s left");
  run.batch(1, 10, 5);
  run.step(1, 2, 7.5);
  CHECK(run.bar(7.5, 80) == "image 92/100 step 1/2 [==============================   ] 5.0 s/image, 43s left");
  CHECK(run.summary(5) == "1 image in 5s, 5.0 s/image, 90 done before");
}

TEST_CASE("the bar of many pictures never wraps", "[cli]") {
  RunProgress run;
  run.batch(8, 100'000, 0);
  run.step(7, 20, 3.3);
  for (int columns = 1; columns < 120; ++columns) {
    CHECK(run.bar(3.3, columns).size() < static_cast<size_t>(columns) + (columns == 1));
  }
  CHECK(run.bar(3.3, 120).find("images 1-8/100000 step 7/20 [") == 0);
  CHECK(run.bar(3.3, 120).find("1.2 s/image, 1d08h left") != std::string::npos);
}

TEST_CASE("with --json a run is events that name pictures, steps, speed and time left", "[cli]") {
  std::vector<nlohmann::json> events;
  for (const bool progress : {true, false}) {
    const auto told = events_in(stderr_of([&] {
      ConsoleReporter reporter({.json = true, .progress = progress});
      reporter.on_loading();
      const at::Tensor none;
      const std::vector<int64_t> numbers{4, 7};
      reporter.on_batch(numbers, 3);
      reporter.on_step({.index = 0, .count = 2, .latent = none, .predicted = none});
      reporter.on_preview({.path = "p.png", .index = 4, .step = 1, .steps = 2});
      reporter.on_done_before(0, "x.png");
      reporter.on_page("g.html");
      reporter.finish();
    }));
    if (progress) events = told;
    if (!progress) CHECK(told.empty());
  }
  REQUIRE(events.size() == 6);
  CHECK(events[0] == nlohmann::json({{"event", "loading"}}));
  CHECK(events[1] == nlohmann::json({{"event", "batch"}, {"images", {4, 7}}, {"total", 3}}));
  CHECK(events[2]["event"] == "step");
  CHECK(events[2]["index"] == 0);
  CHECK(events[2]["count"] == 2);
  CHECK(events[2]["images"] == nlohmann::json({4, 7}));
  CHECK(events[2]["images_per_second"] > 0);
  CHECK(events[2]["seconds_left"] >= 0);
  CHECK(events[3] ==
        nlohmann::json({{"event", "preview"}, {"path", "p.png"}, {"image", 4}, {"step", 1}, {"steps", 2}}));
  CHECK(events[4] == nlohmann::json({{"event", "page"}, {"path", "g.html"}}));
  CHECK(events[5]["event"] == "summary");
  CHECK(events[5]["images"] == 0);
  CHECK(events[5]["done_before"] == 1);
}

TEST_CASE("a picture that is left out is an object with its reason", "[cli]") {
  const std::string line = failed_line({.index = 7, .source = "p.txt: line 3", .error = "a \"b\"", .exit_code = 8});
  CHECK(line.find('\n') == line.size() - 1);
  CHECK(nlohmann::json::parse(line) == nlohmann::json({{"event", "failed"},
                                                       {"index", 7},
                                                       {"seed", 42},
                                                       {"prompt", ""},
                                                       {"source", "p.txt: line 3"},
                                                       {"error", "a \"b\""},
                                                       {"exit_code", 8}}));
}
