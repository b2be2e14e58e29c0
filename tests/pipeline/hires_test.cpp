// A1111's hires fix against diffusers' pieces put together (scripts/goldens/hires.py).
#include <fmt/format.h>

#include <algorithm>
#include <set>

#include "pipeline/metadata.hpp"
#include "support/catch.hpp"
#include "support/errors.hpp"
#include "support/families.hpp"
#include "support/golden.hpp"
#include "support/golden_pictures.hpp"
#include "support/pictures.hpp"

using namespace sdtorch;

namespace {

PipelineNetworks hires_networks(const std::string& model, const std::string& net) {
  const std::string area = model == "xl" ? "families/models/" : "pipeline/models/";
  ModelDescription described = describe_model(golden_path(area + model).string(), "");
  if (!net.empty()) {
    described.controls.push_back(describe_control(golden_path("control_nets/nets/" + net).string(), described));
  }
  return networks_of(std::move(described));
}

CheckedModel hires_model() {
  return Pipeline::check({.model = golden_path("pipeline/models/sd1").string(), .device = "cpu", .dtype = "fp32"});
}

Request twice() {
  return {.prompt = "a house", .steps = 3, .width = 32, .height = 24, .sampler = "euler_a", .hires_scale = 1.5};
}

}  // namespace

TEST_CASE("a second, larger pass gives what A1111's arithmetic on diffusers' pieces gives", "[pipeline]") {
  std::map<std::string, PipelineNetworks> models;
  check_golden_pictures("hires",
                        [&](const nlohmann::json& one) -> const PipelineNetworks& {
                          const std::string name = one.at("model"), net = one.value("control-net", "");
                          if (!models.contains(name + net)) models.emplace(name + net, hires_networks(name, net));
                          return models.at(name + net);
                        },
                        {{"control-image", "control_nets"}});
}

TEST_CASE("a batch draws each picture's second pass as it would be alone", "[pipeline]") {
  const Pipeline pipeline = Pipeline::open(hires_model());
  for (const std::string upscaler : {"latent", "lanczos"}) {
    INFO(upscaler);
    std::vector<Request> batch{twice(), twice()};
    for (Request& request : batch) request.hires_upscaler = upscaler;
    batch[1].prompt = "green hills", batch[1].seed = 8;
    const std::vector<Picture> together = pipeline.draw(batch);
    for (size_t i = 0; i < batch.size(); ++i) {
      const Image alone = pipeline.draw(batch[i]).image;
      CHECK(alone.width == 48);
      CHECK(alone.height == 32);  // 36, rounded down
      CHECK(largest_difference(together[i].image, alone) <= 1);
    }
  }
}

TEST_CASE("an observer hears of both passes as of one run, and can tell their tensors apart", "[pipeline]") {
  const Pipeline pipeline = Pipeline::open(hires_model());
  std::vector<int64_t> steps, counts;
  std::set<std::string> names;
  Observer observer;
  observer.on_step = [&](const Step& step) { steps.push_back(step.index), counts.push_back(step.count); };
  observer.on_tensor = [&](std::string_view name, const at::Tensor&) { names.emplace(name); };
  Request request = twice();
  request.hires_steps = 2;
  static_cast<void>(pipeline.draw(request, observer));
  CHECK(steps == std::vector<int64_t>{0, 1, 2, 3, 4});
  CHECK(counts == std::vector<int64_t>(5, 5));
  for (const std::string name : {"first.noise", "first.latent", "first.step.002.latent", "first.sigmas", "init_latent",
                                 "noise", "sigmas", "step.001.latent", "latent", "image"}) {
    INFO(name);
    CHECK(names.contains(name));
  }
  CHECK_FALSE(names.contains("step.002.latent"));
  CHECK_FALSE(names.contains("first.image"));
}

TEST_CASE("a second pass is written as A1111 writes it, and read back", "[pipeline]") {
  Request request = twice();
  request.sampler = "euler";
  request.hires_strength = 0.6;
  request.hires_steps = 7;
  request.hires_upscaler = "latent-bicubic";
  const std::string text = parameters_text({}, {.request = request, .sampler = "euler"});
  INFO(text);
  CHECK(text.find("Size: 32x24") != std::string::npos);
  CHECK(text.find("Denoising strength: 0.6, Hires upscale: 1.5, Hires steps: 7, Hires upscaler: Latent (bicubic)") !=
        std::string::npos);
  const Settings read = parse_parameters(text, "x.png");
  CHECK(static_cast<const Request&>(read) == request);

  const auto theirs = [](const std::string& entries) {
    return parse_parameters("a house\nSteps: 20, Sampler: Euler a, CFG scale: 7, Seed: 1, Size: 512x512, " + entries,
                            "x.png");
  };
  Settings settings = theirs("Denoising strength: 0.4, Hires upscale: 2, Hires upscaler: 4x-UltraSharp");
  CHECK(settings.hires_scale == 2);
  CHECK(settings.hires_strength == 0.4);
  CHECK_FALSE(settings.strength);
  CHECK(settings.hires_upscaler == "lanczos");
  CHECK(theirs("Hires upscale: 2, Hires upscaler: Latent (nearest)").hires_upscaler == "latent");
  CHECK(theirs("Hires upscale: 2, Hires upscaler: None").hires_upscaler == "lanczos");
  CHECK(theirs("Hires resize: 1024x0, Hires upscaler: Latent").hires_scale == 2);
  CHECK(theirs("Hires resize: 0x768").hires_scale == 1.5);
  CHECK(static_cast<int>(512 * *theirs("Hires resize: 999x999").hires_scale) == 999);
  settings = theirs("Denoising strength: 0.4, Hires resize: 1024x768, Hires steps: 9, Hires upscaler: Latent");
  CHECK_FALSE(settings.hires_scale);
  CHECK_FALSE(settings.hires_steps);
  CHECK_FALSE(settings.hires_upscaler);
  settings = theirs("Denoising strength: 0.4, Hires upscale: 2");
  settings.init_img = "other.png";
  leave_unused(settings, std::vector<std::string>{"init-img"}, "x.png");
  CHECK_FALSE(settings.hires_scale);
  CHECK_FALSE(settings.hires_strength);
  check_error(ErrorKind::input, "x.png: parameters: Hires upscale: must be 1…16, is 0.5",
              [&] { theirs("Hires upscale: 0.5"); });
}

TEST_CASE("a second pass that cannot be is refused before the weights are read", "[pipeline]") {
  const CheckedModel model = hires_model();
  const auto refused = [&](const Request& request, const std::string& message) {
    check_error(ErrorKind::usage, message, [&] { static_cast<void>(model.check(request)); });
  };
  Request without = twice();
  without.hires_scale.reset();
  Request request = without;
  request.hires_steps = 3;
  refused(request, "--hires-steps: there is no second pass");
  request = without, request.hires_strength = 0.5;
  refused(request, "--hires-strength: there is no second pass");
  request = without, request.hires_upscaler = "latent";
  refused(request, "--hires-upscaler: there is no second pass");
  request = twice(), request.hires_upscaler = "latnt";
  refused(request, "--hires-upscaler: 'latnt' is not a choice");
  request = twice(), request.init_img = "x.png";
  refused(request, "--hires-scale: does not go with --init-img");
  for (const double scale : {0.0, 0.5, -2.0, 17.0}) {
    request = twice(), request.hires_scale = scale;
    refused(request, "--hires-scale: must be 1…16");
  }
  request = twice(), request.hires_strength = 0;
  refused(request, "--hires-strength: 0 draws nothing anew");
  request = twice(), request.hires_strength = 1.2;
  refused(request, "--hires-strength: must be 0…1, is 1.2");
  for (const double strength : {0.002, 1e-300}) {
    request = twice(), request.hires_strength = strength;
    refused(request, fmt::format("--hires-strength: 3 steps at strength {} are the last of", strength));
  }
  request = twice(), request.hires_steps = -1;
  refused(request, "--hires-steps: must be 0…");
  request = twice(), request.sigmas = {10, 5, 2, 0};
  refused(request, "--hires-scale: does not go with --sigmas");
  request = twice(), request.sampler = "restart";
  refused(request, "--hires-scale: the second pass: --sampler: restart cannot begin in the middle");
  request = twice(), request.width = 4096, request.hires_scale = 8;
  refused(request, "--hires-scale: the second pass: --width: must be 1…16384");
  check_error(ErrorKind::usage, "--hires-scale: does not go with --refiner", [&] {
    Settings settings{{.refiner = "x"}, twice()};
    settings.validate();
  });
}
