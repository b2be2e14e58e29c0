// Whole pictures against diffusers: every sampler through tiny random models, and the built-in model.
#include <fmt/format.h>

#include <algorithm>
#include <limits>
#include <nlohmann/json.hpp>

#include "core/device.hpp"
#include "io/json.hpp"
#include "pipeline/settings_json.hpp"
#include "support/catch.hpp"
#include "support/cuda.hpp"
#include "support/drawing.hpp"
#include "support/golden.hpp"
#include "support/tolerance.hpp"

using namespace sdtorch;

namespace {

/// The golden's case as a request: its keys are the flags' long names, but for `model`.
Settings to_settings(nlohmann::json golden_case) {
  golden_case.erase("model");
  return settings_from_json(golden_case, {}, {.file = "golden"});
}

std::string model_of(const std::string& name) {
  if (name.empty()) return {};
  return golden_path("pipeline/models/" + (name == "zero_snr" ? "sd2" : name)).string();
}

/// zero_snr is sd2's folder with another scheduler.
ModelDescription describe_golden(const std::string& name) {
  ModelDescription model = describe_model(model_of(name), "");
  if (name == "zero_snr") {
    model.scheduler_file = golden_path("pipeline/zero_snr_scheduler_config.json").string();
    model.scheduler = read_json_file(model.scheduler_file, ErrorKind::model);
  }
  return model;
}

/// [B, 3, H, W] in 0…1 → [B, H, W, 3] 0…255, as diffusers' golden stores it.
at::Tensor to_bytes(const at::Tensor& pictures) { return (pictures * 255).round().permute({0, 2, 3, 1}); }

double max_difference(const at::Tensor& a, const at::Tensor& b) { return (a - b).abs().max().item<double>(); }

/// The usual tolerance; or, where a run starts from noise so large (4096 for zero terminal SNR) that fp32 has not that
/// many digits left for the latent at its end, one unit in the last place of that noise.
double allowed(const at::Tensor& start, const at::Tensor& latent) {
  constexpr double fp32_epsilon = std::numeric_limits<float>::epsilon();
  return std::max(tolerance::tensor_relative * latent.abs().max().item<double>(),
                  fp32_epsilon * start.abs().max().item<double>());
}

void check_goldens(const std::string& golden, at::Device device = at::kCPU) {
  const auto expected = load_golden("pipeline/" + golden);
  const auto cases = nlohmann::json::parse(golden_metadata("pipeline/" + golden).at("cases"));
  std::map<std::string, PipelineNetworks> models;
  for (size_t i = 0; i < cases.size(); ++i) {
    INFO(cases[i].dump());
    const std::string name = cases[i].value("model", "");
    if (!models.count(name)) models.emplace(name, networks_of(describe_golden(name), at::kFloat, device));
    const PipelineNetworks& networks = models.at(name);
    const Settings settings = to_settings(cases[i]);
    const ResolvedRequest resolved = resolve(networks.model.description, settings);

    at::Tensor latent, start;
    Observer observer;
    observer.on_tensor = [&](std::string_view tensor_name, const at::Tensor& tensor) {
      if (tensor_name == "noise") start = tensor * resolved.plan.init_noise_sigma;
      if (tensor_name == "latent") latent = tensor.to(at::kCPU);
    };
    const Drawn generated = draw_tensors(networks, settings, settings.batch_count, observer);

    const std::string key = fmt::format("{:03}", i);
    CHECK(max_difference(latent, expected.at(key + ".latent")) <= allowed(start, expected.at(key + ".latent")));
    const at::Tensor difference = (to_bytes(generated.pictures) - expected.at(key + ".image").to(at::kFloat)).abs();
    CHECK(difference.max().item<double>() <= tolerance::pixel * 255);
    CHECK(difference.mean().item<double>() <= tolerance::pixel_mean * 255);
  }
  REQUIRE(!cases.empty());
}

}  // namespace

TEST_CASE("tiny random models draw what diffusers draws, with every sampler", "[pipeline]") { check_goldens("tiny"); }

TEST_CASE("the built-in model draws what diffusers draws with it", "[pipeline]") { check_goldens("demo"); }

TEST_CASE("on CUDA the built-in model draws what diffusers draws with it", "[pipeline][cuda]") {
  if (no_cuda_device()) return;
  use_exact_fp32();
  check_goldens("demo", at::kCUDA);
}

TEST_CASE("image k of a batch is the same image alone", "[pipeline]") {
  const PipelineNetworks networks = networks_of(describe_golden("sd1"));
  const Request request{.prompt = "a house", .steps = 4, .seed = 0xFFFFFFFFFFFFFFFFu, .sampler = "euler_a"};
  const Drawn batch = draw_tensors(networks, request, 3);
  for (int64_t k = 0; k < 3; ++k) {
    Request own = request;
    own.seed += static_cast<uint64_t>(k);
    const Drawn alone = draw_tensors(networks, own);
    CHECK(relative_error(batch.pictures[k], alone.pictures[0]) <= tolerance::tensor_relative);
  }
  CHECK(relative_error(batch.pictures[0], batch.pictures[1]) > 0.01);
}

TEST_CASE("guidance scale 1 is the conditional model alone, 0 the unconditional", "[pipeline]") {
  const PipelineNetworks networks = networks_of(describe_golden("sd1"));
  const auto draw = [&](const std::string& prompt, const std::string& negative, double scale) {
    return draw_tensors(networks, {.prompt = prompt, .negative_prompt = negative, .steps = 3, .cfg_scale = scale})
        .pictures;
  };
  const at::Tensor conditional = draw("a house", "blurry", 1);
  CHECK(at::equal(conditional, draw("a house", "green", 1)));
  const at::Tensor unconditional = draw("a house", "blurry", 0);
  CHECK(at::equal(unconditional, draw("a red tree", "blurry", 0)));
  CHECK(at::equal(unconditional, draw("blurry", "", 1)));
  CHECK(relative_error(conditional, unconditional) > 1e-3);
}

TEST_CASE("the compute type that auto picks draws nearly the picture of fp32", "[pipeline]") {
  const Request request{.prompt = "a red house on green hills at sunset"};
  const auto draw = [&](at::ScalarType dtype) {
    return draw_tensors(networks_of(describe_golden(""), dtype), request).pictures;
  };
  const at::Tensor exact = draw(at::kFloat);
  for (const at::ScalarType dtype : {at::kBFloat16, at::kHalf}) {
    INFO(dtype_name(dtype));
    CHECK((draw(dtype) - exact).abs().mean().item<double>() <= tolerance::half_precision_pixel_mean);
  }
}
