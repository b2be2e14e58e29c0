// Whole pictures of SDXL, base and refiner, and of few-step models against diffusers (scripts/goldens/families.py).
#include <fmt/format.h>

#include <map>
#include <nlohmann/json.hpp>

#include "pipeline/settings_json.hpp"
#include "support/catch.hpp"
#include "support/drawing.hpp"
#include "support/families.hpp"
#include "support/golden.hpp"
#include "support/tolerance.hpp"

using namespace sdtorch;

namespace {

struct FamilyPictures {
  at::Tensor latent{}, pictures{};
};

FamilyPictures draw_family(Models& models, nlohmann::json golden_case) {
  const PipelineNetworks& networks = models.get(golden_case.at("model"), golden_case.value("refiner", ""));
  golden_case.erase("model");
  const Settings settings = settings_from_json(golden_case, {}, {.file = "golden"});
  FamilyPictures drawn;
  Observer observer;
  observer.on_tensor = [&](std::string_view name, const at::Tensor& tensor) {
    if (name == "latent") drawn.latent = tensor;
  };
  drawn.pictures = draw_tensors(networks, settings, settings.batch_count, observer).pictures;
  return drawn;
}

}  // namespace

TEST_CASE("SDXL, its refiner and few-step models draw what diffusers draws", "[pipeline]") {
  const auto expected = load_golden("families/pictures");
  const auto cases = nlohmann::json::parse(golden_metadata("families/pictures").at("cases"));
  REQUIRE(!cases.empty());
  Models models;
  for (size_t i = 0; i < cases.size(); ++i) {
    INFO(cases[i].dump());
    const FamilyPictures drawn = draw_family(models, cases[i]);
    const std::string key = fmt::format("{:03}", i);
    CHECK(relative_error(drawn.latent, expected.at(key + ".latent")) <= tolerance::tensor_relative);
    const at::Tensor bytes = (drawn.pictures * 255).round().permute({0, 2, 3, 1});
    const at::Tensor difference = (bytes - expected.at(key + ".image").to(at::kFloat)).abs();
    CHECK(difference.max().item<double>() <= tolerance::pixel * 255);
    CHECK(difference.mean().item<double>() <= tolerance::pixel_mean * 255);
  }
}

TEST_CASE("no negative prompt, an empty one and SDXL's sizes each draw another picture", "[pipeline]") {
  Models models;
  const nlohmann::json plain = {{"model", "xl"}, {"prompt", "a red house"}, {"steps", 2}};
  const at::Tensor without = draw_family(models, plain).pictures;
  for (const auto& [key, value] : std::map<std::string, std::string>{
           {"negative-prompt", ""}, {"original-size", "9x9"}, {"crop", "0x64"}, {"target-size", "9x9"}}) {
    nlohmann::json changed = plain;
    changed[key] = value;
    INFO(key);
    CHECK(relative_error(draw_family(models, changed).pictures, without) > 1e-3);
  }
}

TEST_CASE("what a model cannot do is refused by the flag's name", "[pipeline]") {
  const ModelDescription xl = describe_family("xl"), refiner = describe_family("refiner"), lcm = describe_family("lcm");
  CHECK_THROWS_WITH(resolve(refiner, {.prompt = "a"}),
                    Catch::Contains("--model: refiner is an SDXL refiner") && Catch::Contains("--refiner"));
  CHECK_THROWS_WITH(resolve(lcm, {.prompt = "a", .crop = PixelPair{}}), Catch::Contains("--crop: lcm has no use"));
  CHECK_THROWS_WITH(check_refiner(lcm, refiner), Catch::Contains("--refiner: lcm is no SDXL model"));
  CHECK_THROWS_WITH(check_refiner(xl, lcm), Catch::Contains("--refiner: lcm is no SDXL model"));
  CHECK_THROWS_WITH(resolve(xl, {.prompt = "a", .sampler = "pndm"}, &refiner),
                    Catch::Contains("--refiner: pndm cannot be handed over"));
  CHECK_THROWS_WITH((Settings{{}, {.refiner_start = 0.5}}.validate()),
                    Catch::Contains("--refiner-start: there is no refiner"));
  for (const double start : {0.0, 1.0, -1.0}) {
    CHECK_THROWS_WITH((Settings{{.refiner = "m"}, {.refiner_start = start}}.validate()),
                      Catch::Contains("--refiner-start"));
  }
  CHECK(resolve(lcm, {.prompt = "a", .negative_prompt = "b", .sampler = "ddim"}).warnings.size() == 1);
}
