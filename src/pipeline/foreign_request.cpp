#include "pipeline/foreign_request.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <filesystem>
#include <optional>

#include "core/error.hpp"
#include "core/log.hpp"
#include "core/suggest.hpp"
#include "core/utf8.hpp"
#include "diffusion/sampler.hpp"
#include "io/json.hpp"

namespace sdtorch {
namespace {

namespace fs = std::filesystem;
using nlohmann::json;

constexpr size_t shown_name_bytes = 80;  // of a name, in warnings
constexpr size_t most_files = 100'000;   // of a folder of LoRAs that are looked at
constexpr std::array<std::string_view, 5> weight_endings = {"", ".safetensors", ".pt", ".ckpt", ".bin"};

/// A value as a flag's text; nothing for what is none.
std::optional<std::string> flag_text(const json& value) {
  if (value.is_string()) return value.get<std::string>();
  if (value.is_boolean()) return value.get<bool>() ? "true" : "false";
  if (!value.is_number()) return std::nullopt;
  if (!value.is_number_float()) return value.dump();
  const auto number = value.get<double>();
  constexpr double exact = 0x1p53;  // up to here a whole number may be written as a real one
  if (number == std::floor(number) && std::abs(number) < exact) return fmt::format("{:.0f}", number);
  return value.dump();
}

/// A path as its program wrote it on another system.
std::string with_slashes(std::string name) {
  std::ranges::replace(name, '\\', '/');
  return name;
}

/// Whether a file is meant by a name that has its folders or not, and its ending or not.
bool is_named(const fs::path& file, const fs::path& name) {
  return std::ranges::any_of(weight_endings, [&](std::string_view ending) {
    return file.filename().string() == name.filename().string() + std::string(ending);
  });
}

/// What lies there under the name, or in the folder and those in it. Of files of one name those that lie as the name
/// says come first.
std::vector<std::string> files_named(const std::string& name, const std::string& folder) {
  std::error_code error;
  if (fs::is_regular_file(name, error)) return {name};
  for (const std::string_view ending : weight_endings) {
    const fs::path direct = fs::path(folder) / (name + std::string(ending));
    if (!folder.empty() && fs::is_regular_file(direct, error)) return {direct.string()};
  }
  std::vector<std::string> found;
  if (folder.empty()) return found;
  size_t seen = 0;
  for (fs::recursive_directory_iterator entry(folder, fs::directory_options::skip_permission_denied, error), end;
       !error && entry != end && seen < most_files; entry.increment(error), ++seen) {
    if (entry->is_regular_file(error) && is_named(entry->path(), name)) found.push_back(entry->path().string());
  }
  std::ranges::sort(found);
  return found;
}

}  // namespace

void ForeignRequest::take(std::string_view setting, const std::string& entry, const json& value) {
  if (value.is_null()) return;
  const auto text = flag_text(value);
  if (!text) fail_at(entry, fmt::format("is {}, not a number or a text", value.type_name()));
  try {
    set_from_text(settings, *find_setting(setting), entry, *text);
  } catch (const Error& error) {
    fail_at(entry, error.parts().reason, error.parts().hint);
  }
}

void ForeignRequest::take_sampler(const std::string& name) {
  if (parse_sampler_name(name).sampler) return take("sampler", "sampler", name);
  warn("sampler", fmt::format("'{}' is none of ours, so that the model's own draws; --sampler takes another: {}",
                              shortened(name, shown_name_bytes), nearest_or_similar(name)));
}

void ForeignRequest::take_schedule(const std::string& name) {
  if (const SigmaSchedule* schedule = find_schedule(name)) {
    settings.scheduler = std::string(schedule->name);
    return;
  }
  const std::string_view nearest = nearest_schedule(name);
  warn("scheduler", fmt::format("'{}' is none of ours and is left out; --scheduler takes {}",
                                shortened(name, shown_name_bytes), nearest.empty() ? "another" : nearest));
}

void ForeignRequest::take_lora(const std::string& name, double weight, double text_weight) {
  if (weight == 0 && text_weight == 0) return;
  const std::vector<std::string> files = files_named(with_slashes(name), source_.lora_dir);
  if (files.size() != 1) {
    return warn("LoRA", fmt::format("'{}' is left out: it was {}; {}", shortened(name, shown_name_bytes),
                                    files.empty() ? "not found" : fmt::format("found {} times", files.size()),
                                    files.empty() ? "--lora-dir says where it lies" : "--lora names one of them"));
  }
  settings.lora.push_back(weight == text_weight ? fmt::format("{}:{}", files.front(), weight)
                                                : fmt::format("{}:{}:{}", files.front(), weight, text_weight));
}

void ForeignRequest::take_vae(const std::string& name) {
  std::error_code error;
  const std::string path = with_slashes(name);
  if (fs::exists(path, error)) {
    settings.vae = path;
  } else {
    warn("VAE", fmt::format("'{}' is not looked for; --vae gives it", shortened(name, shown_name_bytes)));
  }
}

void ForeignRequest::warn(const std::string& entry, const std::string& what) const {
  log_warning(fmt::format("{}: {}: {}: {}", source_.file, chunk_, entry, what));
}

void ForeignRequest::fail_at(const std::string& entry, const std::string& reason, const std::string& hint) const {
  throw Error(ErrorKind::input, {.file = source_.file,
                                 .place = entry.empty() ? chunk_ : fmt::format("{}: {}", chunk_, entry),
                                 .reason = reason,
                                 .hint = hint});
}

Settings ForeignRequest::finish() {
  Settings checked = settings;
  if (checked.strength) checked.init_img = "the one that a flag may name";
  try {
    checked.validate();
  } catch (const Error& error) {
    std::string flag = error.parts().file;
    if (flag.starts_with("--")) flag.erase(0, 2);
    fail_at(flag, error.parts().reason, error.parts().hint);
  }
  return settings;
}

json parse_foreign_json(const PngText& text, const std::string& file) {
  std::string clean;
  const std::string_view whole = text.text;
  bool quoted = false;
  for (size_t i = 0; i < whole.size(); ++i) {
    if (!quoted && whole.substr(i).starts_with("NaN")) {
      clean += "null";
      i += 2;
      continue;
    }
    clean += whole[i];
    if (quoted && whole[i] == '\\' && i + 1 < whole.size())
      clean += whole[++i];
    else if (whole[i] == '"')
      quoted = !quoted;
  }
  return parse_json(clean, file + ": " + text.keyword, ErrorKind::input, {.max_depth = 256});
}

const PngText* find_text(const std::vector<PngText>& texts, std::string_view keyword) {
  const auto found = std::ranges::find(texts, keyword, &PngText::keyword);
  return found == texts.end() ? nullptr : &*found;
}

const json& member(const json& object, const std::string& key) {
  static const json none;
  const auto found = object.is_object() ? object.find(key) : object.end();
  return !object.is_object() || found == object.end() ? none : *found;
}

}  // namespace sdtorch
