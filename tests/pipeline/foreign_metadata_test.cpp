// Pictures of ComfyUI, InvokeAI, NovelAI, stable-diffusion.cpp and A1111 as requests.
#include "pipeline/foreign_metadata.hpp"

#include <algorithm>

#include "core/error.hpp"
#include "pipeline/metadata.hpp"
#include "support/captured_stderr.hpp"
#include "support/catch.hpp"
#include "support/errors.hpp"
#include "support/files.hpp"
#include "support/temp_dir.hpp"

using namespace sdtorch;

namespace {

const char* const comfy_prompt = R"({
  "3": {"class_type": "KSampler", "inputs": {"seed": 18446744073709551615, "steps": 8, "cfg": 6.5,
        "sampler_name": "dpmpp_2m", "scheduler": "karras", "denoise": 1.0, "model": ["11", 0], "positive": ["6", 0],
        "negative": ["7", 0], "latent_image": ["5", 0]}, "is_changed": [NaN]},
  "4": {"class_type": "CheckpointLoaderSimple", "inputs": {"ckpt_name": "sd15.safetensors"}},
  "5": {"class_type": "EmptyLatentImage", "inputs": {"width": 64, "height": 96, "batch_size": 1}},
  "6": {"class_type": "CLIPTextEncode", "inputs": {"text": "a (castle:1.2), \"by\" a lake", "clip": ["12", 0]}},
  "7": {"class_type": "CLIPTextEncode", "inputs": {"text": "fog NaN", "clip": ["12", 0]}},
  "8": {"class_type": "VAEDecode", "inputs": {"samples": ["3", 0], "vae": ["4", 2]}},
  "9": {"class_type": "SaveImage", "inputs": {"images": ["8", 0], "filename_prefix": "x"}},
  "10": {"class_type": "LoraLoader", "inputs": {"lora_name": "sub\\style.safetensors", "strength_model": 0.8,
         "strength_clip": 0.5, "model": ["4", 0], "clip": ["4", 1]}},
  "11": {"class_type": "LoraLoader", "inputs": {"lora_name": "gone.safetensors", "strength_model": 1, "strength_clip": 1,
         "model": ["10", 0], "clip": ["10", 1]}},
  "12": {"class_type": "CLIPSetLastLayer", "inputs": {"stop_at_clip_layer": -2, "clip": ["11", 1]}}
})";

const char* const comfy_workflow = R"({"last_node_id": 9, "nodes": [
  {"id": 3, "type": "KSampler", "inputs": [{"name": "model", "type": "MODEL", "link": 1},
   {"name": "positive", "type": "CONDITIONING", "link": 4}, {"name": "negative", "type": "CONDITIONING", "link": 6},
   {"name": "latent_image", "type": "LATENT", "link": 2}],
   "widgets_values": [77, "randomize", 9, 5.5, "euler_ancestral", "normal", 1]},
  {"id": 4, "type": "CheckpointLoaderSimple", "inputs": [], "widgets_values": ["a.ckpt"]},
  {"id": 5, "type": "EmptyLatentImage", "inputs": [], "widgets_values": [72, 80, 4]},
  {"id": 6, "type": "CLIPTextEncode", "inputs": [{"name": "clip", "type": "CLIP", "link": 3}], "widgets_values": ["a cat"]},
  {"id": 7, "type": "CLIPTextEncode", "inputs": [{"name": "clip", "type": "CLIP", "link": 5}], "widgets_values": ["a dog"]},
  {"id": 8, "type": "VAEDecode", "inputs": [{"name": "samples", "type": "LATENT", "link": 7},
   {"name": "vae", "type": "VAE", "link": 8}]},
  {"id": 9, "type": "SaveImage", "inputs": [{"name": "images", "type": "IMAGE", "link": 9}], "widgets_values": ["x"]}],
  "links": [[1, 4, 0, 3, 0, "MODEL"], [2, 5, 0, 3, 3, "LATENT"], [3, 4, 1, 6, 0, "CLIP"], [4, 6, 0, 3, 1, "CONDITIONING"],
   [5, 4, 1, 7, 0, "CLIP"], [6, 7, 0, 3, 2, "CONDITIONING"], [7, 3, 0, 8, 0, "LATENT"], [8, 4, 2, 8, 1, "VAE"],
   [9, 8, 0, 9, 0, "IMAGE"]]})";

Settings read_texts(const std::vector<PngText>& texts, const std::string& lora_dir = {}) {
  const PictureSource source{.file = "x.png", .lora_dir = lora_dir, .width = 640, .height = 512};
  const auto read = settings_from_foreign(texts, source);
  REQUIRE(read.has_value());
  return *read;
}

void swap_in(std::string& text, const std::string& from, const std::string& to) {
  REQUIRE(text.find(from) != std::string::npos);
  text.replace(text.find(from), from.size(), to);
}

}  // namespace

TEST_CASE("a ComfyUI picture's prompt chunk is its request", "[pipeline]") {
  const TempDir folder;
  std::filesystem::create_directories(folder / "deep" / "sub");
  write_file(folder / "deep" / "sub" / "style.safetensors", "x");
  Settings read;
  const std::string log = stderr_of([&] {
    read = read_texts({{"prompt", comfy_prompt}, {"workflow", "{}"}}, folder.path().string());
  });
  CHECK(read.compat == "comfy");
  CHECK(read.prompt == "a (castle:1.2), \"by\" a lake");
  CHECK(read.negative_prompt == "fog NaN");
  CHECK(read.seed == 18446744073709551615U);
  CHECK(read.steps == 8);
  CHECK(read.cfg_scale == 6.5);
  CHECK(read.sampler == "dpm++2m");
  CHECK(read.scheduler == "karras");
  CHECK(read.width == 64);
  CHECK(read.height == 96);
  CHECK(read.clip_skip == 2);
  CHECK(read.noise_slice.empty());
  CHECK(read.lora == std::vector<std::string>{(folder / "deep" / "sub" / "style.safetensors").string() + ":0.8:0.5"});
  CHECK(log.find("'gone.safetensors' is left out: it was not found; --lora-dir") != std::string::npos);
  CHECK(log.find("'sd15.safetensors' is not looked for; --model gives it") != std::string::npos);
}

TEST_CASE("a ComfyUI picture's workflow chunk alone is its request, too", "[pipeline]") {
  Settings read;
  const std::string log = stderr_of([&] { read = read_texts({{"workflow", comfy_workflow}}); });
  CHECK(read.prompt == "a cat");
  CHECK(read.negative_prompt == "a dog");
  CHECK(read.seed == 77);
  CHECK(read.steps == 9);
  CHECK(read.cfg_scale == 5.5);
  CHECK(read.sampler == "euler_a");
  CHECK(read.scheduler == "normal");
  CHECK(read.width == 72);
  CHECK(read.height == 80);
  CHECK(read.noise_slice == "0/4");
  CHECK(log.find("--noise-slice K/4") != std::string::npos);
  CHECK(log.find("--sampler-rng cuda") != std::string::npos);
}

TEST_CASE("a ComfyUI workflow's other nodes are told and passed over", "[pipeline]") {
  std::string text = comfy_prompt;
  swap_in(text, "\"positive\": [\"6\", 0]", "\"positive\": [\"20\", 0]");
  swap_in(text, "\"model\": [\"11\", 0]", "\"model\": [\"21\", 0]");
  swap_in(text, "\"12\": {",
          R"("20": {"class_type": "ConditioningSetArea", "inputs": {"conditioning": ["6", 0], "x": 8}},
    "21": {"class_type": "ModelSamplingDiscrete", "inputs": {"sampling": "v_prediction", "zsnr": false, "model": ["11", 0]}},
    "30": {"class_type": "LatentUpscale", "inputs": {"samples": ["3", 0], "width": 128}},
    "31": {"class_type": "KSampler", "inputs": {"seed": 5, "steps": 99, "latent_image": ["30", 0], "positive": ["6", 0]}},
    "12": {)");
  swap_in(text, "\"samples\": [\"3\", 0], \"vae\"", "\"samples\": [\"31\", 0], \"vae\"");
  Settings read;
  const std::string log = stderr_of([&] { read = read_texts({{"prompt", text}}); });
  CHECK(read.steps == 8);
  CHECK(read.prediction == "v");
  CHECK(read.prompt.starts_with("a (castle"));
  CHECK(log.find("node 20 (ConditioningSetArea)") != std::string::npos);
  CHECK(log.find("a second pass, which is left out") != std::string::npos);
}

TEST_CASE("hostile workflows end in a message or in what they say", "[pipeline]") {
  for (const char* text :
       {"{}", R"({"3": 5})", R"({"3": {"class_type": 3}})", R"({"3": {"class_type": "SamplerCustom"}})",
        R"({"3": {"class_type": "CLIPTextEncode", "inputs": []}})"}) {
    check_error(ErrorKind::input, "no list of parameters", [&] { read_texts({{"prompt", text}}); });
  }
  check_error(ErrorKind::input, "no list of parameters", [] {
    read_texts({{"workflow", R"({"nodes": 3, "links": {}})"}});
  });
  check_error(ErrorKind::input, "x.png: prompt", [] { read_texts({{"prompt", "{\"3\": "}}); });
  // A node that leads to itself.
  const Settings circle = read_texts({{"prompt", R"({"3": {"class_type": "KSampler", "inputs": {"seed": ["3", 0],
      "latent_image": ["3", 0], "positive": ["4", 0], "model": ["5", 0]}},
      "4": {"class_type": "Reroute", "inputs": {"": ["4", 0]}}, "5": {"class_type": "X", "inputs": {"model": ["5", 0]}}})"}});
  CHECK(circle.prompt.empty());
  check_error(ErrorKind::input, "steps", [] {
    read_texts({{"prompt", R"({"3": {"class_type": "KSampler", "inputs": {"seed": 1, "steps": "many"}}})"}});
  });
  check_error(ErrorKind::input, "steps", [] {
    read_texts({{"prompt", R"({"3": {"class_type": "KSampler", "inputs": {"seed": 1, "steps": 0}}})"}});
  });
}

TEST_CASE("InvokeAI's pictures of all three ages are requests", "[pipeline]") {
  const Settings third = read_texts({{"invokeai_metadata", R"({"app_version": "3.3.0", "generation_mode": "txt2img",
      "positive_prompt": "a landscape++", "negative_prompt": "low quality", "width": 768, "height": 432,
      "seed": 356120443, "rand_device": "cpu", "cfg_scale": 7.5, "cfg_rescale_multiplier": 0.5, "steps": 50,
      "scheduler": "dpmpp_2m_sde_k", "clip_skip": 1, "model": {"model_name": "x"}, "loras": []})"}});
  CHECK(third.prompt == "a landscape++");
  CHECK(third.negative_prompt == "low quality");
  CHECK(third.width == 768);
  CHECK(third.height == 432);
  CHECK(third.seed == 356120443);
  CHECK(third.cfg_scale == 7.5);
  CHECK(third.guidance_rescale == 0.5);
  CHECK(third.steps == 50);
  CHECK(third.sampler == "dpm++2m_sde");
  CHECK(third.scheduler == "karras");
  CHECK(third.clip_skip == 2);
  CHECK(third.compat == "diffusers");
  CHECK(third.prompt_syntax == "compel");
  CHECK(third.rng == "cpu");
  CHECK(third.sampler_rng == "cuda");
  CHECK(third.seed + *third.ensd == (third.seed ^ 0xFFFFFFFF));

  const Settings second = read_texts({{"sd-metadata", R"({"model": "stable diffusion", "app_version": "2.3.5",
      "image": {"prompt": [{"prompt": "a robot [blurry, text] reading", "weight": 1.0}], "steps": 30, "cfg_scale": 7,
      "seed": 5, "width": 512, "height": 640, "sampler": "k_lms", "type": "txt2img", "variations": []}})"}});
  CHECK(second.prompt == "a robot  reading");
  CHECK(second.negative_prompt == "blurry, text");
  CHECK(second.sampler == "lms");
  CHECK(second.height == 640);

  const Settings first =
      read_texts({{"Dream", R"("a red fox" -s 50 -S 4053222918 -W512 -H 640 -C7.5 -A k_euler_a --hires)"}});
  CHECK(first.prompt == "a red fox");
  CHECK(first.steps == 50);
  CHECK(first.seed == 4053222918);
  CHECK(first.width == 512);
  CHECK(first.height == 640);
  CHECK(first.sampler == "euler_a");
}

TEST_CASE("NovelAI's pictures are requests with A1111's weights", "[pipeline]") {
  CHECK(prompt_from_novelai("{{a}} b [c], {d [e]}") == "(a:1.1025) b (c:0.952381), (d :1.05)e");
  CHECK(prompt_from_novelai("a (b) \\") == "a \\(b\\) \\\\");
  const Settings read = read_texts({{"Title", "AI generated image"},
                                    {"Description", "{masterpiece}, a girl"},
                                    {"Software", "NovelAI"},
                                    {"Source", "Stable Diffusion 1D44365E"},
                                    {"Comment", R"({"steps": 28, "sampler": "k_euler_ancestral", "seed": 2295149183,
      "strength": 0.69, "noise": 0.667, "scale": 11.0, "uc": "lowres, [bad]"})"}});
  CHECK(read.prompt == "(masterpiece:1.05), a girl");
  CHECK(read.negative_prompt == "lowres, (bad:0.952381)");
  CHECK(read.steps == 28);
  CHECK(read.sampler == "euler_a");
  CHECK(read.seed == 2295149183);
  CHECK(read.cfg_scale == 11);
  CHECK(read.width == 640);
  CHECK(read.height == 512);
  CHECK(read.compat == "a1111");
  CHECK(read.ensd == 31337U);
  CHECK(read.clip_skip == 2);
  CHECK_FALSE(read.strength);
}

TEST_CASE("infotext says whose it is", "[pipeline]") {
  const auto read = [](const std::string& entries) {
    return parse_parameters("a\nSteps: 20, Sampler: Euler a, CFG scale: 7, Seed: 1, Size: 64x64, " + entries, "x.png");
  };
  CHECK(read("Version: v1.10.1").compat == "a1111");
  CHECK(read("Model: x").compat == "a1111");
  CHECK(read("Version: stable-diffusion.cpp").compat == "sdcpp");
  CHECK(read("Version: ComfyUI").compat == "comfy");
  CHECK_FALSE(read("Version: sdtorch 0.1.0").compat);
  CHECK(read("Compat: comfy, Version: sdtorch 0.1.0").compat == "comfy");
  CHECK(read("RNG: CPU").rng == "cpu");
  CHECK(read("RNG: NV").rng == "cuda");
  CHECK_FALSE(read("RNG: std_default, Version: stable-diffusion.cpp").rng);
  CHECK(read("Sampler RNG: cpu, Version: stable-diffusion.cpp").sampler_rng == "cpu");
  const Settings varied =
      read("ENSD: 31337, Variation seed: 3, Variation seed strength: 0.25, Seed resize from: 512x768, Version: v1.9.0");
  CHECK(varied.ensd == 31337U);
  CHECK(varied.variation_seed == 3U);
  CHECK(varied.variation_strength == 0.25);
  CHECK(varied.seed_resize == PixelPair{.vertical = 768, .horizontal = 512});
  CHECK(read("Discard penultimate sigma: True, SGM noise multiplier: True").discard_next_to_last == "yes");
  CHECK(read("SGM noise multiplier: True").noise_scaling == "sgm");
  CHECK_FALSE(read("Seed resize from: -1x-1").seed_resize);  // as A1111's API wrote what is none
  CHECK_FALSE(read("Seed resize from: 512x0, Version: v1.9.0").seed_resize);
  CHECK_FALSE(read("Clip skip: 0, Version: stable-diffusion.cpp").clip_skip);
  // It writes UTF-8 into what PNG takes for Latin-1, and A1111 does not.
  const auto prompt_of = [](const std::string& prompt, const std::string& version) {
    return parse_parameters(prompt + "\nSteps: 20, Sampler: euler, CFG scale: 7, Seed: 1, Version: " + version, "x.png")
        .prompt;
  };
  CHECK(prompt_of("\u00E6\u0097\u00A5 caf\u00C3\u00A9", "stable-diffusion.cpp") == "\u65E5 caf\u00E9");
  CHECK(prompt_of("\u65E5 caf\u00E9", "stable-diffusion.cpp") == "\u65E5 caf\u00E9");
  CHECK(prompt_of("caf\u00E9", "stable-diffusion.cpp") == "caf\u00E9");
  CHECK(prompt_of("caf\u00C3\u00A9", "v1.10.1") == "caf\u00C3\u00A9");
  const Settings next = read("App: SD.Next, Version: 1a2b3c");
  CHECK(next.compat == "diffusers");
  CHECK(next.prompt_syntax == "a1111");
  CHECK(next.prompt_weighting == "compel");
  CHECK_FALSE(read("Compat: diffusers, Version: sdtorch 0.1.0").prompt_syntax);
  // Before 1.9 a sampler without a schedule in its name had the plain one.
  const auto plain = [](const std::string& version) {
    return parse_parameters("a\nSteps: 20, Sampler: DPM++ 2M, CFG scale: 7, Seed: 1, Version: " + version, "x.png");
  };
  CHECK(plain("v1.8.0").scheduler == "normal");
  CHECK(plain("f0.0.17v1.8.0rc-latest-277-g0af28699").scheduler == "normal");  // Forge's
  CHECK(plain("f2.0.1v1.10.1-previous-313-g8a042934").scheduler == "model");
  CHECK(plain("v1.10.1").scheduler == "model");
}

TEST_CASE("of a ComfyUI graph's text side the LoRAs, zeros and layers count that stand there", "[pipeline]") {
  const TempDir folder;
  for (const char* name : {"one", "two"}) write_file(folder / (std::string(name) + ".safetensors"), "x");
  const auto path = [&](const std::string& name) { return (folder / (name + ".safetensors")).string(); };
  // clip: where the prompt's text takes its encoder from; model: where the sampler takes its U-Net from.
  const auto read = [&](const std::string& clip, const std::string& model, const std::string& negative,
                        const std::string& more = "") {
    const std::string loader =
        R"("class_type": "LoraLoader", "inputs": {"strength_model": 0.8, "strength_clip": 0.5, )";
    const std::string text = R"({"3": {"class_type": "KSampler", "inputs": {"seed": 1, "steps": 8, "cfg": 6.5,
        "sampler_name": "euler", "scheduler": "normal", "denoise": 1, "model": [")" +
                             model + R"(", 0],
        "positive": ["6", 0], "negative": [")" +
                             negative + R"(", 0], "latent_image": ["5", 0]}},
      "4": {"class_type": "CheckpointLoaderSimple", "inputs": {"ckpt_name": "a.safetensors"}},
      "5": {"class_type": "EmptyLatentImage", "inputs": {"width": 64, "height": 96, "batch_size": 1}},
      "6": {"class_type": "CLIPTextEncode", "inputs": {"text": "a castle", "clip": [")" +
                             clip + R"(", 1]}},
      "7": {"class_type": "CLIPTextEncode", "inputs": {"text": "fog", "clip": ["4", 1]}},
      "8": {"class_type": "ConditioningZeroOut", "inputs": {"conditioning": ["6", 0]}},
      "10": {)" + loader + R"("lora_name": "one.safetensors", "model": ["4", 0], "clip": ["4", 1]}},
      "11": {)" + loader + R"("lora_name": "two.safetensors", "model": ["10", 0], "clip": ["10", 1]}})" +
                             more + "}";
    return read_texts({{"prompt", text}}, folder.path().string());
  };
  CHECK(read("11", "11", "7").lora == std::vector{path("one") + ":0.8:0.5", path("two") + ":0.8:0.5"});
  CHECK(read("4", "10", "7").lora == std::vector{path("one") + ":0.8:0"});  // the text goes past it
  CHECK(read("10", "4", "7").lora == std::vector{path("one") + ":0:0.5"});  // the U-Net does
  Settings zeros;
  const std::string log = stderr_of([&] { zeros = read("4", "4", "8"); });
  CHECK(zeros.prompt == "a castle");
  CHECK(zeros.negative_prompt == "");
  CHECK(log.find("zeros on the negative side") != std::string::npos);
  // Of two choices of a layer the last before the text counts.
  const auto layers = [&](int nearer, int farther) {
    const auto node = [](int layer, const std::string& from) {
      return R"({"class_type": "CLIPSetLastLayer", "inputs": {"stop_at_clip_layer": )" + std::to_string(layer) +
             R"(, "clip": [")" + from + R"(", 1]}})";
    };
    return read("20", "4", "7", ", \"20\": " + node(nearer, "21") + ", \"21\": " + node(farther, "4")).clip_skip;
  };
  CHECK(layers(-1, -2) == 1);
  CHECK(layers(-3, -1) == 3);
}

TEST_CASE("InvokeAI's empty negative prompt is none, and quotes in its prompts stay", "[pipeline]") {
  CHECK_FALSE(read_texts({{"invokeai_metadata", R"({"app_version": "3.3.0", "generation_mode": "txt2img",
      "positive_prompt": "a", "negative_prompt": "", "width": 64, "height": 64, "seed": 1, "cfg_scale": 7.5,
      "steps": 5, "scheduler": "euler"})"}})
                  .negative_prompt);
  const Settings quoted = read_texts({{"Dream", R"("a sign that says "open" by night" -s 50 -S 7 -W512 -H640 -C7.5)"}});
  CHECK(quoted.prompt == "a sign that says \"open\" by night");
  CHECK(quoted.steps == 50);
}

TEST_CASE("of a ComfyUI graph values are told that come from nodes which are not read", "[pipeline]") {
  std::string text = comfy_prompt;
  swap_in(text, "\"seed\": 18446744073709551615", "\"seed\": [\"40\", 0]");
  swap_in(text, "\"steps\": 8", "\"steps\": [\"41\", 1]");
  swap_in(text, "\"cfg\": 6.5", "\"cfg\": [\"41\", 2]");
  swap_in(text, "\"sampler_name\": \"dpmpp_2m\"", "\"sampler_name\": [\"40\", 1]");
  swap_in(text, "\"width\": 64", "\"width\": [\"42\", 0]");
  swap_in(text, "\"height\": 96", "\"height\": [\"42\", 1]");
  swap_in(text, "\"12\": {", R"("40": {"class_type": "Dice", "inputs": {"sides": 6}},
    "41": {"class_type": "Several", "inputs": {"seed": 3, "steps": 11, "scale": 2}},
    "42": {"class_type": "A size", "inputs": {"height": 72, "width": 88}}, "12": {)");
  Settings read;
  const std::string log = stderr_of([&] { read = read_texts({{"prompt", text}}); });
  CHECK(read.seed == Settings{}.seed);
  CHECK(read.steps == 11);
  CHECK(read.cfg_scale == Settings{}.cfg_scale);  // the seed beside it is another thing
  CHECK_FALSE(read.sampler);
  CHECK(read.width == 88);
  CHECK(read.height == 72);
  for (const char* input : {"seed", "cfg", "sampler_name"}) {
    INFO(input);
    CHECK(log.find(std::string("its ") + input + " comes from nodes that are not read") != std::string::npos);
  }
  CHECK(log.find("its steps") == std::string::npos);
}

TEST_CASE("of several ComfyUI pictures the saved one is taken before the shown one, and that is told", "[pipeline]") {
  const auto with = [](const std::string& output) {
    std::string text = comfy_prompt;
    text.insert(1, R"("0": {"class_type": ")" + output + R"(", "inputs": {"images": ["1", 0]}},
      "1": {"class_type": "VAEDecode", "inputs": {"samples": ["2", 0]}},
      "2": {"class_type": "KSampler", "inputs": {"seed": 5, "steps": 4, "latent_image": ["5", 0], "positive": ["7", 0]}},
      "6x": {"class_type": "BNK_CLIPTextEncodeAdvanced", "inputs": {"text": "a kite", "clip": ["12", 0]}},)");
    return text;
  };
  Settings read;
  std::string log = stderr_of([&] { read = read_texts({{"prompt", with("PreviewImage")}}); });
  CHECK(read.steps == 8);
  CHECK(log.find("pictures were drawn") == std::string::npos);
  log = stderr_of([&] { read = read_texts({{"prompt", with("SaveImage")}}); });
  CHECK(read.steps == 4);
  CHECK(read.prompt == "fog NaN");
  CHECK(log.find("node 2 (KSampler): 2 pictures were drawn, and which this is is not said") != std::string::npos);
  std::string other = with("PreviewImage");
  other.replace(other.find("[\"6\", 0]"), 8, "[\"6x\", 0]");
  log = stderr_of([&] { read = read_texts({{"prompt", other}}); });
  CHECK(read.prompt == "a kite");
  CHECK(log.find("node 6x (BNK_CLIPTextEncodeAdvanced): its text is read as a CLIPTextEncode's") != std::string::npos);
}
