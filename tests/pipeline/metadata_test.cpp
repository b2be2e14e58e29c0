#include "pipeline/metadata.hpp"

#include <nlohmann/json.hpp>

#include "core/error.hpp"
#include "pipeline/settings.hpp"
#include "pipeline/settings_json.hpp"
#include "support/catch.hpp"
#include "support/errors.hpp"
#include "support/golden.hpp"
#include "support/pictures.hpp"

using namespace sdtorch;

namespace {

Settings full_request() {
  Settings request;
  request.model = "some, where/my model";
  request.vae = "vae";
  request.prediction = "v_prediction";
  request.prompt = "a castle\nby a \"lake\", 海";
  request.negative_prompt = "people\ncars";
  request.steps = 25;
  request.cfg_scale = 6.5;
  request.guidance_rescale = 0.25;
  request.seed = 18446744073709551615u;
  request.width = 640;
  request.height = 384;
  request.original_size = PixelPair{.vertical = 800, .horizontal = 1000};
  request.crop = PixelPair{.vertical = 1, .horizontal = 2};
  request.target_size = PixelPair{.vertical = 384, .horizontal = 640};
  request.batch_count = 3;
  request.batch_size = 2;
  request.sampler = "dpm++2m";
  request.scheduler = "karras";
  request.spacing = "leading";
  request.eta = 0.5;
  request.device = "cpu";
  request.dtype = "bf16";
  request.deterministic = true;
  return request;
}

std::string infotext(const Settings& settings, std::vector<std::string> notes = {}) {
  return parameters_text(settings, picture_for(settings, std::move(notes)));
}

}  // namespace

TEST_CASE("a request survives JSON with every field", "[pipeline]") {
  Settings request = full_request();
  request.refiner = "refiner";
  request.refiner_start = 0.75;
  const nlohmann::ordered_json json = settings_to_json(request);
  CHECK(json.size() + 1 == settings().size());  // sigmas exclude a schedule
  CHECK(settings_from_json(nlohmann::json::parse(json.dump()), {}, {.file = "x"}) == request);
  CHECK(settings_from_json(nlohmann::json::parse(settings_to_json({}).dump()), {}, {.file = "x"}) == Settings{});
  CHECK_FALSE(settings_to_json({}).contains("width"));
}

TEST_CASE("levels given outright survive JSON and infotext", "[pipeline]") {
  Settings request;
  request.prompt = "x";
  request.steps = 3;
  request.sampler = "dpm++2m_sde";
  request.sigmas = {14.6, 3.5, 0.1, 0};
  CHECK(settings_from_json(nlohmann::json::parse(settings_to_json(request).dump()), {}, {.file = "x"}) == request);
  const nlohmann::json text = {{"prompt", "x"}, {"sampler", "dpm++2m_sde"}, {"sigmas", "14.6,3.5,0.1,0"}};
  CHECK(settings_from_json(text, {}, {.file = "x"}) == request);
  CHECK(infotext(request).find("Sampler: DPM++ 2M SDE, Sigmas: \"14.6, 3.5, 0.1, 0\", CFG") != std::string::npos);
  CHECK(parse_parameters(infotext(request), "x.png").sigmas == request.sigmas);
  request.sigmas.clear();
  request.scheduler = "sgm_uniform";
  CHECK(infotext(request).find("Schedule type: SGM Uniform") != std::string::npos);
  CHECK(parse_parameters(infotext(request), "x.png").scheduler == "sgm_uniform");
}

TEST_CASE("infotext reads as A1111 writes it", "[pipeline]") {
  Settings request;
  request.prompt = "a boat";
  request.sampler = "euler_a";
  request.width = 512;
  request.height = 768;
  const std::string text = infotext(request);
  CHECK(
      text.starts_with("a boat\nSteps: 20, Sampler: Euler a, CFG scale: 7.5, Seed: 42, Size: 512x768, Model: demo, "));
  CHECK(text.find("Version: sdtorch ") != std::string::npos);
  const std::string full = infotext(full_request(), {"VAE again in fp32"});
  CHECK(
      full.starts_with("a castle\nby a \"lake\", 海\nNegative prompt: people\ncars\nSteps: 25, Sampler: DPM++ 2M, "
                       "Schedule type: Karras, CFG scale: 6.5, Seed: 18446744073709551615, Size: 640x384, "
                       "Model: my model"));
  CHECK(full.find("Note: VAE again in fp32") != std::string::npos);
}

TEST_CASE("infotext of ours gives the request back but for the machine's part", "[pipeline]") {
  Settings expected = full_request();
  expected.batch_count = expected.batch_size = 1;
  expected.model = expected.vae = "";
  expected.device = expected.dtype = "auto";
  expected.deterministic = false;
  Settings given = full_request();
  given.vae = "";
  CHECK(parse_parameters(infotext(given, {"a, note"}), "x.png") == expected);
}

TEST_CASE("infotext that says what we cannot do is refused by entry", "[pipeline]") {
  struct Case {
    std::string text, message;
  };
  const std::vector<Case> cases = {
      {"", "the last line does not start with Steps:"},
      {"a prompt only", "the last line does not start with Steps:"},
      {"x\nSteps: many, Seed: 1", "parameters: Steps: 'many' is not a whole number"},
      {"x\nSteps: 20, Sampler: DPM fast, Seed: 1", "parameters: Sampler: no sampler 'DPM fast'"},
      {"x\nSteps: 20, Schedule type: Polyexponential", "parameters: Schedule type: 'Polyexponential'"},
      {"x\nSteps: 20, Size: 512", "parameters: Size: '512' is not WIDTHxHEIGHT"},
      {"x\nSteps: 0, Size: 512x512", "must be 1…"},
  };
  for (const Case& c : cases) check_error(ErrorKind::input, c.message, [&] { parse_parameters(c.text, "x.png"); });
}

TEST_CASE("odd infotext is read as A1111 reads it", "[pipeline]") {
  CHECK(parse_parameters("Steps: 3, Seed: 4", "x").prompt.empty());
  CHECK(parse_parameters("Negative prompt: fog\nSteps: 3, Seed: 4", "x").negative_prompt == "fog");
  CHECK(parse_parameters("a: b, c: d\nSteps: 3, Seed: 4\n", "x").prompt == "a: b, c: d");
}

TEST_CASE("choices that may not be meant are said", "[pipeline]") {
  Settings request;
  CHECK(request.warnings().empty());
  request.cfg_scale = 0;
  request.batch_size = 2;
  REQUIRE(request.warnings().size() == 2);
  CHECK(request.warnings()[0].find("what diffusers calls 0 is 1 here") != std::string::npos);
  CHECK(request.warnings()[1].find("--batch-size 2 is more than --batch-count 1") != std::string::npos);
}
