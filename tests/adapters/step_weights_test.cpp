// Weights that change over a run's steps.
#include "adapters/step_weights.hpp"

#include "support/catch.hpp"

using namespace sdtorch;

TEST_CASE("a weight is a number, or numbers from shares of the steps on", "[adapters]") {
  CHECK(StepWeights::parse("0.8")->at(0, 10) == 0.8);
  CHECK(StepWeights::parse(" -1.5 ")->at(9, 10) == -1.5);
  CHECK_FALSE(StepWeights::parse("0.8")->varies());
  const StepWeights halves = *StepWeights::parse("0.2@0, 0.8@0.5");
  CHECK(halves.varies());
  CHECK(halves.at(0, 10) == 0.2);
  CHECK(halves.at(4, 10) == 0.2);
  CHECK(halves.at(5, 10) == 0.8);
  CHECK(halves.at(9, 10) == 0.8);
  CHECK(halves.at(2, 5) == 0.2);  // which begins before the middle
  CHECK(halves.at(3, 5) == 0.8);
  CHECK(halves.at(0, 1) == 0.2);
}

TEST_CASE("before its first share a weight is 0", "[adapters]") {
  const StepWeights late = *StepWeights::parse("1@0.3");
  CHECK(late.at(2, 10) == 0);
  CHECK(late.at(3, 10) == 1);
  CHECK_FALSE(StepWeights::parse("1@0")->varies());
  CHECK(StepWeights::parse("0@0.5")->is_zero());
  CHECK_FALSE(late.is_zero());
}

TEST_CASE("what is no weight is told", "[adapters]") {
  for (const char* text : {"", " ", "a", "1@", "@0.5", "1@2", "1@-0.1", "0.2@0.5,0.8@0.5", "0.2@0.5,0.8@0.1", "1,2",
                           "0.2@0,0.8", "nan", "inf", "1e999", "0.5@0.5,", "0.5@x"}) {
    INFO(text);
    CHECK_FALSE(StepWeights::parse(text));
  }
}
