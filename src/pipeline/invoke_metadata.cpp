// What InvokeAI writes into pictures: three forms, the oldest of which is a command line.
#include <fmt/format.h>

#include <algorithm>
#include <array>

#include "core/number.hpp"
#include "pipeline/foreign_metadata.hpp"

namespace sdtorch {
namespace {

using nlohmann::json;

/// Draws as diffusers does, reads prompts as compel does.
void settle_tool(Settings& settings) {
  settings.compat = "diffusers";
  settings.prompt_syntax = "compel";
  settings.prompt_weighting = "compel";
}

/// Its samplers' noise comes from the seed with its low 32 bits inverted, drawn where the networks run.
void settle_noise(ForeignRequest& request, const std::string& device) {
  Settings& settings = request.settings;
  settings.rng = device == "cuda" ? "cuda" : "cpu";
  settings.sampler_rng = "cuda";
  settings.ensd = (settings.seed ^ 0xFFFFFFFF) - settings.seed;
}

/// A text of either form: a name, or an object that holds one.
std::string called(const json& value) {
  if (value.is_string()) return value.get<std::string>();
  for (const char* key : {"name", "model_name"}) {
    if (const json& name = member(value, key); name.is_string()) return name.get<std::string>();
  }
  return "";
}

void take_loras(ForeignRequest& request, const json& list) {
  if (!list.is_array()) return;
  for (const json& entry : list) {
    const json& model = member(entry, "model").is_null() ? member(entry, "lora") : member(entry, "model");
    const json& weight = member(entry, "weight");
    const double strength = weight.is_number() ? weight.get<double>() : 1;
    request.take_lora(called(model), strength, strength);
  }
}

Settings read_metadata(const json& values, ForeignRequest request) {
  Settings& settings = request.settings;
  const json& prompt = member(values, "positive_prompt");
  if (!prompt.is_string()) {
    request.fail_at("positive_prompt", "InvokeAI's own metadata, without a prompt", "give its values as flags");
  }
  settle_tool(settings);
  settings.prompt = prompt.get<std::string>();
  if (const json& text = member(values, "negative_prompt"); text.is_string() && text != "") {
    settings.negative_prompt = text;  // an empty one is zeros for SDXL there
  }
  for (const char* key : {"width", "height", "steps", "seed"}) request.take(key, key, member(values, key));
  request.take("cfg-scale", "cfg_scale", member(values, "cfg_scale"));
  request.take("guidance-rescale", "cfg_rescale_multiplier", member(values, "cfg_rescale_multiplier"));
  if (const json& name = member(values, "scheduler"); name.is_string()) request.take_sampler(name);
  const json& device = member(values, "rand_device");
  settle_noise(request, device.is_string() ? device.get<std::string>() : "cpu");
  if (const json& skip = member(values, "clip_skip"); skip.is_number_integer() && skip.get<int64_t>() > 0) {
    settings.clip_skip = skip.get<int64_t>() + 1;
  }
  take_loras(request, member(values, "loras"));
  if (const std::string vae = called(member(values, "vae")); !vae.empty()) request.take_vae(vae);
  const std::string model = called(member(values, "model"));
  request.warn("model", fmt::format("'{}' is not looked for; --model gives it", model));
  if (member(values, "seamless_x") == true || member(values, "seamless_y") == true) {
    request.warn("seamless", "no counterpart here, left out");
  }
  for (const char* key : {"controlnets", "ipAdapters", "t2iAdapters", "refiner_model", "init_image", "hrf_enabled"}) {
    const json& value = member(values, key);
    if (!value.is_null() && value != false && !(value.is_array() && value.empty())) {
      request.warn(key, "left out; flags can give it");
    }
  }
  for (const auto& [own, style] :
       {std::pair("positive_prompt", "positive_style_prompt"), std::pair("negative_prompt", "negative_style_prompt")}) {
    const json& text = member(values, style);
    if (text.is_string() && text != "" && text != member(values, own)) {
      request.warn(style, "both of SDXL's text encoders get the prompt here");
    }
  }
  return request.finish();
}

/// The prompts of version 2: a text, or a list of them with weights; what is in brackets is the negative one.
std::string joined_prompts(const json& value) {
  if (value.is_string()) return value.get<std::string>();
  std::string joined;
  if (!value.is_array()) return joined;
  for (const json& part : value) {
    const json& text = part.is_string() ? part : member(part, "prompt");
    if (text.is_string()) joined += (joined.empty() ? "" : ", ") + text.get<std::string>();
  }
  return joined;
}

void set_prompts_with_brackets(Settings& settings, const std::string& text) {
  std::string negative;
  int depth = 0;
  for (const char c : text) {
    if (c == '[' && depth++ == 0) {
      if (!negative.empty()) negative += ' ';
      continue;
    }
    if (c == ']' && depth > 0 && --depth == 0) continue;
    (depth > 0 ? negative : settings.prompt) += c;
  }
  while (settings.prompt.ends_with(' ')) settings.prompt.pop_back();
  if (!negative.empty()) settings.negative_prompt = negative;
}

Settings read_second(const json& values, ForeignRequest request) {
  const json& image = member(values, "image");
  if (!image.is_object()) request.fail_at("image", "InvokeAI's own metadata, without a picture's");
  settle_tool(request.settings);
  set_prompts_with_brackets(request.settings, joined_prompts(member(image, "prompt")));
  for (const char* key : {"width", "height", "steps", "seed"}) request.take(key, key, member(image, key));
  request.take("cfg-scale", "cfg_scale", member(image, "cfg_scale"));
  if (const json& name = member(image, "sampler"); name.is_string()) request.take_sampler(name);
  settle_noise(request, "cuda");
  for (const char* key : {"threshold", "perlin", "seamless", "hires_fix", "variations", "facetool_strength"}) {
    const json& value = member(image, key);
    const bool nothing = value.is_null() || value == 0 || value == false || (value.is_array() && value.empty());
    if (!nothing) request.warn(key, "no counterpart here, left out");
  }
  if (const json& type = member(image, "type"); type.is_string() && type != "txt2img") {
    request.warn("type", type.get<std::string>() + ": the picture that was started from is not named");
  }
  request.warn("model", "is not looked for; --model gives it");
  return request.finish();
}

/// `"a prompt" -s 50 -S 123 -W512 -H512 -C7.5 -A k_lms`
Settings read_dream(const std::string& text, ForeignRequest request) {
  struct Option {
    char letter;
    const char* name;
  };
  constexpr std::array<Option, 6> options = {
      {{'s', "steps"}, {'S', "seed"}, {'W', "width"}, {'H', "height"}, {'C', "cfg-scale"}, {'A', "sampler"}}};
  size_t end = text.starts_with('"') ? text.find("\" -s ", 1) : std::string::npos;  // quotes in prompts are not escaped
  if (end == std::string::npos && text.starts_with('"')) end = text.find('"', 1);
  if (end == std::string::npos) request.fail_at("", "InvokeAI's own metadata, which does not begin with its prompt");
  settle_tool(request.settings);
  set_prompts_with_brackets(request.settings, text.substr(1, end - 1));
  std::string others;
  for (size_t at = text.find(" -", end); at != std::string::npos; at = text.find(" -", at + 1)) {
    const size_t next = std::min(text.find(" -", at + 1), text.size());
    const std::string option = text.substr(at + 1, next - at - 1);
    const auto* known = option.size() > 1 ? std::ranges::find(options, option[1], &Option::letter) : options.end();
    std::string value = option.substr(std::min<size_t>(2, option.size()));
    while (value.starts_with(' ')) value.erase(0, 1);
    while (value.ends_with(' ')) value.pop_back();
    if (known == options.end()) {
      others += (others.empty() ? "" : ", ") + option;
    } else if (known->letter == 'A') {
      request.take_sampler(value);
    } else {
      request.take(known->name, std::string("-") + known->letter, value);
    }
  }
  settle_noise(request, "cuda");
  if (!others.empty()) request.warn("no counterpart here, left out", others);
  return request.finish();
}

}  // namespace

Settings read_invoke_metadata(const PngText& text, const PictureSource& source) {
  ForeignRequest request(source, text.keyword);
  if (text.keyword == "Dream") return read_dream(text.text, std::move(request));
  const json values = parse_foreign_json(text, source.file);
  return text.keyword == "sd-metadata" ? read_second(values, std::move(request))
                                       : read_metadata(values, std::move(request));
}

}  // namespace sdtorch
