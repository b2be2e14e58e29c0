// What spares the U-Net work, against the papers' own packages (scripts/goldens/shortcuts.py).
#include <fmt/format.h>

#include <algorithm>
#include <functional>
#include <vector>

#include "networks/token_merging.hpp"
#include "pipeline/resolve.hpp"
#include "support/catch.hpp"
#include "support/errors.hpp"
#include "support/families.hpp"
#include "support/golden.hpp"
#include "support/golden_pictures.hpp"
#include "support/pictures.hpp"
#include "support/tolerance.hpp"

using namespace sdtorch;

namespace {

Request spared(const std::function<void(Request&)>& change) {
  Request request{.prompt = "a house", .steps = 4, .sampler = "ddim"};
  change(request);
  return request;
}

void check_not_spared(const std::function<void(Request&)>& change, const std::string& flag,
                      const std::string& model = "sd1", const std::string& refiner = {}) {
  INFO(flag);
  const std::string refines = refiner.empty() ? refiner : folder_of_family(refiner).string();
  const CheckedModel checked = Pipeline::check(
      {.model = folder_of_family(model).string(), .refiner = refines, .device = "cpu", .dtype = "fp32"});
  check_error(ErrorKind::usage, flag, [&] { checked.check(spared(change)); });
}

at::Tensor latents_of(const PipelineNetworks& networks, nlohmann::json request) {
  request.erase("model");
  if (request.contains("init-img")) request["init-img"] = golden_path("image_to_image/first.png").string();
  return draw_json(networks, request).latents;
}

}  // namespace

TEST_CASE("what is spared gives what the papers' packages give", "[pipeline]") {
  Models models;
  check_golden_pictures(
      "shortcuts",
      [&](const nlohmann::json& one) -> const PipelineNetworks& { return models.get(one.at("model"), ""); },
      {{"init-img", "image_to_image"}});
}

TEST_CASE("every golden of shortcuts is of a picture that they change", "[pipeline]") {
  Models models;
  const auto expected = load_golden("shortcuts/pictures");
  const auto cases = nlohmann::json::parse(golden_metadata("shortcuts/pictures").at("cases"));
  for (size_t i = 0; i < cases.size(); ++i) {
    INFO(cases[i].dump());
    nlohmann::json plain = cases[i];
    for (const char* key : {"deep-cache", "tome", "tgate"}) plain.erase(key);
    const at::Tensor exact = latents_of(models.get(cases[i].at("model"), ""), plain);
    CHECK(relative_error(exact, expected.at(fmt::format("{:03}.latent", i))) > 0.001);
  }
}

TEST_CASE("spared pictures of a batch come out as they would alone", "[pipeline]") {
  const Pipeline pipeline =
      Pipeline::open({.model = folder_of_family("sd1").string(), .device = "cpu", .dtype = "fp32"});
  const std::vector<std::function<void(Request&)>> kinds = {
      [](Request& r) {
        r.deep_cache = {2, 1};
      },
      [](Request& r) { r.deep_cache = {3}, r.cfg_interval = "0%,50%"; },
      [](Request& r) { r.tome = {0.5}; },
      [](Request& r) { r.tgate = 2; },
      [](Request& r) {
        r.deep_cache = {2}, r.tome = {0.5, 2}, r.tgate = 2;
      },
      [](Request& r) {
        r.deep_cache = {2}, r.pag_scale = 2, r.freeu = {1.1, 1.2, 0.9, 0.4};
      },
  };
  for (const auto& kind : kinds) {
    // Another number of chunks: contexts that one call cannot hold.
    for (const bool longer : {false, true}) {
      std::vector<Request> batch{spared(kind), spared(kind)};
      batch[1].seed = 5;
      batch[1].prompt = longer ? std::string(400, 'a') : "two trees";
      const std::vector<Picture> together = pipeline.draw(batch);
      for (size_t i = 0; i < batch.size(); ++i) {
        const Picture alone = pipeline.draw(batch[i]);
        CHECK(largest_difference(together[i].image, alone.image) <= 1);
      }
    }
  }
}

TEST_CASE("rows that change are computed whole", "[pipeline]") {
  Models models;
  const PipelineNetworks& networks = models.get("sd1", "");
  // Guided at the first two steps of four, of which DeepCache would compute the first alone whole, and then the third,
  // since its row is another one.
  const nlohmann::json base = {{"prompt", "a house"}, {"steps", 4}, {"sampler", "ddim"}, {"cfg-interval", "0%,50%"}};
  const auto with = [&](int interval) {
    nlohmann::json request = base;
    if (interval > 0) request["deep-cache"] = {interval};
    return latents_of(networks, request);
  };
  CHECK(at::equal(with(2), with(4)));
  CHECK_FALSE(at::equal(with(2), with(3)));
  CHECK_FALSE(at::equal(with(2), with(0)));
}

TEST_CASE("a gate that closes after the text was left to itself changes what it keeps", "[pipeline]") {
  Models models;
  const nlohmann::json base = {{"prompt", "a house"}, {"steps", 4}, {"sampler", "ddim"}, {"tgate", 2}};
  nlohmann::json other = base;
  other["cfg-interval"] = "0%,25%";  // the step whose outputs are kept then sees the prompt alone
  const PipelineNetworks& networks = models.get("sd1", "");
  CHECK(relative_error(latents_of(networks, base), latents_of(networks, other)) > 0.001);
}

TEST_CASE("merged tokens are the mean of theirs, and part into it", "[pipeline]") {
  const at::Tensor x = at::arange(2 * 4 * 3, at::kFloat).reshape({2, 4, 3});
  const MergedTokens merged(at::tensor({0, 1, 1, 2, 2, 2, 0, 1}, at::kLong).reshape({2, 4}), 3);
  const at::Tensor shorter = merged.merge(x);
  CHECK(at::equal(shorter[0][1], (x[0][1] + x[0][2]) / 2));
  CHECK(at::equal(shorter[1][2], (x[1][0] + x[1][1]) / 2));
  CHECK(at::equal(shorter[1][0], x[1][2]));
  const at::Tensor parted = merged.part(shorter);
  CHECK(at::equal(parted[0][1], parted[0][2]));
  CHECK(at::equal(parted[0][3], x[0][3]));
}

TEST_CASE("what cannot be spared is refused before a model is loaded", "[pipeline]") {
  for (const std::vector<double>& wrong : std::vector<std::vector<double>>{
           {1}, {0}, {-2}, {2.5}, {2, -1}, {2, 0.5}, {2, 4}, {2, 1e9}, {2, 1, 1}, {1e12}}) {
    check_not_spared([&](Request& r) { r.deep_cache = wrong; }, "--deep-cache");
  }
  for (const std::vector<double>& wrong :
       std::vector<std::vector<double>>{{0}, {0.8}, {-0.5}, {0.5, 3}, {0.5, 0}, {0.5, 16}, {0.5, 1, 1}}) {
    check_not_spared([&](Request& r) { r.tome = wrong; }, "--tome");
  }
  check_not_spared([](Request& r) { r.tome = {0.5}; }, "--tome", "xl");
  for (const int64_t wrong : {-1, 0, 4, 40}) check_not_spared([&](Request& r) { r.tgate = wrong; }, "--tgate");
  check_not_spared([](Request& r) { r.tgate = 2, r.pag_scale = 1; }, "--tgate");
  check_not_spared([](Request& r) { r.tgate = 2, r.sag_scale = 1; }, "--tgate");
  check_not_spared([](Request& r) { r.tome = {0.5}, r.sag_scale = 1; }, "--tome");
  check_not_spared([](Request& r) { r.deep_cache = {2}, r.sag_scale = 1; }, "--deep-cache");
  check_not_spared([](Request& r) { r.tgate = 1; }, "--tgate", "xl", "refiner");
  check_not_spared([](Request& r) { r.deep_cache = {2, 4}; }, "--deep-cache", "xl", "refiner");
}
