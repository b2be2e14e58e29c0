#include "pipeline/conditions.hpp"

#include <limits>
#include <variant>
#include <vector>

#include "pipeline/composed.hpp"
#include "support/catch.hpp"
#include "support/drawing.hpp"
#include "support/errors.hpp"
#include "support/golden.hpp"
#include "support/tolerance.hpp"

using namespace sdtorch;

namespace {

std::vector<at::Tensor> outputs(int64_t count) {
  std::vector<at::Tensor> list;
  for (int64_t i = 0; i < count; ++i)
    list.push_back(at::sin(at::arange(2 * 4 * 3 * 3) * (i + 1)).reshape({2, 4, 3, 3}));
  return list;
}

/// The rule's result against a sum of its inputs, in float64.
void check_sum(const CombinationRule& rule, const std::vector<at::Tensor>& given, const std::vector<double>& weights) {
  at::Tensor expected = at::zeros_like(given[0], at::kDouble);
  for (size_t i = 0; i < weights.size(); ++i) expected += weights[i] * given[i].to(at::kDouble);
  CHECK(relative_error(rule(given, at::zeros_like(given[0]), {}), expected.to(at::kFloat)) <
        tolerance::tensor_relative);
}

/// A weight's numbers become none; in memory of its own, since a mapped file is read-only.
void spoil(at::Tensor weight) {
  weight.set_data(at::full_like(weight.detach(), std::numeric_limits<float>::quiet_NaN()));
}

}  // namespace

TEST_CASE("rules combine the conditions' outputs as their papers say", "[pipeline]") {
  const auto three = outputs(3);
  check_sum(alone(), {three[0]}, {1});
  check_sum(guidance({.scale = 7.5}), {three[0], three[1]}, {1 - 7.5, 7.5});
  check_sum(guidance({.scale = 7.5, .pag_scale = 3}), three, {1 - 7.5, 7.5 + 3, -3});
  check_sum(perturbed_guidance(3), {three[0], three[1]}, {1 + 3, -3});
  check_sum(sums_of_prompts({{2}}, at::kCPU, {}, {}), {three[0], three[1]}, {1 - 2, 2});
  check_sum(sums_of_prompts({{4, -1.5}}, at::kCPU, {}, {}), three, {1 - 4 + 1.5, 4, -1.5});
  check_sum(two_scales(1.5, 7), three, {1 - 1.5, 1.5 - 7, 7});
}

TEST_CASE("a latent that is no longer made of numbers is told with its step", "[pipeline]") {
  PipelineNetworks networks = networks_of(describe_model(golden_path("pipeline/models/sd1").string(), ""));
  const auto weights = networks.model.unet->named_parameters();
  const auto message_at = [&](int64_t steps, double scale, const std::string& prompt = "a house") {
    std::string message;
    try {
      draw_tensors(networks, {.prompt = prompt, .steps = steps, .cfg_scale = scale, .sampler = "euler"});
    } catch (const Error& error) {
      CHECK(error.kind() == ErrorKind::non_finite);
      message = error.what();
    }
    return message;
  };
  CHECK(message_at(3, 7.5).empty());
  CHECK_THAT(message_at(20, 1e37), Catch::Contains("after step 2 of 20") && Catch::Contains("--cfg-scale 1e+37"));
  spoil(weights["conv_out.bias"]);
  CHECK_THAT(message_at(3, 7.5), Catch::Contains("after step 1 of 3") && Catch::Contains("U-Net's conv_out.bias"));
  auto& encoder = std::get<std::shared_ptr<ClipTextModel>>(networks.model.text_encoders.front());
  spoil(encoder->named_parameters().front().value());
  CHECK_THAT(message_at(3, 7.5, "not remembered"), Catch::Contains("what the text encoder makes of the prompt"));
}
