#include "pipeline/metadata.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <fstream>
#include <nlohmann/json.hpp>

#include "core/error.hpp"
#include "diffusion/sampler.hpp"
#include "io/json.hpp"
#include "pipeline/foreign_metadata.hpp"
#include "pipeline/lora_metadata.hpp"
#include "pipeline/settings_json.hpp"

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

/// FILE[=TOKEN]: the longest file that is there counts, as for the flag.
std::string anchored_embedding(const std::string& text) {
  std::error_code error;
  if (std::filesystem::exists(text, error)) return anchored(text);
  for (size_t at = text.rfind('='); at != std::string::npos && at > 0; at = text.rfind('=', at - 1)) {
    const std::string file = text.substr(0, at);
    if (std::filesystem::exists(file, error)) return anchored(file) + text.substr(at);
  }
  return text;
}

/// Width and height of a PNG whose chunks have been read: IHDR is the first of them.
std::pair<int64_t, int64_t> size_of_png(const std::filesystem::path& png) {
  constexpr size_t header_bytes = 24, width_at = 16, height_at = 20;
  std::array<unsigned char, header_bytes> header{};
  std::ifstream file(png, std::ios::binary);
  file.read(reinterpret_cast<char*>(header.data()), header.size());
  const auto number = [&](size_t at) {
    int64_t value = 0;
    for (size_t i = 0; i < 4; ++i) value = value * 256 + header.at(at + i);
    return value;
  };
  return {number(width_at), number(height_at)};
}

/// What other programs write in place of `parameters`.
struct ForeignText {
  std::string_view keyword, start, reason;  ///< of a text that starts with `start`
};
constexpr std::string_view invoke = "the picture carries InvokeAI's graph without its metadata, which is not read";
constexpr std::array<ForeignText, 2> foreign_texts = {
    {{"invokeai_graph", "", invoke}, {"invokeai_workflow", "", invoke}}};

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

/// sd-webui-controlnet's entry for each net.
std::string control_entries(const ModelChoice& choice, const Request& request) {
  const auto mode_label = [](const std::string& mode) {
    if (mode == "prompt") return "My prompt is more important";
    return mode == "control" ? "ControlNet is more important" : "Balanced";
  };
  std::string text;
  for (size_t i = 0; i < choice.control_net.size(); ++i) {
    const auto module = value_for<std::string>(request.control_preprocess, i, "none");
    const std::string entry =
        fmt::format("Module: {}, Model: {}, Weight: {}, Guidance Start: {}, Guidance End: {}, Control Mode: {}",
                    module.substr(0, module.find(':')), last_part(choice.control_net[i]),
                    value_for(request.control_strength, i, 1.0), value_for(request.control_start, i, 0.0),
                    value_for(request.control_end, i, 1.0),
                    mode_label(value_for<std::string>(request.control_mode, i, "balanced")));
    text += fmt::format(", ControlNet {}: {}", i, quoted(entry));
  }
  return text;
}

/// Of what sd-dynamic-thresholding, sd-webui-freeu and the like do, one entry a setting that is not at its default.
std::string entries_of(const Settings& settings, SettingGroup group) {
  const Settings defaults;
  std::string text;
  for (const Setting& setting : sdtorch::settings()) {
    if (setting.group != group || setting.label.empty()) continue;
    const auto value = text_of(settings, setting);
    if (value && value != text_of(defaults, setting)) text += fmt::format(", {}: {}", setting.label, quoted(*value));
  }
  return text;
}

}  // namespace

std::string model_name(const ModelChoice& choice) {
  return choice.model.empty() ? std::string(built_in_name) : last_part(choice.model);
}

std::string parameters_text(const ModelChoice& choice, const Picture& picture) {
  const Settings settings{choice, picture.request};
  const auto entry = [&](std::string_view name) {  // by the label of the setting's row; nothing where it is not set
    const Setting& setting = *find_setting(name);
    const auto value = text_of(settings, setting);
    return value ? fmt::format(", {}: {}", setting.label, quoted(*value)) : std::string();
  };
  std::string text = settings.prompt + lora_tags(settings);
  const std::string negative = settings.negative_prompt.value_or("");
  if (!negative.empty()) text += "\nNegative prompt: " + negative;
  text += "\n" + entry("steps").substr(2);
  if (const Sampler* sampler = find_sampler(picture.sampler)) text += fmt::format(", Sampler: {}", sampler->label);
  const SigmaSchedule* schedule = find_schedule(settings.scheduler);
  if (schedule && schedule->levels) text += fmt::format(", Schedule type: {}", schedule->label);
  text += entry("sigmas") + entry("cfg-scale") + entry("seed");
  if (settings.width && settings.height) text += fmt::format(", Size: {}x{}", *settings.width, *settings.height);
  text += ", Model: " + quoted(model_name(choice));
  if (!choice.vae.empty()) text += ", VAE: " + quoted(last_part(choice.vae));
  if (!choice.taesd.empty()) text += ", VAE Decoder: TAESD, TAESD: " + quoted(last_part(choice.taesd));
  if (settings.vae_tiling) text += entry("vae-tiling") + entry("vae-tile-size") + entry("vae-tile-overlap");
  if (!settings.init_img.empty()) {
    text += fmt::format(", Denoising strength: {}", strength_of(settings));
  }
  if (settings.hires_scale) {
    text += fmt::format(", Denoising strength: {}", settings.hires_strength.value_or(usual_hires_strength)) +
            entry("hires-scale");
    if (settings.hires_steps.value_or(0) > 0) text += entry("hires-steps");
    text += fmt::format(", Hires upscaler: {}", hires_upscaler_of(settings).label);
  }
  text += control_entries(choice, picture.request) + entry("image-cfg-scale");
  if (settings.inpaint_area != inpaint_area_names.front()) {
    text += ", Inpaint area: Only masked" + entry("mask-padding");
  }
  text += entry("expand");
  if (settings.mask_blur != 0) text += entry("mask-blur");
  text += entry("prediction") + entry("eta");
  if (settings.guidance_rescale != 0) text += entry("guidance-rescale");
  text +=
      entry("spacing") + entries_of(settings, SettingGroup::guidance) + entries_of(settings, SettingGroup::shortcuts);
  if (!choice.refiner.empty()) {
    text += fmt::format(", Refiner: {}, Refiner switch at: {}", quoted(last_part(choice.refiner)),
                        settings.refiner_start.value_or(usual_refiner_start));
  }
  if (const std::string hashes = lora_hashes(choice, picture.request); !hashes.empty()) {
    text += ", Lora hashes: " + quoted(hashes);
  }
  text += entries_of(settings, SettingGroup::elsewhere) + entry("original-size") + entry("crop") + entry("target-size");
  for (const std::string& note : picture.notes) text += ", Note: " + quoted(note);
  return text + ", Version: sdtorch " SDTORCH_VERSION;
}

std::vector<PngText> picture_metadata(const ModelChoice& choice, const Picture& picture) {
  Settings whole{choice, picture.request};
  whole.model = anchored(choice.model);
  whole.vae = anchored(choice.vae);
  whole.taesd = anchored(choice.taesd);
  whole.refiner = anchored(choice.refiner);
  whole.classifier = anchored(choice.classifier);
  whole.depth_estimator = anchored(choice.depth_estimator);
  whole.init_img = anchored(whole.init_img);
  whole.mask = anchored(whole.mask);
  whole.depth_img = anchored(whole.depth_img);
  whole.lora_dir = anchored(choice.lora_dir);
  whole.embd_dir = anchored(choice.embd_dir);
  whole.hypernetwork_dir = anchored(choice.hypernetwork_dir);
  for (std::string& lora : whole.lora) lora = anchored_lora(lora);
  for (std::string& network : whole.hypernetwork) network = anchored_lora(network);  // FILE[:W] is a part of its form
  for (std::string& word : whole.embedding) word = anchored_embedding(word);
  for (std::string& net : whole.control_net) net = anchored(net);
  for (std::string& file : whole.control_image) file = anchored(file);
  for (std::string& file : whole.ip_adapter) file = anchored(file);
  for (std::string& file : whole.ip_image) file = anchored(file);
  whole.ip_encoder = anchored(whole.ip_encoder);
  for (InputFile& input : whole.inputs) input.path = anchored(input.path);
  const std::string json = settings_to_json(whole).dump(-1, ' ', false, nlohmann::json::error_handler_t::replace);
  return {{parameters_keyword, parameters_text(choice, picture)}, {request_keyword, json}};
}

bool is_picture_of_ours(const std::filesystem::path& png) {
  const std::vector<PngText> texts = read_png_text(png);
  return std::ranges::any_of(texts, [](const PngText& text) { return text.keyword == request_keyword; });
}

Settings settings_from_picture(const std::filesystem::path& png, const std::string& lora_dir) {
  const std::string file = png.string();
  const std::vector<PngText> texts = read_png_text(png);
  const auto find = [&](std::string_view keyword) {
    return std::find_if(texts.begin(), texts.end(), [&](const PngText& text) { return text.keyword == keyword; });
  };
  if (const auto ours = find(request_keyword); ours != texts.end()) {
    const JsonSource source{.file = file, .place = request_keyword};
    return settings_from_json(parse_json(ours->text, file + ": " + request_keyword, ErrorKind::input), {}, source);
  }
  if (const auto theirs = find(parameters_keyword); theirs != texts.end()) {
    return parse_parameters(theirs->text, file);
  }
  const auto [width, height] = size_of_png(png);
  const PictureSource source{.file = file, .lora_dir = lora_dir, .width = width, .height = height};
  if (auto request = settings_from_foreign(texts, source)) return *request;
  fail_without_request(texts, file);
}

}  // namespace sdtorch
