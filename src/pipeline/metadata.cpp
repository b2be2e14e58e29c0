#include "pipeline/metadata.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <array>
#include <nlohmann/json.hpp>

#include "core/error.hpp"
#include "diffusion/sampler.hpp"
#include "io/json.hpp"
#include "pipeline/request_fields.hpp"
#include "pipeline/request_json.hpp"

namespace sdtorch {
namespace {

constexpr std::string_view built_in_name = "demo";
constexpr const char* parameters_keyword = "parameters";
constexpr const char* request_keyword = "sdtorch";

/// A1111 quotes as JSON what would otherwise end or split an entry. Paths may hold bytes that are not UTF-8.
std::string quoted(const std::string& value) {
  if (value.find_first_of(",\n:\"") == std::string::npos) return value;
  return nlohmann::json(value).dump(-1, ' ', false, nlohmann::json::error_handler_t::replace);
}

std::string last_part(const std::string& path) {
  const std::filesystem::path absolute = std::filesystem::absolute(path).lexically_normal();
  return (absolute.has_filename() ? absolute : absolute.parent_path()).filename().string();
}

/// Absolute where it is a path that exists.
std::string anchored(const std::string& path) {
  std::error_code error;
  if (path.empty() || !std::filesystem::exists(path, error)) return path;
  return std::filesystem::absolute(path).lexically_normal().string();
}

/// What other programs write in place of `parameters`.
struct ForeignText {
  std::string_view keyword, start, reason;  ///< of a text that starts with `start`
};
constexpr std::string_view comfy = "the picture carries a ComfyUI workflow, which is no list of parameters";
constexpr std::string_view invoke = "the picture carries InvokeAI's own metadata, which is not read";
constexpr std::string_view novel = "the picture carries NovelAI's own metadata, which is not read";
constexpr std::array<ForeignText, 9> foreign_texts = {{
    {"workflow", "{", comfy},
    {"prompt", "{", comfy},
    {"invokeai_metadata", "", invoke},
    {"invokeai_graph", "", invoke},
    {"invokeai_workflow", "", invoke},
    {"sd-metadata", "", invoke},
    {"Dream", "", invoke},
    {"Software", "NovelAI", novel},
    {"Source", "NovelAI", novel},
}};

[[noreturn]] void fail_without_request(const std::vector<PngText>& texts, const std::string& file) {
  for (const ForeignText& foreign : foreign_texts) {
    for (const PngText& text : texts) {
      if (text.keyword != foreign.keyword || !text.text.starts_with(foreign.start)) continue;
      fail(ErrorKind::input, file, text.keyword, std::string(foreign.reason), "give its values as flags");
    }
  }
  fail(ErrorKind::input, file, "", "the picture carries no request: neither a `sdtorch` nor a `parameters` text",
       "sdtorch inspect shows what it carries");
}

}  // namespace

std::string model_name(const Request& request) {
  return request.model.empty() ? std::string(built_in_name) : last_part(request.model);
}

std::string parameters_text(const Request& picture, const std::vector<std::string>& notes) {
  std::string text = picture.prompt;
  const std::string negative = picture.negative_prompt.value_or("");
  if (!negative.empty()) text += "\nNegative prompt: " + negative;
  text += fmt::format("\nSteps: {}", picture.steps);
  const Sampler* sampler = picture.sampler ? find_sampler(*picture.sampler) : nullptr;
  if (sampler) text += fmt::format(", Sampler: {}", sampler->label);
  const SigmaSchedule* schedule = find_schedule(picture.scheduler);
  if (schedule && schedule->levels) text += fmt::format(", Schedule type: {}", schedule->label);
  if (!picture.sigmas.empty())
    text += fmt::format(", Sigmas: {}", quoted(fmt::format("{}", fmt::join(picture.sigmas, ", "))));
  text += fmt::format(", CFG scale: {}, Seed: {}", picture.cfg_scale, picture.seed);
  if (picture.width && picture.height) text += fmt::format(", Size: {}x{}", *picture.width, *picture.height);
  text += ", Model: " + quoted(model_name(picture));
  if (!picture.vae.empty()) text += ", VAE: " + quoted(last_part(picture.vae));
  if (picture.prediction) text += ", Prediction: " + *picture.prediction;
  if (picture.eta) text += fmt::format(", Eta: {}", *picture.eta);
  if (picture.guidance_rescale != 0) text += fmt::format(", Guidance rescale: {}", picture.guidance_rescale);
  if (picture.spacing) text += ", Timestep spacing: " + *picture.spacing;
  if (!picture.refiner.empty()) {
    text += fmt::format(", Refiner: {}, Refiner switch at: {}", quoted(last_part(picture.refiner)),
                        picture.refiner_start.value_or(usual_refiner_start));
  }
  if (picture.original_size) text += ", Original size: " + to_string(*picture.original_size);
  if (picture.crop) text += ", Crop: " + to_string(*picture.crop);
  if (picture.target_size) text += ", Target size: " + to_string(*picture.target_size);
  for (const std::string& note : notes) text += ", Note: " + quoted(note);
  return text + ", Version: sdtorch " SDTORCH_VERSION;
}

std::vector<PngText> picture_metadata(const Request& picture, const Request& repeat,
                                      const std::vector<std::string>& notes) {
  Request whole = repeat;
  whole.model = anchored(repeat.model);
  whole.vae = anchored(repeat.vae);
  whole.refiner = anchored(repeat.refiner);
  const std::string json = request_to_json(whole).dump(-1, ' ', false, nlohmann::json::error_handler_t::replace);
  return {{parameters_keyword, parameters_text(picture, notes)}, {request_keyword, json}};
}

Request request_from_picture(const std::filesystem::path& png) {
  const std::string file = png.string();
  const std::vector<PngText> texts = read_png_text(png);
  const auto find = [&](std::string_view keyword) {
    return std::find_if(texts.begin(), texts.end(), [&](const PngText& text) { return text.keyword == keyword; });
  };
  if (const auto ours = find(request_keyword); ours != texts.end()) {
    const JsonSource source{.file = file, .place = request_keyword};
    return request_from_json(parse_json(ours->text, file + ": " + request_keyword, ErrorKind::input), {}, source);
  }
  if (const auto theirs = find(parameters_keyword); theirs != texts.end()) {
    Request request = parse_parameters(theirs->text, file);
    leave_unused(request, {}, file);
    return request;
  }
  fail_without_request(texts, file);
}

}  // namespace sdtorch
