#include "jobs/job.hpp"

#include "support/catch.hpp"

using namespace sdtorch;

namespace {

/// Prompts and seeds of all batches: "a1 a2 | b7".
std::string batches_text(const std::vector<Job>& jobs) {
  std::string text;
  Batches batches(jobs);
  for (Batch batch = batches.next(); !batch.pictures.empty(); batch = batches.next()) {
    if (!text.empty()) text += " |";
    for (const Request& picture : batch.pictures) text += " " + picture.prompt + std::to_string(picture.seed);
  }
  return text;
}

}  // namespace

TEST_CASE("a job's pictures count their seeds up, and share calls as far as its batch size goes", "[jobs]") {
  const Request request{.prompt = "a", .seed = 18446744073709551614u};
  CHECK(picture_of({.request = request}, 3).seed == 1);  // wraps at 2^64
  CHECK(batches_text({{.request = {.prompt = "a", .seed = 1}, .batch_count = 5, .batch_size = 2}}) ==
        " a1 a2 | a3 a4 | a5");
  CHECK(batches_text({}).empty());
}

TEST_CASE("pictures of several jobs share a call where they agree", "[jobs]") {
  const auto job = [](const char* prompt, int64_t steps, int64_t size, int64_t count = 1) {
    return Job{.request = {.prompt = prompt, .steps = steps, .seed = 7}, .batch_count = count, .batch_size = size};
  };
  CHECK(batches_text({job("a", 9, 3), job("b", 9, 3), job("c", 9, 3), job("d", 9, 3)}) == " a7 b7 c7 | d7");
  CHECK(batches_text({job("a", 9, 4), job("b", 8, 4), job("c", 8, 4)}) == " a7 | b7 c7");
  CHECK(batches_text({job("a", 9, 4), job("b", 9, 1), job("c", 9, 4)}) == " a7 c7 | b7");
  CHECK(batches_text({job("a", 9, 2), job("b", 8, 2), job("c", 9, 2), job("d", 8, 2)}) == " a7 c7 | b7 d7");
  CHECK(batches_text({job("a", 9, 3, 2), job("b", 9, 3, 2)}) == " a7 a8 b7 | b8");
  CHECK(batches_text({job("a", 9, 1), job("b", 8, 1), job("c", 9, 1)}) == " a7 | b7 | c7");
  const auto styled = [&](const char* prompt, const char* lora) {
    Job one = job(prompt, 9, 1);
    one.request.lora = {lora};
    return one;
  };
  CHECK(batches_text({styled("a", "x"), styled("b", "y"), styled("c", "x"), job("d", 9, 1), styled("e", "y")}) ==
        " a7 | c7 | b7 | e7 | d7");
  Job steered = job("b", 9, 3);
  steered.choice.control_net = {"net"};
  CHECK(batches_text({job("a", 9, 3), steered, steered, job("c", 9, 3)}) == " a7 c7 | b7 b7");
}
