// Pictures that share U-Net calls with others, beside the same alone.
#include <fmt/format.h>

#include <map>
#include <thread>

#include "jobs/automatic_batch.hpp"
#include "jobs/drawer.hpp"
#include "jobs/job.hpp"
#include "jobs/text_ahead.hpp"
#include "support/catch.hpp"
#include "support/golden.hpp"
#include "support/pictures.hpp"

using namespace sdtorch;

namespace {

std::string repeated(const std::string& text, int times) {
  std::string all;
  for (int i = 0; i < times; ++i) all += text;
  return all;
}

/// Jobs whose prompts differ in all that a prompt may: length, chunks, weights, schedules, sums, LoRAs, seeds.
std::vector<Job> mixed_jobs(const ModelChoice& choice, const std::string& lora_name, int64_t batch_size) {
  std::vector<Request> requests;
  const auto add = [&](const std::string& prompt, std::optional<std::string> negative = {}) {
    requests.push_back({.prompt = prompt, .negative_prompt = std::move(negative), .steps = 3, .seed = requests.size()});
  };
  const std::string lora = golden_path("lora_pictures/" + lora_name).string();
  add("a house");
  add("", "blurry");
  add(repeated("a red house by the sea, ", 20));
  add("a (red:1.4) house", repeated("blurry, ", 60));
  add("a [red:blue:0.5] house");
  add("a house AND a lake :0.7");
  add("a house");
  add(repeated("night, ", 100), repeated("day, ", 30));
  add("a house on a hill");
  requests.back().cfg_scale = 1;
  add("a house on a hill AND a cat");
  requests.back().cfg_scale = 1;
  add("a lake");
  requests.back().lora = {lora};
  add("a lake at night", "a boat");
  requests.back().lora = {lora};
  add("a lake");
  requests.back().lora = {lora + ":0.5"};
  add("a tree");
  requests.back().width = 32;
  add("two trees");
  requests.back().width = 32;
  std::vector<Job> jobs;
  for (const Request& request : requests) {
    jobs.push_back(
        {.choice = choice, .request = request, .batch_count = 1 + (request.seed % 3 == 0), .batch_size = batch_size});
  }
  return jobs;
}

/// Each picture by its number; how many batches there were.
std::pair<std::map<int64_t, Picture>, int> drawn(const std::vector<Job>& jobs, Drawer& drawer) {
  std::map<int64_t, Picture> pictures;
  int count = 0;
  Batches batches(jobs);
  for (Batch batch = batches.next(); !batch.pictures.empty(); batch = batches.next()) {
    ++count;
    std::vector<Picture> some = drawer.draw(*batch.choice, batch.pictures, {}).pictures;
    for (size_t i = 0; i < some.size(); ++i) pictures[batch.numbers[i]] = std::move(some[i]);
  }
  return {std::move(pictures), count};
}

}  // namespace

TEST_CASE("pictures of mixed jobs are what they are alone, however many share a call", "[jobs]") {
  for (const char* model : {"pipeline/models/sd1", "families/models/xl"}) {
    const bool xl = std::string(model).ends_with("xl");
    const ModelChoice choice{.model = golden_path(model).string(), .device = "cpu", .dtype = "fp32"};
    CheckedModels models;
    Drawer drawer(models);
    std::vector<Job> jobs = mixed_jobs(choice, xl ? "xl_a.safetensors" : "sd1_a.safetensors", 1);
    const auto [alone, singly] = drawn(jobs, drawer);
    CHECK(singly == count_images(jobs));
    REQUIRE(std::ssize(alone) == count_images(jobs));
    for (const int64_t size : {2, 5}) {
      for (Job& job : jobs) job.batch_size = size;
      const auto [together, batches] = drawn(jobs, drawer);
      CHECK(batches <= singly / size + 6);
      REQUIRE(together.size() == alone.size());
      for (const auto& [number, picture] : together) {
        INFO(model << ", " << size << " at once, picture " << number << ": " << picture.request.prompt);
        CHECK(picture.request == alone.at(number).request);
        CHECK(largest_difference(picture.image, alone.at(number).image) <= 1);
      }
    }
  }
}

TEST_CASE("what is read ahead is drawn the same", "[jobs]") {
  const ModelChoice choice{.model = golden_path("pipeline/models/sd1").string(), .device = "cpu", .dtype = "fp32"};
  const Pipeline pipeline = Pipeline::open(choice), other = Pipeline::open(choice);
  const std::vector<Job> jobs = mixed_jobs(choice, "sd1_a.safetensors", 2);
  Batches batches(jobs);
  Batch batch = batches.next();
  while (!batch.pictures.empty()) {
    const Batch next = batches.next();
    std::thread beside;
    const Observer observer{.on_stage = [&](Stage stage) {
      if (stage == Stage::denoise && !beside.joinable()) beside = std::thread([&] { pipeline.prepare(next.pictures); });
    }};
    const std::vector<Picture> ahead = pipeline.draw(batch.pictures, observer), plain = other.draw(batch.pictures);
    beside.join();
    for (size_t i = 0; i < ahead.size(); ++i) CHECK(largest_difference(ahead[i].image, plain[i].image) == 0);
    batch = next;
  }
}

TEST_CASE("the machine chooses how many pictures share a call", "[jobs]") {
  CheckedModels models;
  AutomaticBatch automatic(models);
  Job job{.choice = {.model = golden_path("pipeline/models/sd1").string(), .device = "cpu", .dtype = "fp32"},
          .request = {.prompt = "a house"}};
  const int64_t size = automatic.size_for(job);
  CHECK(size > 1);
  Job large = job;
  large.request.width = large.request.height = 4096;
  CHECK(automatic.size_for(large) == 1);
  Job same_everywhere = job;
  same_everywhere.choice.deterministic = true;
  CHECK(automatic.size_for(same_everywhere) == 1);
  automatic.did_not_fit(size);
  CHECK(automatic.size_for(job) == size / 2);
  automatic.did_not_fit(1);
  CHECK(automatic.size_for(job) == 1);
}
