// Pictures that are steered by pictures, against diffusers' ControlNet and T2I-Adapter pipelines
// (scripts/goldens/control_nets.py).
#include <algorithm>
#include <cstdlib>
#include <nlohmann/json.hpp>

#include "pipeline/control.hpp"
#include "pipeline/metadata.hpp"
#include "pipeline/settings_json.hpp"
#include "support/catch.hpp"
#include "support/errors.hpp"
#include "support/families.hpp"
#include "support/golden.hpp"
#include "support/golden_pictures.hpp"
#include "support/pictures.hpp"

using namespace sdtorch;

namespace {

using Paths = std::vector<std::string>;

std::string control_file(const std::string& name) { return golden_path("control_nets/" + name).string(); }
std::string net_folder(const std::string& name) { return control_file("nets/" + name); }

/// The networks of a golden's case.
PipelineNetworks steered_networks(const nlohmann::json& golden_case) {
  ModelDescription description = describe_family(golden_case.at("model"));
  const nlohmann::json& nets = golden_case.at("control-net");
  for (const auto& net : nets.is_array() ? nets : nlohmann::json::array({nets})) {
    description.controls.push_back(describe_control(net_folder(net), description));
  }
  return networks_of(std::move(description));
}

ModelChoice steered_sd1(Paths nets) {
  return {.model = golden_path("pipeline/models/sd1").string(),
          .control_net = std::move(nets),
          .device = "cpu",
          .dtype = "fp32"};
}

}  // namespace

TEST_CASE("ControlNets and T2I-Adapters steer as they do in diffusers' pipelines", "[pipeline]") {
  PipelineNetworks networks;
  check_golden_pictures(
      "control_nets",
      [&](const nlohmann::json& one) -> const PipelineNetworks& { return networks = steered_networks(one); },
      {{"control-image", "control_nets"}, {"init-img", "control_nets"}, {"mask", "control_nets"}});
}

TEST_CASE("a batch of steered pictures draws each as it would be alone", "[pipeline]") {
  for (const char* mode : {"balanced", "prompt", "control"}) {
    INFO(mode);
    const Pipeline pipeline = Pipeline::open(steered_sd1({net_folder("net_a"), net_folder("adapter_a")}));
    std::vector<Request> batch;
    for (const std::string& file : {control_file("a.png"), control_file("b.png")}) {
      Request request{.prompt = "a house", .steps = 4, .seed = batch.size(), .width = 32, .height = 40};
      request.sampler = "euler_a";
      request.control_image = {file, control_file("b.png")};
      request.control_mode = {mode};
      request.control_preprocess = {"invert", "canny"};
      batch.push_back(request);
    }
    batch[1].prompt = "a red house, on green hills, " + std::string(400, 'x');  // in a network call of its own
    REQUIRE(can_share_batch(batch[0], batch[1]));
    const std::vector<Picture> together = pipeline.draw(batch);
    for (size_t i = 0; i < batch.size(); ++i) {
      const Picture alone = pipeline.draw(batch[i]);
      CHECK((together[i].request.inputs == alone.request.inputs));
      CHECK(largest_difference(together[i].image, alone.image) <= 1);
    }
    batch[1].control_strength = {0.5};
    CHECK_FALSE(can_share_batch(batch[0], batch[1]));
    batch[1] = batch[0];
    batch[0].width.reset();
    batch[1].width.reset();
    batch[1].control_image.front() = control_file("b.png");
    CHECK_FALSE(can_share_batch(batch[0], batch[1]));
  }
}

TEST_CASE("a control net steers the calls between its start and its end", "[pipeline]") {
  const auto steered = [](double start, double end, int64_t calls) {
    std::string marks;
    for (int64_t i = 0; i < calls; ++i) {
      marks += ResolvedControl{.start = start, .end = end}.steers(i, calls) ? 'x' : '.';
    }
    return marks;
  };
  CHECK(steered(0, 1, 3) == "xxx");
  CHECK(steered(0.5, 1, 4) == "..xx");
  CHECK(steered(0, 0.5, 5) == "xx...");
  CHECK(steered(0.21, 0.79, 5) == "..x..");
  CHECK(steered(0.1, 0.2, 3) == "...");
}

TEST_CASE("where an adapter weighs more than the prompt, the prompt's evaluation alone is steered", "[pipeline]") {
  const Pipeline pipeline = Pipeline::open({.model = golden_path("pipeline/models/sd1").string(),
                                            .control_net = {golden_path("control_nets/nets/adapter_a").string()},
                                            .device = "cpu",
                                            .dtype = "fp32"});
  const auto drawn = [&](const char* mode, double cfg_scale) {
    return pipeline
        .draw({.prompt = "a house",
               .steps = 3,
               .cfg_scale = cfg_scale,
               .width = 64,
               .height = 48,
               .sampler = "euler",
               .control_image = {golden_path("control_nets/a.png").string()},
               .control_strength = {2},
               .control_mode = {mode}})
        .image;
  };
  CHECK((drawn("control", 1) == drawn("prompt", 1)));  // there is no other evaluation
  CHECK_FALSE((drawn("control", 5) == drawn("prompt", 5)));
  CHECK_FALSE((drawn("control", 5) == drawn("balanced", 5)));
}

TEST_CASE("the size is that of the first control picture where nothing else gives one", "[pipeline]") {
  const CheckedModel model = Pipeline::check(steered_sd1({net_folder("net_a"), net_folder("net_b")}));
  Request request{.prompt = "a"};
  request.control_image = {control_file("a.png"), control_file("b.png")};
  CheckedRequest checked = model.check(request);
  CHECK(checked.request.width == 64);
  CHECK(checked.request.height == 40);
  REQUIRE(checked.warnings.size() == 1);
  CHECK_THAT(checked.warnings[0], Catch::Contains("a.png: 70 by 45 pixels are drawn as 64 by 40"));
  REQUIRE(checked.request.inputs.size() == 2);
  CHECK(checked.request.inputs[1].sha256.size() == 64);
  request.init_img = control_file("b.png");
  checked = model.check(request);
  CHECK(checked.request.width == 32);
  CHECK(checked.request.height == 48);
  request = {.prompt = "a", .width = 96};
  request.control_image = {control_file("a.png"), control_file("b.png")};
  checked = model.check(request);
  CHECK(checked.request.width == 96);
  CHECK(checked.request.height == 40);
}

TEST_CASE("a request to be steered is checked before the weights are read", "[pipeline]") {
  const CheckedModel model = Pipeline::check(steered_sd1({net_folder("net_a"), net_folder("adapter_a")}));
  const Paths pictures{control_file("a.png"), control_file("b.png")};
  const auto refused = [&](ErrorKind kind, const std::string& message, auto&& change) {
    Request request{.prompt = "a"};
    request.control_image = pictures;
    CHECK_NOTHROW(model.check(request));
    change(request);
    check_error(kind, message, [&] { static_cast<void>(model.check(request)); });
  };
  constexpr ErrorKind usage = ErrorKind::usage, input = ErrorKind::input;
  refused(usage, "--control-image: 1 picture for 2 control nets", [](Request& r) { r.control_image.pop_back(); });
  refused(usage, "--control-image: 0 pictures for 2 control nets", [](Request& r) { r.control_image.clear(); });
  refused(usage, "--control-image: 3 pictures for 2 control nets", [](Request& r) { r.control_image.push_back("c"); });
  refused(usage, "--control-strength: must be 0…10, is -0.5", [](Request& r) { r.control_strength = {1, -0.5}; });
  refused(usage, "--control-strength: must be 0…10, is 11", [](Request& r) { r.control_strength = {11}; });
  refused(usage, "--control-strength: 3 values for 2", [](Request& r) { r.control_strength = {1, 1, 1}; });
  refused(usage, "--control-start: must be 0…1", [](Request& r) { r.control_start = {1.5}; });
  refused(usage, "--control-start: 0.5 is not before --control-end, 0.5", [](Request& r) {
    r.control_start = {0, 0.5};
    r.control_end = {0.5};
  });
  refused(usage, "--control-mode: 'promt' is not a choice; did you mean prompt?",
          [](Request& r) { r.control_mode = {"promt"}; });
  refused(usage, "depth takes an estimator, and sd1 has none; give one by --depth-estimator DIR",
          [](Request& r) { r.control_preprocess = {"depth"}; });
  refused(usage, "inpaint hides what a mask says, and there is none; give --init-img and --mask", [](Request& r) {
    r.control_preprocess = {"none", "inpaint"};
  });
  for (const char* wrong : {"canny:", "canny:5", "canny:200,100", "canny:-1,5", "canny:a,b", "canny:1,2,3"}) {
    refused(usage, "has no thresholds", [&](Request& r) { r.control_preprocess = {"none", wrong}; });
  }
  refused(usage, "did you mean canny?", [](Request& r) { r.control_preprocess = {"cany"}; });
  refused(usage, "--width: 20 is not a multiple of 8", [](Request& r) { r.width = 20; });
  refused(input, "no-such.png", [](Request& r) { r.control_image[1] = "no-such.png"; });
  refused(input, "b.png: is not the file that it was",
          [&](Request& r) { r.inputs = {{.path = pictures[1], .sha256 = std::string(64, '0')}}; });

  const CheckedModel plain = Pipeline::check(steered_sd1({}));
  Request request{.prompt = "a"};
  request.control_image = {pictures[0]};
  const auto check_plain = [&] { static_cast<void>(plain.check(request)); };
  check_error(usage, "--control-image: there is no control net; give --control-net PATH", check_plain);
  request.control_image.clear();
  request.control_end = {0.5};
  check_error(usage, "--control-end: there is no control net", check_plain);
}

TEST_CASE("a control net that is none, or of another family, is refused before the weights are read", "[pipeline]") {
  const auto refused = [](const std::string& net, ErrorKind kind, const std::string& message) {
    INFO(net);
    check_error(kind, message, [&] { static_cast<void>(Pipeline::check(steered_sd1({net}))); });
  };
  const std::string sd1 = golden_path("pipeline/models/sd1").string();
  refused(net_folder("net_xl"), ErrorKind::model, "of different families");
  refused(net_folder("adapter_xl"), ErrorKind::model, "of different families");
  refused("no/such/net", ErrorKind::model, "no/such/net");
  refused("", ErrorKind::usage, "--control-net: is empty");
  refused(sd1 + "/unet", ErrorKind::model, "_class_name: UNet2DConditionModel, where");
  refused(sd1 + "/unet/diffusion_pytorch_model.safetensors", ErrorKind::model, "no ControlNet and no T2I-Adapter");
}

TEST_CASE("a control net in a single file draws what its folder draws", "[pipeline]") {
  for (const char* name : {"net_a", "adapter_a"}) {
    INFO(name);
    Request request{.prompt = "a house", .steps = 2, .width = 32, .height = 32};
    request.control_image = {control_file("a.png")};
    const auto drawn = [&](const std::string& net) { return Pipeline::open(steered_sd1({net})).draw(request).image; };
    const Image image = drawn(net_folder(name));
    CHECK((drawn(net_folder(name) + "/diffusion_pytorch_model.safetensors") == image));
    CHECK(largest_difference(
              Pipeline::open(steered_sd1({})).draw({.prompt = "a house", .steps = 2, .width = 32, .height = 32}).image,
              image) > 3);
  }
}

TEST_CASE("what steers a picture is repeated from its metadata", "[pipeline]") {
  Settings settings;
  settings.control_net = {net_folder("net_a"), net_folder("net_b")};
  settings.control_image = {control_file("a.png"), control_file("b.png")};
  settings.control_strength = {0.5, 1};
  settings.control_end = {0.75};
  settings.control_mode = {"prompt"};
  const nlohmann::json json = settings_to_json(settings);
  CHECK(json.at("control-strength") == nlohmann::json({0.5, 1}));
  CHECK_FALSE(json.contains("control-start"));
  CHECK((settings_from_json(json, {}, {.file = "f"}) == settings));
  CHECK_THAT(parameters_text(settings, {.request = static_cast<const Request&>(settings)}),
             Catch::Contains("ControlNet 0: \"Module: none, Model: net_a, Weight: 0.5, Guidance Start: 0, "
                             "Guidance End: 0.75, Control Mode: My prompt is more important\", ControlNet 1: \""));
  const auto read = [](const nlohmann::json& object) { return settings_from_json(object, {}, {.file = "f"}); };
  CHECK((read({{"control-image", "a.png"}}).control_image == Paths{"a.png"}));
  CHECK((read({{"control-strength", 0.5}}).control_strength == std::vector<double>{0.5}));
  CHECK((read({{"control-mode", "Prompt"}}).control_mode == Paths{"prompt"}));
  check_error(ErrorKind::input, "f: control-strength: must be a number", [&] {
    static_cast<void>(read({{"control-strength", {0.5, "x"}}}));
  });
  check_error(ErrorKind::input, "f: control-image: must be a string", [&] {
    static_cast<void>(read({{"control-image", {"a.png", 5}}}));
  });
}
