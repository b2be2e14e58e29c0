// What NovelAI writes into pictures.
#include <fmt/format.h>

#include <cmath>

#include "core/error.hpp"
#include "pipeline/foreign_metadata.hpp"

namespace sdtorch {
namespace {

using nlohmann::json;

constexpr double brace_factor = 1.05;
constexpr uint64_t usual_ensd = 31337;  // what those set in A1111 who draw NovelAI's pictures there

/// A stretch of a prompt under one weight, as A1111 writes it.
std::string with_weight(const std::string& text, int level) {
  if (level == 0 || text.empty()) return text;
  return fmt::format("({}:{:.6g})", text, std::pow(brace_factor, level));
}

}  // namespace

std::string prompt_from_novelai(const std::string& prompt) {
  std::string out, part;
  int level = 0;
  const auto end_part = [&] {
    out += with_weight(part, level);
    part.clear();
  };
  for (const char c : prompt) {
    const int step = c == '{' || c == ']' ? 1 : c == '}' || c == '[' ? -1 : 0;
    if (step != 0) {
      end_part();
      level += step;
    } else {
      if (c == '(' || c == ')' || c == '\\') part += '\\';
      part += c;
    }
  }
  end_part();
  return out;
}

Settings read_novelai_comment(const PngText& comment, const PngText* description, const PictureSource& source) {
  ForeignRequest request(source, comment.keyword);
  const json values = parse_foreign_json(comment, source.file);
  if (!values.is_object() || !values.contains("seed")) {
    request.fail_at("", "is not NovelAI's list of parameters", "give its values as flags");
  }
  Settings& settings = request.settings;
  settings.compat = "a1111";
  settings.clip_skip = 2;
  settings.ensd = usual_ensd;
  const json& prompt = member(values, "prompt");
  const std::string text = prompt.is_string() ? prompt.get<std::string>() : description ? description->text : "";
  settings.prompt = prompt_from_novelai(text);
  const json& unwanted = member(values, "uc");
  if (unwanted.is_string()) settings.negative_prompt = prompt_from_novelai(unwanted.get<std::string>());
  request.take("steps", "steps", member(values, "steps"));
  request.take("cfg-scale", "scale", member(values, "scale"));
  request.take("guidance-rescale", "cfg_rescale", member(values, "cfg_rescale"));
  request.take("seed", "seed", member(values, "seed"));
  settings.width = source.width;
  settings.height = source.height;
  request.take("width", "width", member(values, "width"));
  request.take("height", "height", member(values, "height"));
  if (const json& sampler = member(values, "sampler"); sampler.is_string()) request.take_sampler(sampler);
  if (const json& schedule = member(values, "noise_schedule"); schedule.is_string()) {
    if (schedule == "native") {
      settings.scheduler = "normal";
    } else {
      request.take_schedule(schedule);
    }
  }
  if (values.contains("strength") && values.contains("image")) {
    request.take("strength", "strength", member(values, "strength"));
  }
  for (const char* switched : {"sm", "sm_dyn", "dynamic_thresholding", "use_coords"}) {
    if (member(values, switched) == true) request.warn(switched, "no counterpart here, left out");
  }
  if (const json& above = member(values, "skip_cfg_above_sigma"); above.is_number()) {
    request.warn("skip_cfg_above_sigma", "left out; --cfg-interval does likewise");
  }
  if (const json& scale = member(values, "uncond_scale"); scale.is_number() && scale != 1.0) {
    request.warn("uncond_scale", "no counterpart here, left out");
  }
  for (const char* listed : {"reference_image_multiple", "v4_prompt", "characterPrompts"}) {
    const json& value = member(values, listed);
    if (!value.is_null() && !value.empty()) request.warn(listed, "no counterpart here, left out");
  }
  request.warn("model", "NovelAI's models are its own; --model gives one like it");
  return request.finish();
}

}  // namespace sdtorch
