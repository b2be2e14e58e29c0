// Reads the infotext that A1111 and its kin (Forge, SD.Next, Civitai) write into pictures.
#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <nlohmann/json.hpp>
#include <optional>
#include <utility>

#include "core/error.hpp"
#include "core/log.hpp"
#include "core/number.hpp"
#include "core/suggest.hpp"
#include "core/utf8.hpp"
#include "diffusion/sampler.hpp"
#include "diffusion/schedules.hpp"
#include "pipeline/metadata.hpp"
#include "pipeline/pipeline_description.hpp"
#include "pipeline/settings.hpp"
#include "sdtorch/pipeline.hpp"

namespace sdtorch {
namespace {

using Entries = std::vector<std::pair<std::string, std::string>>;

constexpr size_t shown_bytes = 60;  // of an entry, in warnings
constexpr std::string_view negative_mark = "Negative prompt:";

/// Entries that only name things, or tell nothing that a request needs: left out in silence.
constexpr std::array<std::string_view, 7> silent = {"Model",   "Model hash", "VAE hash",   "Note",
                                                    "Version", "Hashes",     "Lora hashes"};

std::string_view trimmed(std::string_view text) {
  constexpr std::string_view blank = " \t\r\n";
  const size_t first = text.find_first_not_of(blank);
  return first == std::string_view::npos ? "" : text.substr(first, text.find_last_not_of(blank) - first + 1);
}

/// Behind the quoted string or the JSON object or array at the text's start; 0 where there is none, or it has no end.
size_t json_end(std::string_view text) {
  size_t depth = 0;
  bool quoted = false;
  for (size_t i = 0; i < text.size(); ++i) {
    const char c = text[i];
    if (quoted && c == '\\') ++i;
    if (c == '"') quoted = !quoted;
    if (!quoted && (c == '{' || c == '[')) ++depth;
    if (!quoted && (c == '}' || c == ']') && depth > 0) --depth;
    if (!quoted && depth == 0) return c == '"' || c == '}' || c == ']' ? i + 1 : 0;
  }
  return 0;
}

/// Where the value at the text's start ends: behind a quoted string or JSON, else at a comma or the line's end.
size_t value_end(std::string_view text) {
  const size_t end = json_end(text);
  const size_t next = std::min(text.find_first_not_of(" \t\r", end), text.size());
  if (end > 0 && (next == text.size() || text[next] == ',' || text[next] == '\n')) return next;
  return std::min(text.find_first_of(",\n"), text.size());
}

std::string unquoted(std::string_view value) {
  if (!value.starts_with('"')) return std::string(value);
  const nlohmann::json text = nlohmann::json::parse(value, nullptr, false);
  return text.is_string() ? text.get<std::string>() : std::string(value);
}

/// stable-diffusion.cpp writes UTF-8 where PNG says Latin-1. What no UTF-8 could be read as is left as it is.
std::string read_as_utf8(const std::string& text) {
  std::string bytes;
  for (size_t i = 0; i < text.size();) {
    const auto [c, length] = first_character(std::string_view(text).substr(i));
    if (length == 0 || c > 0xFF) return text;
    bytes += static_cast<char>(c);
    i += length;
  }
  return invalid_utf8_offset(bytes) ? text : bytes;
}

/// What extensions add below the settings, to the end.
bool begins_template(std::string_view line) {
  return line.starts_with("Template:") || line.starts_with("Negative Template:");
}

/// `Key: value, Key: "value, with a comma"` with anything else between them passed over: pieces of values that hold
/// raw commas and line breaks. Of a key that occurs twice, the first counts.
Entries read_entries(std::string_view text) {
  Entries entries;
  while (!(text = trimmed(text)).empty() && !begins_template(text)) {
    const size_t piece = std::min(text.find_first_of(",\n"), text.size());
    const size_t colon = text.find(':');
    size_t end = piece;
    if (colon < piece) {
      const size_t start = std::min(text.find_first_not_of(" \t", colon + 1), text.size());
      end = start + value_end(text.substr(start));
      const std::string key(trimmed(text.substr(0, colon)));
      const bool again = std::ranges::any_of(entries, [&](const auto& entry) { return entry.first == key; });
      if (!again) entries.emplace_back(key, unquoted(trimmed(text.substr(start, end - start))));
    }
    text.remove_prefix(std::min(end + 1, text.size()));
  }
  return entries;
}

/// Whether a value in quotes is begun and not ended, or ended where one is open: an odd number of quotes that no
/// backslash stands before.
bool has_open_quote(std::string_view line) {
  bool open = false;
  for (size_t i = 0; i < line.size(); ++i) {
    if (line[i] == '\\') {
      ++i;
    } else if (line[i] == '"') {
      open = !open;
    }
  }
  return open;
}

/// Where the line of settings starts: the last that begins with `Steps:` and has three entries, as A1111 counts them,
/// since prompts and what follows may have such a line, too. Else the last one with fewer, else a last line that has
/// `Steps:` among its entries.
size_t find_settings(std::string_view text) {
  constexpr size_t fewest = 3;
  size_t found = std::string_view::npos, found_short = std::string_view::npos, last = 0;
  bool quoted = false;  // inside a value that a line of settings begins
  for (size_t start = 0; start < text.size();) {
    const size_t end = std::min(text.find('\n', start), text.size());
    const std::string_view line = trimmed(text.substr(start, end - start));
    const bool settled = found != std::string_view::npos;
    if (settled && !quoted && begins_template(line)) break;
    last = start;
    if (quoted) {
      quoted = !has_open_quote(line);
    } else if (line.starts_with("Steps:")) {
      const bool whole = read_entries(line).size() >= fewest;
      (whole ? found : found_short) = start;
      quoted = whole && has_open_quote(line);
    }
    start = end + 1;
  }
  if (found != std::string_view::npos) return found;
  if (found_short != std::string_view::npos) return found_short;
  const Entries entries = read_entries(text.substr(last));
  const bool steps = std::ranges::any_of(entries, [](const auto& entry) { return entry.first == "Steps"; });
  return steps && entries.size() >= fewest ? last : std::string_view::npos;
}

/// The prompt, and the negative prompt from the first line with its mark on; later marks are left out, as A1111 does.
void set_prompts(Settings& request, std::string_view text) {
  std::optional<std::string> negative;
  std::string prompt;
  for (size_t start = 0; start <= text.size();) {
    const size_t end = std::min(text.find('\n', start), text.size());
    std::string_view line = text.substr(start, end - start);
    const bool marked = trimmed(line).starts_with(negative_mark);
    if (marked) line = trimmed(trimmed(line).substr(negative_mark.size()));
    if (marked && !negative) {
      negative = line;
    } else {
      std::string& part = negative ? *negative : prompt;
      if (start > 0) part += '\n';
      part += line;
    }
    start = end + 1;
  }
  request.prompt = prompt;
  if (negative) request.negative_prompt = trimmed(*negative);
}

[[noreturn]] void fail_entry(const std::string& file, const std::string& entry, const std::string& reason,
                             const std::string& hint = "") {
  const std::string place = entry.empty() ? "parameters" : "parameters: " + entry;
  throw Error(ErrorKind::input, {.file = file, .place = place, .reason = reason, .hint = hint});
}

void set(Settings& request, const Setting& setting, const std::string& entry, const std::string& value,
         const std::string& file) {
  try {
    set_from_text(request, setting, entry, value);
  } catch (const Error& error) {
    fail_entry(file, entry, error.parts().reason, error.parts().hint);
  }
}

void set_size(Settings& request, const std::string& value, const std::string& file) {
  const size_t times = value.find('x');
  if (times == std::string::npos) fail_entry(file, "Size", fmt::format("'{}' is not WIDTHxHEIGHT", value));
  set(request, *find_setting("width"), "Size", std::string(trimmed(value.substr(0, times))), file);
  set(request, *find_setting("height"), "Size", std::string(trimmed(value.substr(times + 1))), file);
}

void warn(const std::string& file, const std::string& entry, const std::string& value, const std::string& what) {
  log_warning(fmt::format("{}: parameters: {}: '{}' {}", file, entry, shortened(value, shown_bytes), what));
}

/// A picture of another program's sampler is still a picture to start from.
void set_known_sampler(Settings& request, const std::string& value, const std::string& file) {
  if (parse_sampler_name(value).sampler) return set(request, *find_setting("sampler"), "Sampler", value, file);
  warn(file, "Sampler", value,
       "is none of ours, so that the model's own draws; --sampler takes another: " + nearest_or_similar(value));
}

void set_schedule(Settings& request, const std::string& value, const std::string& file) {
  const SigmaSchedule* schedule = find_schedule(value);
  if (schedule && schedule->levels) {
    request.scheduler = std::string(schedule->name);
  } else if (!schedule) {
    const std::string_view nearest = nearest_schedule(value);
    warn(file, "Schedule type", value,
         nearest.empty() ? "is none of ours and is left out; --scheduler takes another"
                         : fmt::format("is none of ours and is left out; --scheduler {} comes nearest", nearest));
  } else if (request.scheduler == schedule->name &&
             request.compat != "a1111") {  // else the sampler's name has said one
    warn(file, "Schedule type", value, "is the model's own here; elsewhere it may be Karras or Exponential");
  }
}

/// What the sampler has no use for is told by leave_unused.
void set_eta(Settings& request, const std::string& entry, const std::string& value, const std::string& file) {
  const auto eta = parse_real(value);
  if (!eta || *eta < 0 || *eta > 1) return warn(file, entry, value, "is not a number of 0…1 and is left out");
  request.eta = *eta;
}

/// Models that enlarge pictures, and other filters, come nearest to Lanczos'.
void set_upscaler(Settings& request, const std::string& value, const std::string& file) {
  const auto known = std::ranges::find(hires_upscalers, value, &HiresUpscaler::label);
  const bool latent = value.starts_with("Latent");
  const bool same = known != hires_upscalers.end() || value == "None";  // which is A1111's other name of Lanczos
  request.hires_upscaler = known != hires_upscalers.end() ? known->name : latent ? "latent" : "lanczos";
  if (!same) warn(file, "Hires upscaler", value, "is none of ours: " + *request.hires_upscaler + " takes its place");
}

/// A1111's other way to say how large a second pass is, as `1024x0` or `1024x768`: false where that is another shape
/// than the first pass's, of which it cuts off what stands out, or the size is not known.
bool set_scale_from_size(Settings& request, const std::string& value) {
  const auto larger = parse_pixel_pair(value);
  if (!larger || !request.width || !request.height) return false;
  const auto scale_of = [](int64_t wanted, int64_t own) {
    const double scale = static_cast<double>(wanted) / static_cast<double>(own);
    const bool short_of_it = static_cast<int64_t>(static_cast<double>(own) * scale) < wanted;
    return short_of_it ? std::nextafter(scale, 2 * scale) : scale;
  };
  const double across = scale_of(larger->horizontal, *request.width);
  const double down = scale_of(larger->vertical, *request.height);
  if (across > 0 && down > 0 && std::abs(across - down) > 1e-9) return false;
  request.hires_scale = std::max(across, down);
  return true;
}

/// The strength of a picture with a second pass is that pass's; what else is said of one means nothing without.
void settle_hires(Settings& request, const std::string& file) {
  if (request.hires_scale) {
    request.hires_strength = std::exchange(request.strength, std::nullopt);
  } else if (request.hires_steps || request.hires_upscaler) {
    log_warning(
        fmt::format("{}: parameters: the second pass is left out, since Hires upscale does not say how large "
                    "it is; --hires-scale does",
                    file));
    request.hires_steps.reset();
    request.hires_upscaler.reset();
  }
}

/// Whether an entry asks for what is done anyway. stable-diffusion.cpp's clip skip is the model's own below 1; another
/// size's noise is none in A1111 where a side is 0 or less, and what its API did without was -1x-1.
bool is_usual(const std::string& entry, const std::string& value) {
  if (entry == "Clip skip") return value == "1" || value == "0" || value == "-1";
  const auto size = entry == "Seed resize from" ? parse_pixel_pair(value) : std::nullopt;
  return size && (size->horizontal <= 0 || size->vertical <= 0);
}

/// A1111's CPU, GPU and NV, stable-diffusion.cpp's cuda, cpu and std_default.
void set_source(std::optional<std::string>& to, const std::string& entry, const std::string& value,
                const std::string& file) {
  const std::string name = ascii_lower(value);
  if (name == "cpu") {
    to = "cpu";
  } else if (name == "cuda" || name == "gpu" || name == "nv") {
    to = "cuda";
  } else {
    warn(file, entry, value, "is none of ours and is left out; --rng takes cpu or cuda");
  }
}

/// The tool that wrote the entries, whose rules its seed follows; nothing for our own.
std::optional<std::string> tool_of(const Entries& entries) {
  const auto value = [&](std::string_view key) {
    const auto found = std::ranges::find(entries, key, &std::pair<std::string, std::string>::first);
    return found == entries.end() ? std::string_view() : std::string_view(found->second);
  };
  const std::string_view version = value("Version");
  if (version.starts_with("sdtorch")) return std::nullopt;
  if (version.find("stable-diffusion.cpp") != std::string_view::npos) return "sdcpp";
  if (version.starts_with("ComfyUI") || version.starts_with("Fooocus")) return "comfy";
  return value("App") == "SD.Next" ? "diffusers" : "a1111";
}

/// A version below 1.9 of A1111's, which Forge's name behind their own: v1.8.0, f0.0.17v1.8.0rc.
bool is_before_schedules(std::string_view version) {
  const size_t at = version.find("v1.");
  const std::string_view minor = at == std::string_view::npos ? "" : version.substr(at + 3);
  return (at == 0 || version.starts_with('f')) && minor.size() > 1 && minor[0] >= '0' && minor[0] < '9' &&
         minor[1] == '.';
}

/// A1111 before 1.9 had the schedule in the sampler's name, and `normal` where it was not.
void settle_schedule_of_old(Settings& request, const Entries& entries) {
  bool old = false;
  for (const auto& [entry, value] : entries) {
    if (entry == "Schedule type") return;
    old = old || (entry == "Version" && is_before_schedules(value));
  }
  const Sampler* sampler = request.sampler ? find_sampler(*request.sampler) : nullptr;
  const bool open = request.scheduler == Settings{}.scheduler && request.sigmas.empty();
  if (old && open && sampler && sampler->has_schedules) request.scheduler = "normal";
}

/// False: the entry has no counterpart here.
bool set_entry(Settings& request, const std::string& entry, const std::string& value, const std::string& file) {
  if (is_usual(entry, value)) return true;
  if (entry == "Size") return set_size(request, value, file), true;
  if (entry == "Sampler") return set_known_sampler(request, value, file), true;
  if (entry == "Schedule type") return set_schedule(request, value, file), true;
  if (entry == "Hires upscaler") return set_upscaler(request, value, file), true;
  if (entry == "Hires resize" && set_scale_from_size(request, value)) return true;
  if (entry == "RNG") return set_source(request.rng, entry, value, file), true;
  if (entry == "Sampler RNG") return set_source(request.sampler_rng, entry, value, file), true;
  if (entry == "SGM noise multiplier" && value == "True") return request.noise_scaling = "sgm", true;
  if (entry == "Discard penultimate sigma" && value == "True") return request.discard_next_to_last = "yes", true;
  if (entry == "Eta" || entry == "Eta DDIM") return set_eta(request, entry, value, file), true;
  const Setting* setting = entry == "Size-1"   ? find_setting("width")
                           : entry == "Size-2" ? find_setting("height")
                                               : find_setting_by_label(entry);
  if (setting) return set(request, *setting, entry, value, file), true;
  return std::ranges::find(silent, entry) != silent.end();
}

/// Other programs write dozens of them: one line names them all.
void warn_of_others(const Entries& others, const std::string& file) {
  std::string list;
  for (const auto& [entry, value] : others) {
    list +=
        fmt::format("{}{}: {}", list.empty() ? "" : ", ", shortened(entry, shown_bytes), shortened(value, shown_bytes));
  }
  std::ranges::replace(list, '\n', ' ');
  if (!list.empty()) log_warning(fmt::format("{}: parameters: no counterpart here, left out: {}", file, list));
}

/// A flag's name as the entry that it came from.
std::string entry_of(std::string_view flag) {
  if (flag.starts_with("--")) flag.remove_prefix(2);
  if (flag == "width" || flag == "height") return "Size";
  const Setting* setting = find_setting(flag);
  return std::string(setting && !setting->label.empty() ? setting->label : flag);
}

/// Sets back what depends on a sampler that is not known.
void leave_samplers_part(Settings& request, const std::string& file) {
  Settings without = request;
  without.eta.reset();
  without.scheduler = Settings{}.scheduler;
  without.sigmas.clear();
  without.spacing.reset();
  if (without == request) return;
  log_warning(fmt::format("{}: parameters: schedule and eta are left out, since the sampler is not known", file));
  request = without;
}

[[noreturn]] void fail_without_settings(const std::string& text, const std::string& file) {
  if (text.starts_with('{') && nlohmann::json::accept(text)) {
    fail_entry(file, "", "is JSON, as SwarmUI and Fooocus write it, and not A1111's text", "give its values as flags");
  }
  fail_entry(file, "", "the last line does not start with Steps:");
}

/// What only some models know, where another kind is to draw now. Reads the model's configs only then, and once.
void leave_to_other_models(Settings& request, const auto& from_picture, const auto& left_out) {
  std::optional<CheckedModel> model;
  const auto leave_unless = [&](std::string_view name, auto member, const auto& has_use_for_it) {
    if (!(request.*member) || !from_picture(name)) return;
    if (!model) model = Pipeline::check(request);
    if (has_use_for_it(model->description().model)) return;
    left_out(name, fmt::format("{} has no use for it", model->name()));
    (request.*member).reset();
  };
  const auto is_xl = [](const ModelDescription& described) { return described.xl.has_value(); };
  leave_unless("image-cfg-scale", &Settings::image_cfg_scale,
               [](const ModelDescription& described) { return described.task == Task::instruct_pix2pix; });
  leave_unless("original-size", &Settings::original_size, is_xl);
  leave_unless("crop", &Settings::crop, is_xl);
  leave_unless("target-size", &Settings::target_size, is_xl);
}

}  // namespace

void leave_unused(Settings& request, std::span<const std::string> given, const std::string& file) {
  const auto from_picture = [&](std::string_view name) { return std::ranges::find(given, name) == given.end(); };
  const auto left_out = [&](std::string_view name, std::string_view reason) {
    log_warning(fmt::format("{}: {} is left out: {}", file, name, reason));
  };
  leave_to_other_models(request, from_picture, left_out);
  if (request.hires_scale && !request.init_img.empty() && from_picture("hires-scale")) {
    left_out("hires-scale", "it does not go with --init-img");
    request.hires_scale.reset();
    request.hires_steps.reset();
    request.hires_strength.reset();
    request.hires_upscaler.reset();
  }
  if (request.strength && request.init_img.empty() && from_picture("strength")) {
    left_out("strength", "the picture that was started from is not named; --init-img names one");
    request.strength.reset();
  }
  if (request.expand && request.init_img.empty() && from_picture("expand")) {
    left_out("expand", "the picture that was expanded is not named; --init-img names one");
    request.expand.reset();
  }
  if (request.mask_blur != 0 && !has_mask(request) && from_picture("mask-blur")) {
    left_out("mask-blur", "the mask is not named; --mask names one");
    request.mask_blur = 0;
  }
  const Settings usual;
  const bool listed = !request.sigmas.empty();
  if (listed && from_picture("sigmas") &&
      !(from_picture("steps") && from_picture("scheduler") && from_picture("spacing"))) {
    left_out("sigmas", "a flag says otherwise");
    request.sigmas.clear();
  } else if (listed && !from_picture("sigmas")) {
    if (from_picture("scheduler")) request.scheduler = usual.scheduler;
    if (from_picture("spacing")) request.spacing.reset();
  }
  const Sampler* sampler = request.sampler ? find_sampler(*request.sampler) : nullptr;
  if (!sampler) return;
  const std::string reason = fmt::format("{} has no use for it", sampler->name);
  if (request.eta && !sampler->uses_eta && from_picture("eta")) {
    left_out("eta", reason);
    request.eta.reset();
  }
  if (request.spacing && !sampler->uses_spacing && from_picture("spacing")) {
    left_out("spacing", reason);
    request.spacing.reset();
  }
  if (sampler->has_schedules) return;
  if (request.scheduler != usual.scheduler && from_picture("scheduler")) {
    left_out("scheduler", reason);
    request.scheduler = usual.scheduler;
  }
  if (!request.sigmas.empty() && from_picture("sigmas")) {
    left_out("sigmas", reason);
    request.sigmas.clear();
  }
}

Error as_error_of_picture(const Error& error, std::span<const std::string> given, const std::string& file) {
  ErrorParts parts = error.parts();
  const bool of_flag = error.kind() == ErrorKind::usage && parts.file.starts_with("--");
  if (!of_flag || std::ranges::find(given, parts.file.substr(2)) != given.end()) return error;
  parts.place = "parameters: " + entry_of(parts.file);
  parts.file = file;
  return Error(ErrorKind::input, std::move(parts));
}

Settings parse_parameters(const std::string& text, const std::string& file) {
  std::string whole = text.substr(0, text.find_last_not_of(" \t\r\n") + 1);
  if (whole.find("Version: stable-diffusion.cpp") != std::string::npos) whole = read_as_utf8(whole);
  for (size_t at = 0; (at = whole.find("\r\n", at)) != std::string::npos;) whole.erase(at, 1);
  std::ranges::replace(whole, '\r', '\n');
  const size_t settings = find_settings(whole);
  if (settings == std::string::npos) fail_without_settings(whole, file);
  Settings request;
  set_prompts(request, std::string_view(whole).substr(0, settings > 0 ? settings - 1 : 0));
  const Entries entries = read_entries(std::string_view(whole).substr(settings));
  request.compat = tool_of(entries);
  // SD.Next reads prompts as A1111 does, and weighs them as compel.
  if (request.compat == "diffusers") request.prompt_syntax = "a1111", request.prompt_weighting = "compel";
  Entries others;
  for (const auto& [entry, value] : entries) {
    if (!set_entry(request, entry, value, file)) others.emplace_back(entry, value);
  }
  warn_of_others(others, file);
  if (request.compat == "a1111") settle_schedule_of_old(request, entries);
  settle_hires(request, file);
  if (!request.sampler) leave_samplers_part(request, file);
  if (!request.sigmas.empty()) request.scheduler = Settings{}.scheduler;
  Settings checked = request;
  if (checked.strength || checked.expand || checked.mask_blur != 0) checked.init_img = "the one that a flag may name";
  if (checked.mask_blur != 0) checked.mask = checked.init_img;
  try {
    checked.validate();
  } catch (const Error& error) {
    fail_entry(file, entry_of(error.parts().file), error.parts().reason, error.parts().hint);
  }
  return request;
}

}  // namespace sdtorch
