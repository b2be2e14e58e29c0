#include "pipeline/metadata.hpp"

#include <algorithm>
#include <filesystem>
#include <nlohmann/json.hpp>

#include "core/error.hpp"
#include "pipeline/settings.hpp"
#include "pipeline/settings_json.hpp"
#include "support/catch.hpp"
#include "support/errors.hpp"
#include "support/files.hpp"
#include "support/golden.hpp"
#include "support/pictures.hpp"
#include "support/temp_dir.hpp"

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
  request.init_img = "start.png";
  request.strength = 0.25;
  request.resize = "pad";
  request.mask = "mask.png";
  request.image_cfg_scale = 1.25;
  request.mask_invert = true;
  request.mask_blur = 2.5;
  request.keep_unmasked = true;
  request.inpaint_area = "masked";
  request.mask_padding = 8;
  request.control_net = {"net", "adapter.safetensors"};
  request.control_image = {"edges.png", "sketch.png"};
  request.control_strength = {0.5, 1.25};
  request.control_start = {0.125};
  request.control_end = {0.75, 1};
  request.control_mode = {"prompt", "control"};
  request.control_preprocess = {"canny:50,100", "none"};
  request.ip_adapter = {"ip.safetensors", "plus.bin"};
  request.ip_encoder = "image_encoder";
  request.ip_image = {"castle.png", "cat.png"};
  request.ip_scale = {0.5, 1.25};
  request.max_pixels = 1000;
  request.depth_img = "depth.png";
  request.depth_estimator = "dpt";
  request.expand = {.left = 8, .top = 16, .right = 24, .bottom = 32};
  request.pag_scale = 3;
  request.pag_layers = "down_blocks.1,mid";
  request.sag_scale = 0.5;
  request.freeu = {1.5, 1.6, 0.9, 0.2};
  request.cfg_interval = "40%,80%";
  request.cfg_plus_plus = true;
  request.dynamic_threshold = {7, 99.5};
  request.quantize = "int8";
  request.classifier = "skies";
  request.classifier_scale = 2;
  request.class_label = "night";
  request.lora = {"style.safetensors:0.5", "lcm.safetensors"};
  request.lora_dir = "loras";
  request.lora_lenient = true;
  request.embedding = {"cat.pt=<cat>"};
  request.embd_dir = "embeddings";
  request.hypernetwork = {"mood.pt:0.7"};
  request.hypernetwork_dir = "hypernetworks";
  request.prompt_syntax = "comfy";
  request.prompt_weighting = "compel";
  request.prompt_chunks = "a1111";
  request.styles = "styles.csv";
  request.style = {"Oil", "Night, by \"hand\""};
  request.clip_skip = 2;
  request.compat = "comfy";
  request.rng = "cuda";
  request.sampler_rng = "cpu";
  request.ensd = 31337;
  request.sde_noise = "brownian";
  request.variation_seed = 18446744073709551615U;
  request.variation_strength = 0.25;
  request.seed_resize = {.vertical = 512, .horizontal = 768};
  request.batch_noise = "whole";
  request.noise_slice = "1/3";
  request.encode_noise = "apart";
  request.noise_scaling = "sgm";
  request.schedule_rules = "a1111";
  request.discard_next_to_last = "yes";
  request.strength_steps = "extra";
  request.timesteps_rounding = "nearest";
  request.pixel_rounding = "truncate";
  request.taesd = "taesd";
  request.vae_tiling = true;
  request.vae_tile_size = 256;
  request.vae_tile_overlap = 48;
  request.inputs = {{.path = "start.png", .sha256 = std::string(64, 'a')}};
  const nlohmann::ordered_json json = settings_to_json(request);
  Settings larger;
  larger.hires_scale = 1.5;
  larger.hires_steps = 7;
  larger.hires_strength = 0.5;
  larger.hires_upscaler = "lanczos";
  larger.deep_cache = {3, 1};
  larger.tome = {0.5, 2};
  larger.tgate = 8;
  const size_t of_larger = settings_to_json(larger).size() - settings_to_json({}).size();
  // All but sigmas, which exclude a schedule, the second pass, which excludes a refiner, and what spares work, which
  // excludes guidance by self-attention; and the inputs.
  CHECK(json.size() + of_larger == settings().size());
  CHECK(of_larger == 7);
  CHECK(settings_from_json(nlohmann::json::parse(json.dump()), {}, {.file = "x"}) == request);
  CHECK(settings_from_json(nlohmann::json::parse(settings_to_json(larger).dump()), {}, {.file = "x"}) == larger);
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
      {"x\nSteps: 20, Size: 512", "parameters: Size: '512' is not WIDTHxHEIGHT"},
      {"x\nSteps: 0, Size: 512x512", "parameters: Steps: must be 1…"},
      {"x\nSteps: 20, Size: 0x512", "parameters: Size: must be 1…"},
      {R"({"sui_image_params": {"prompt": "x"}})", "parameters: is JSON, as SwarmUI and Fooocus write it"},
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

TEST_CASE("infotext's settings are found among what stands around them", "[pipeline]") {
  const std::string settings = "Steps: 9, Sampler: Euler a, CFG scale: 7, Seed: 5, Size: 64x96";
  struct Case {
    std::string before, after;
  };
  const std::vector<Case> cases = {
      {"", ""},
      {"", ", Version: v1.10.1\nTemplate: a {cat|dog}, Seed: 3, Steps: 4\nNegative Template: fog\nEta: 2"},
      {"", "\nTime taken: 3.2 sec.\n\nAnything at all, Steps: 4, Seed: 8, Size: 8x8\n"},
      {"", ", ADetailer prompt: a face\nin the rain, smiling, ADetailer model: face.pt, Version: v1"},
      {"", ", ADetailer prompt: \"a face\nSteps: 2\nin \\\"rain\\\"\", ADetailer model: \"a, b: c\""},
      {"", ", Hashes: {\"model\": \"ab\", \"Seed: 1\": \"cd\"}, Lora hashes: \"a: b, c: d\""},
      {"", ", Civitai resources: [{\"type\":\"lora\",\"weight\":1}], Civitai metadata: {}"},
      {"", ", Model: 12\" figure, Script: [broken"},
      {"\nSteps: walk, run, climb: slowly\nmore", ""},
      {"\nSteps: 3, Seed: 1, Size: 8x8\nmore", ""},
      {"\nSteps: 3, Seed: 1, Size: 8x8\nmore", "\nSteps: to the door\n"},
  };
  for (const Case& c : cases) {
    for (const bool windows : {false, true}) {
      std::string text = "a boat" + c.before + "\nNegative prompt: fog\nrain\n" + settings + c.after;
      for (size_t at = 0; windows && (at = text.find('\n', at)) != std::string::npos; at += 2) text.insert(at, "\r");
      INFO(text);
      const Settings request = parse_parameters(text, "x.png");
      CHECK(request.prompt == "a boat" + c.before);
      CHECK(request.negative_prompt == "fog\nrain");
      CHECK(request.steps == 9);
      CHECK(request.sampler == "euler_a");
      CHECK(request.cfg_scale == 7);
      CHECK(request.seed == 5);
      CHECK(request.width == 64);
      CHECK(request.height == 96);
      CHECK_FALSE(request.eta);
    }
  }
  const Settings marks = parse_parameters("a\n  Negative prompt: b\nNegative prompt: c\nSteps: 3, Seed: 4", "x");
  CHECK(marks.prompt == "a");
  CHECK(marks.negative_prompt == "b\nc");
  CHECK(parse_parameters("a\nNegative prompt:\nSteps: 3, Seed: 4", "x").negative_prompt == "");
  CHECK(parse_parameters("\na\n\nSteps: 3, Seed: 4", "x").prompt == "\na\n");
  CHECK(parse_parameters("a\nSampler: Euler, Steps: 3, Seed: 4", "x").steps == 3);
  const Settings sides = parse_parameters("a\nSteps: 3, Seed: 4, Size-1: 64, Size-2: 96", "x");
  CHECK(sides.width == 64);
  CHECK(sides.height == 96);
}

TEST_CASE("infotext of other programs' samplers, schedules and extras is a warning", "[pipeline]") {
  const auto read = [](const std::string& settings) {
    Settings request = parse_parameters("x\nSteps: 20, Seed: 1, " + settings, "x.png");
    leave_unused(request, {}, "x.png");
    return request;
  };
  CHECK_FALSE(read("Sampler: Euler, Eta: 0.67").eta);
  CHECK_FALSE(read("Sampler: Euler a, Eta: 0.67, ENSD: 31337").eta);
  CHECK(read("Sampler: DDIM, Eta: 0.67").eta == 0.67);
  CHECK(read("Sampler: DDIM, Eta DDIM: 0.5").eta == 0.5);
  CHECK_FALSE(read("Sampler: DDIM, Eta: 1.5").eta);
  CHECK_FALSE(read("Sampler: DDIM, Eta: much").eta);
  CHECK_FALSE(read("Eta: 0.67").eta);
  CHECK_FALSE(read("Sampler: No Such, Eta: 0.67, Schedule type: Karras").sampler);
  CHECK(read("Sampler: No Such, Schedule type: Karras").scheduler == "model");
  CHECK(read("Sampler: DDIM, Schedule type: Karras").scheduler == "model");
  CHECK(read("Sampler: DPM++ 2M, Schedule type: Karras").scheduler == "karras");
  CHECK(read("Sampler: DPM++ 2M Karras").scheduler == "karras");
  CHECK(read("Sampler: DPM++ 2M Karras, Schedule type: Automatic").scheduler == "karras");
  CHECK(read("Sampler: DPM++ 2M Karras, Sigmas: \"" + std::string("3, 2, 0\"")).scheduler == "model");
  for (const char* schedule : {"Automatic", "Uniform", "Normal", "SGM Uniform", "Karras", "Exponential", "Simple",
                               "Beta", "KL Optimal", "Turbo", "Polyexponential", "No Such", ""}) {
    INFO(schedule);
    CHECK(read(std::string("Sampler: Euler, Schedule type: ") + schedule).sampler == "euler");
  }
  CHECK(read("Sampler: Euler, Schedule type: No Such").scheduler == "model");
  CHECK(read("Sampler: Euler, Clip skip: 2, Denoising strength: 0.5, Hires upscale: 2, Hires steps: 7, RNG: CPU, "
             "TI hashes: \"a: b, c: d\", Token merging ratio: 0.5, Schedule max sigma: 14.6, VAE: a.pt, "
             "ADetailer confidence: 0.3, Variation seed: 3, Refiner: xl, Refiner switch at: 0.8, User: me")
            .steps == 20);
}

TEST_CASE("a picture's request gives way to the flags", "[pipeline]") {
  Settings ddim;
  ddim.sampler = "euler";  // as --sampler has set it
  ddim.eta = 0.5;
  Settings given = ddim;
  leave_unused(given, std::vector<std::string>{"sampler"}, "x.png");
  CHECK_FALSE(given.eta);
  given = ddim;
  leave_unused(given, std::vector<std::string>{"sampler", "eta"}, "x.png");
  CHECK(given.eta == 0.5);  // for the sampler to refuse

  Settings karras;
  karras.sampler = "ddim";
  karras.scheduler = "karras";
  leave_unused(karras, {}, "x.png");
  CHECK(karras.scheduler == "model");

  Settings listed;
  listed.sampler = "euler";
  listed.sigmas = {3, 2, 0};
  listed.steps = 5;
  given = listed;
  leave_unused(given, std::vector<std::string>{"steps"}, "x.png");
  CHECK(given.sigmas.empty());
  CHECK(given.steps == 5);
  given = listed;
  given.scheduler = "karras";
  leave_unused(given, std::vector<std::string>{"sigmas"}, "x.png");
  CHECK(given.sigmas.size() == 3);
  CHECK(given.scheduler == "model");
}

TEST_CASE("settings are not what a template or a quoted value below them says", "[pipeline]") {
  const std::string line = "Steps: 3, Sampler: Euler, CFG scale: 7, Seed: 4";
  const Settings templated =
      parse_parameters("a cat\n" + line + "\nTemplate: foo\nSteps: 9, Sampler: DDIM, CFG scale: 2, Seed: 3", "x.png");
  CHECK(templated.steps == 3);
  CHECK(templated.sampler == "euler");
  CHECK(templated.prompt == "a cat");
  const Settings quoted = parse_parameters(
      "a cat\n" + line + ", ADetailer prompt: \"a face\nSteps: 99, Sampler: DDIM, CFG scale: 1\nwith\"", "x.png");
  CHECK(quoted.steps == 3);
  const Settings after =
      parse_parameters("Steps: 5, of \"stone, by a lake\n" + line + "\n", "x.png");  // a prompt with a quote
  CHECK(after.prompt.starts_with("Steps: 5"));
  CHECK(parse_parameters("a cat\r" + line, "x.png").steps == 3);
}

TEST_CASE("a picture's faults are its own, not a flag's", "[pipeline]") {
  const Error of_flag(ErrorKind::usage, {.file = "--width", .reason = "65 is not a multiple of 8"});
  const Error told = as_error_of_picture(of_flag, {}, "x.png");
  CHECK(told.kind() == ErrorKind::input);
  CHECK(std::string(told.what()) == "x.png: parameters: Size: 65 is not a multiple of 8");
  const std::vector<std::string> given{"width"};
  CHECK(as_error_of_picture(of_flag, given, "x.png").kind() == ErrorKind::usage);
}

TEST_CASE("pictures of other programs are named", "[pipeline]") {
  const TempDir folder;
  const std::string file = (folder / "x.png").string();
  const auto read = [&](const std::vector<PngText>& texts) {
    const std::string plain = file_contents(golden_path("io/infotext.png"));
    const size_t first = plain.find("IDAT") - 4;  // signature and IHDR stand before the texts
    const std::string bare = plain.substr(0, 33) + plain.substr(first);
    const Bytes png = add_png_text(std::as_bytes(std::span(bare)), texts);
    write_file(file, {reinterpret_cast<const char*>(png.data()), png.size()});
    return settings_from_picture(file);
  };
  const PngText workflow{.keyword = "workflow", .text = "{}"}, prompt{.keyword = "prompt", .text = "{\"3\": {}}"};
  const std::string comfy = "a ComfyUI workflow, which is no list of parameters";
  check_error(ErrorKind::input, comfy, [&] { read({prompt, workflow}); });
  check_error(ErrorKind::input, comfy, [&] { read({prompt}); });
  check_error(ErrorKind::input, "carries no request", [&] { read({{.keyword = "prompt", .text = "a cat"}}); });
  check_error(ErrorKind::input, "InvokeAI", [&] { read({{.keyword = "invokeai_metadata", .text = "{}"}}); });
  check_error(ErrorKind::input, "NovelAI", [&] { read({{.keyword = "Software", .text = "NovelAI"}}); });
  CHECK(read({workflow, {.keyword = "parameters", .text = "a cat\nSteps: 3, Seed: 4"}}).prompt == "a cat");
  Settings theirs = read({{.keyword = "parameters", .text = "a cat\nSteps: 3, Sampler: Euler, Eta: 0.67"}});
  leave_unused(theirs, {}, "x.png");
  CHECK_FALSE(theirs.eta);
}

TEST_CASE("a picture says whole paths of what was put on its model", "[pipeline]") {
  const TempDir folder;
  const std::filesystem::path before = std::filesystem::current_path();
  const std::string here = std::filesystem::canonical(folder.path()).string();
  for (const char* name : {"words", "nets"}) std::filesystem::create_directories(folder / name);
  for (const char* name : {"cat.pt", "a=b.pt", "mood.pt"}) write_file(folder / name, "x");
  std::filesystem::current_path(folder.path());
  ModelChoice choice;
  choice.embd_dir = "words";
  choice.hypernetwork_dir = "nets";
  Picture picture;
  picture.image = {.width = 1, .height = 1, .pixels = std::vector<uint8_t>(3)};
  picture.request.prompt = "a cat";
  picture.request.embedding = {"cat.pt=<cat>", "a=b.pt", "a=b.pt=x=y", "gone.pt=z"};
  picture.request.hypernetwork = {"mood.pt:0.7"};
  const std::vector<PngText> texts = picture_metadata(choice, picture);
  std::filesystem::current_path(before);
  const auto own = std::ranges::find(texts, "sdtorch", &PngText::keyword);
  REQUIRE(own != texts.end());
  const nlohmann::json request = nlohmann::json::parse(own->text);
  CHECK(request.at("embd-dir") == here + "/words");
  CHECK(request.at("hypernetwork-dir") == here + "/nets");
  CHECK(request.at("embedding") ==
        nlohmann::json({here + "/cat.pt=<cat>", here + "/a=b.pt", here + "/a=b.pt=x=y", "gone.pt=z"}));
  CHECK(request.at("hypernetwork") == nlohmann::json({here + "/mood.pt:0.7"}));
}
