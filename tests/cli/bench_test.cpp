#include <nlohmann/json.hpp>
#include <set>
#include <sstream>
#include <string>
#include <vector>

#include "support/catch.hpp"
#include "support/golden.hpp"
#include "support/process.hpp"

namespace {

const std::string tiny_sd1 = golden_path("pipeline/models/sd1").string();

std::vector<std::string> printed_lines(const std::string& text) {
  std::vector<std::string> all;
  std::istringstream stream(text);
  for (std::string line; std::getline(stream, line);) all.push_back(line);
  return all;
}

}  // namespace

TEST_CASE("bench prints one object with the documented keys", "[cli]") {
  const ProcessResult run = run_sdtorch({"bench", "-m", tiny_sd1, "--steps", "3", "--json"});
  INFO(run.err);
  REQUIRE(run.exit_code == 0);
  const nlohmann::json object = nlohmann::json::parse(run.out);
  std::set<std::string> keys;
  for (const auto& [key, value] : object.items()) keys.insert(key);
  CHECK(keys == std::set<std::string>{"load_s", "text_s", "first_step_s", "step_median_s", "steps", "vae_s", "png_s",
                                      "total_s", "peak_rss_mb", "device", "dtype", "threads"});
  CHECK(object["steps"] == 3);
  CHECK(object["total_s"].get<double>() > 0);
  CHECK(printed_lines(run.out).size() == 1);
}

TEST_CASE("bench's profile sums to the step that it is of", "[cli]") {
  const ProcessResult run = run_sdtorch({"bench", "-m", tiny_sd1, "--steps", "3", "-t", "1", "--json", "--profile"});
  INFO(run.err);
  REQUIRE(run.exit_code == 0);
  const nlohmann::json object = nlohmann::json::parse(run.out);
  CHECK(object["threads"] == 1);
  for (const char* part : {"step", "vae"}) {
    const nlohmann::json& stage = object["profile"][part];
    double seconds = 0, flops = 0;
    for (const auto& [name, kind] : stage["kinds"].items()) {
      CAPTURE(part, name);
      CHECK(kind["seconds"].get<double>() >= 0);
      seconds += kind["seconds"].get<double>();
      flops += kind["flops"].get<double>();
      if (name != "rest" && name != "activation") CHECK(kind["calls"] > 0);  // norms may activate
    }
    CHECK(seconds == Approx(stage["seconds"].get<double>()));
    CHECK(flops == stage["flops"].get<double>());
  }
  CHECK(object["profile"]["product_flops_per_s"] > 0);
  CHECK(object["profile"]["share_of_rate"] > 0);
}

TEST_CASE("bench takes turns part by part, and draws again until its input ends", "[cli]") {
  const ProcessResult run =
      run_sdtorch({"bench", "-m", tiny_sd1, "--steps", "2", "--by-turns"}, {.input = "\n\n\n\n\n\n\n\n\n"});
  INFO(run.err);
  REQUIRE(run.exit_code == 0);
  std::vector<std::string> parts;
  std::vector<std::string> printed = printed_lines(run.out);
  REQUIRE(printed.size() > 1);
  CHECK(nlohmann::json::parse(printed.back())["steps"] == 2);
  printed.pop_back();
  for (const std::string& line : printed) parts.push_back(nlohmann::json::parse(line)["part"]);
  CHECK(parts == std::vector<std::string>{"load", "text", "step", "step", "vae", "png", "text", "step", "step", "vae"});
}
