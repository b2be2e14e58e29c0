// Guidance beyond the scale, against diffusers' pipelines and the papers' formulas (scripts/goldens/guidance.py).
#include <fmt/format.h>

#include <algorithm>
#include <functional>
#include <map>
#include <vector>

#include "core/profile.hpp"
#include "networks/self_attention.hpp"
#include "networks/unet.hpp"
#include "pipeline/classifier.hpp"
#include "pipeline/resolve.hpp"
#include "pipeline/resolved_guidance.hpp"
#include "support/catch.hpp"
#include "support/drawing.hpp"
#include "support/errors.hpp"
#include "support/families.hpp"
#include "support/golden.hpp"
#include "support/golden_pictures.hpp"
#include "support/pictures.hpp"
#include "support/tolerance.hpp"

using namespace sdtorch;

namespace {

const std::string sd1_folder = golden_path("pipeline/models/sd1").string();
const std::string classifier_folder = golden_path("guidance/classifier").string();

/// Of each name, with the goldens' classifier where the case names a class.
class GuidedModels {
 public:
  const PipelineNetworks& get(const nlohmann::json& golden_case) {
    const std::string name = golden_case.at("model");
    const bool classified = golden_case.contains("class");
    PipelineNetworks& networks = models_[{name, classified}];
    if (networks.model.unet) return networks;
    const std::string area = name == "xl" ? "families/models/" : "pipeline/models/";
    ModelDescription model = describe_model(golden_path(area + name).string(), "");
    if (classified) model.classifier = describe_classifier(classifier_folder, model);
    networks = networks_of(std::move(model));
    return networks;
  }

 private:
  std::map<std::pair<std::string, bool>, PipelineNetworks> models_{};
};

Request small(const std::function<void(Request&)>& change) {
  Request request{.prompt = "a house", .steps = 3, .sampler = "ddim"};
  change(request);
  return request;
}

void check_refused(const Request& request, const std::string& flag, const std::string& model = sd1_folder,
                   const std::string& classifier = {}) {
  INFO(flag);
  const CheckedModel checked =
      Pipeline::check({.model = model, .classifier = classifier, .device = "cpu", .dtype = "fp32"});
  check_error(ErrorKind::usage, flag, [&] { checked.check(request); });
}

}  // namespace

TEST_CASE("guidance beyond the scale gives what diffusers and the papers give", "[pipeline]") {
  GuidedModels models;
  check_golden_pictures("guidance",
                        [&](const nlohmann::json& one) -> const PipelineNetworks& { return models.get(one); },
                        {{"init-img", "image_to_image"}});
}

TEST_CASE("every golden of guidance is of a picture that the guidance changes", "[pipeline]") {
  GuidedModels models;
  const auto expected = load_golden("guidance/pictures");
  const auto cases = nlohmann::json::parse(golden_metadata("guidance/pictures").at("cases"));
  for (size_t i = 0; i < cases.size(); ++i) {
    INFO(cases[i].dump());
    nlohmann::json request = cases[i];
    for (const char* key : {"model", "pag-scale", "pag-layers", "sag-scale", "freeu", "cfg-interval", "cfg-plus-plus",
                            "dynamic-threshold", "class", "classifier-scale"}) {
      request.erase(key);
    }
    if (request.contains("init-img")) request["init-img"] = golden_path("image_to_image/first.png").string();
    const nlohmann::json plain_model = {{"model", cases[i].at("model")}};
    const at::Tensor plain = draw_json(models.get(plain_model), request).latents;
    CHECK(relative_error(plain, expected.at(fmt::format("{:03}.latent", i))) > 0.003);
  }
}

TEST_CASE("networks are differentiable in the latent", "[pipeline]") {
  const auto golden = load_golden("guidance/gradients");
  const ModelDescription model = describe_model(sd1_folder, "");
  const Components components = load_components(model, at::kCPU, at::kFloat);
  const auto classifier = load_classifier(describe_classifier(classifier_folder, model), at::kCPU);
  const auto check = [&](const std::string& name, const std::function<at::Tensor(const at::Tensor&)>& network) {
    INFO(name);
    const at::Tensor x = golden.at("x").clone().set_requires_grad(true);
    const at::Tensor output = network(x);
    CHECK(relative_error(output.detach(), golden.at(name + ".output")) <= tolerance::tensor_relative);
    (output * golden.at(name + ".weights")).sum().backward();
    CHECK(relative_error(x.grad(), golden.at(name + ".gradient")) <= tolerance::tensor_relative);
  };
  check("unet", [&](const at::Tensor& x) {
    return components.unet->forward({.sample = x, .timestep = golden.at("timestep"), .context = golden.at("context")});
  });
  check("classifier", [&](const at::Tensor& x) { return classifier->forward(x, golden.at("timestep")); });
}

TEST_CASE("self-attention layers are named as the network has them", "[pipeline]") {
  for (const char* folder : {"pipeline/models/sd1", "pipeline/models/sd2", "families/models/xl"}) {
    const Components model = load_components(describe_model(golden_path(folder).string(), ""), at::kCPU, at::kFloat);
    std::vector<std::string> keys;
    for (const auto& module : model.unet->named_modules()) {
      if (module.key().ends_with("attn1")) keys.push_back(module.key());
    }
    std::vector<std::string> named = self_attention_layers(model.unet->config());
    CHECK(named.size() > 2);
    for (const std::string& key : named) CHECK(find_self_attention(*model.unet, key) != nullptr);
    std::ranges::sort(keys);
    std::ranges::sort(named);
    CHECK(keys == named);
  }
}

TEST_CASE("guided pictures of a batch come out as they would alone", "[pipeline]") {
  const Pipeline pipeline =
      Pipeline::open({.model = sd1_folder, .classifier = classifier_folder, .device = "cpu", .dtype = "fp32"});
  const auto everything = [](Request& request) {
    request.pag_scale = 2;
    request.pag_layers = "mid,up_blocks";
    request.sag_scale = 0.5;
    request.freeu = {1.1, 1.2, 0.9, 0.4};
    request.cfg_interval = "30%,100%";
    request.dynamic_threshold = {3, 99};
    request.classifier_scale = 20;
    request.class_label = "dotted";
  };
  std::vector<Request> batch{small(everything), small(everything)};
  batch[1].seed = 5;
  // Another number of chunks: contexts that one call cannot hold.
  for (const bool longer : {false, true}) {
    batch[1].prompt = longer ? std::string(400, 'a') : "two trees";
    REQUIRE(can_share_batch(batch[0], batch[1]));
    const std::vector<Picture> together = pipeline.draw(batch);
    for (size_t i = 0; i < batch.size(); ++i) {
      const Picture alone = pipeline.draw(batch[i]);
      CHECK(largest_difference(together[i].image, alone.image) <= 1);
    }
  }
}

TEST_CASE("an interval is of noise levels, or of shares of the steps", "[pipeline]") {
  const CfgInterval levels = parse_cfg_interval("0.3, 5");
  CHECK_FALSE(levels.holds({.sigma = 0.3}));
  CHECK(levels.holds({.sigma = 0.31}));
  CHECK(levels.holds({.sigma = 5}));
  CHECK_FALSE(levels.holds({.sigma = 5.01}));
  const CfgInterval shares = parse_cfg_interval("40%,80%");
  for (int64_t step = 0; step < 7; ++step) CHECK(shares.holds({.step = step, .steps = 7}) == (step >= 2 && step < 5));
  for (const char* wrong : {"1", "1,2,3", "5,1", "2,2", "-1,2", "nan,2", "40%,80", "40%,180%", "a,b", ",", "%,%"}) {
    INFO(wrong);
    check_error(ErrorKind::usage, "--cfg-interval", [&] { parse_cfg_interval(wrong); });
  }
}

TEST_CASE("guidance that cannot be is refused before a model is loaded", "[pipeline]") {
  check_refused(small([](Request& r) { r.pag_scale = 3, r.pag_layers = "nothing"; }), "--pag-layers");
  check_refused(small([](Request& r) { r.pag_scale = 3, r.pag_layers = "mid,"; }), "--pag-layers");
  check_refused(small([](Request& r) { r.pag_scale = 3, r.pag_layers = "(mid"; }), "--pag-layers");
  check_refused(small([](Request& r) { r.pag_layers = "down"; }), "--pag-layers");
  check_refused(small([](Request& r) { r.freeu = {1, 2, 3}; }), "--freeu");
  check_refused(small([](Request& r) { r.freeu = {1, 2, 3, 0}; }), "--freeu");
  check_refused(small([](Request& r) { r.dynamic_threshold = {7, 101}; }), "--dynamic-threshold");
  check_refused(small([](Request& r) { r.dynamic_threshold = {-7}; }), "--dynamic-threshold");
  check_refused(small([](Request& r) { r.dynamic_threshold = {7}, r.cfg_scale = 1; }), "--dynamic-threshold");
  check_refused(small([](Request& r) { r.cfg_plus_plus = true, r.sampler = "heun"; }), "--cfg-plus-plus");
  check_refused(small([](Request& r) { r.sag_scale = 1, r.width = r.height = 8; }), "--sag-scale");
  check_refused(small([](Request& r) { r.class_label = "day"; }), "--class");
  check_refused(small([](Request& r) { r.classifier_scale = 2; }), "--classifier-scale");
  check_refused(small([](Request&) {}), "--class", sd1_folder, classifier_folder);
  check_refused(small([](Request& r) { r.class_label = "4"; }), "--class", sd1_folder, classifier_folder);
  check_error(ErrorKind::model, "config.json",
              [&] { Pipeline::check({.model = sd1_folder, .classifier = sd1_folder}); });
  check_error(ErrorKind::model, "_class_name",
              [&] { Pipeline::check({.model = sd1_folder, .classifier = sd1_folder + "/unet"}); });
}

TEST_CASE("a guided step does less than twice the work of one that is not, and reads the text's keys once",
          "[pipeline]") {
  const PipelineNetworks networks = networks_of(describe_model(sd1_folder, ""));
  const int64_t width = networks.model.description.unet.cross_attention_dim;
  const auto work_of = [&](double cfg_scale, int64_t steps, const std::function<void(Request&)>& change) {
    Request request = small(change);
    request.cfg_scale = cfg_scale;
    request.steps = steps;
    LayerProfile profile;
    draw_tensors(networks, request, 2);
    double flops = 0;
    int64_t of_text = 0;
    for (const LayerCost& cost : profile.take()) {
      flops += cost.product.flops() * static_cast<double>(cost.calls);
      const bool reads = cost.kind == LayerKind::linear && cost.product.inner == width && cost.product.rows == 4 * 77;
      if (reads) of_text += cost.calls;
    }
    return std::pair(flops, of_text);
  };
  for (const auto& change :
       std::vector<std::function<void(Request&)>>{[](Request&) {}, [](Request& request) { request.tome = {0.5}; }}) {
    const double alone = work_of(1, 4, change).first - work_of(1, 2, change).first;
    const auto [more, reads] = work_of(7.5, 4, change);
    const auto [less, before] = work_of(7.5, 2, change);
    CHECK(more - less < 1.99 * alone);
    CHECK(more - less > 1.2 * alone);
    CHECK(reads > 0);
    CHECK(reads == before);
  }
}
