// Whole pictures of SDXL, base and refiner, and of few-step models against diffusers (scripts/goldens/families.py).
#include <map>
#include <nlohmann/json.hpp>

#include "pipeline/settings.hpp"
#include "support/catch.hpp"
#include "support/families.hpp"
#include "support/golden.hpp"
#include "support/golden_pictures.hpp"

using namespace sdtorch;

namespace {

LatentsAndPictures draw_family(Models& models, nlohmann::json request) {
  const PipelineNetworks& networks = models.get(request.at("model"), request.value("refiner", ""));
  request.erase("model");
  return draw_json(networks, request);
}

}  // namespace

TEST_CASE("SDXL, its refiner and few-step models draw what diffusers draws", "[pipeline]") {
  Models models;
  check_golden_pictures("families", [&](const nlohmann::json& one) -> const PipelineNetworks& {
    return models.get(one.at("model"), one.value("refiner", ""));
  });
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
