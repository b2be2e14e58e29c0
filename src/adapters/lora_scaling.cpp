#include "adapters/lora_scaling.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cctype>
#include <cmath>
#include <nlohmann/json.hpp>
#include <string_view>
#include <system_error>
#include <utility>

#include "core/error.hpp"
#include "io/json.hpp"

namespace sdtorch {
namespace {

constexpr const char* peft_config_name = "adapter_config.json";
constexpr const char* diffusers_metadata = "lora_adapter_metadata";
constexpr std::string_view lora_components[] = {"unet", "text_encoder", "text_encoder_2"};
constexpr double max_alpha = 1e9;
constexpr int64_t max_rank = 1 << 20;
constexpr int64_t max_terms = 100;

/// One PEFT config's keys, with or without a component before them.
class PeftReader {
 public:
  PeftReader(const nlohmann::json& json, std::string file, std::string prefix)
      : json_(json), file_(std::move(file)), prefix_(std::move(prefix)) {
    if (!json_.is_object()) fail(ErrorKind::model, file_, "", "an object was expected");
  }

  PeftConfig read() const {
    PeftConfig config;
    for (const char* key : {"alpha", "lora_alpha"}) {
      if (const auto* value = find(key)) config.alpha = number(key, *value);
    }
    if (const auto* value = find("r")) config.rank = whole("r", *value);
    config.rank_stabilised = flag("use_rslora", false);
    if (flag("fan_in_fan_out", false)) {
      fail(ErrorKind::model, file_, prefix_ + "fan_in_fan_out", "adapters of transposed layers are not read");
    }
    if (const auto* patterns = object("alpha_pattern")) {
      for (const auto& [name, value] : patterns->items()) {
        config.alpha_pattern.emplace_back(pattern("alpha_pattern", name), number("alpha_pattern", value));
      }
    }
    if (const auto* patterns = object("rank_pattern")) {
      for (const auto& [name, value] : patterns->items()) {
        config.rank_pattern.emplace_back(pattern("rank_pattern", name), whole("rank_pattern", value));
      }
    }
    if (const auto* mapping = object("auto_mapping"); mapping && mapping->contains("base_model_class")) {
      const auto& name = mapping->at("base_model_class");
      if (name.is_string()) config.model_class = name.get<std::string>();
    }
    config.constrained = flag("coft", false);
    if (const auto* value = find("eps")) config.constraint = number("eps", *value);
    if (!flag("use_cayley_neumann", true)) {
      config.neumann_terms.reset();
    } else if (const auto* value = find("num_cayley_neumann_terms")) {
      config.neumann_terms = std::min(whole("num_cayley_neumann_terms", *value), max_terms);
    }
    return config;
  }

 private:
  const nlohmann::json* find(const std::string& key) const {
    const auto found = json_.find(prefix_ + key);
    return found == json_.end() || found->is_null() ? nullptr : &*found;
  }

  const nlohmann::json* object(const char* key) const {
    const auto* value = find(key);
    if (value && !value->is_object()) fail(ErrorKind::model, file_, prefix_ + key, "an object was expected");
    return value;
  }

  bool flag(const char* key, bool fallback) const {
    const auto* value = find(key);
    if (!value) return fallback;
    if (!value->is_boolean()) fail(ErrorKind::model, file_, prefix_ + key, "true or false was expected");
    return value->get<bool>();
  }

  double number(const char* key, const nlohmann::json& value) const {
    if (value.is_number()) {
      const auto found = value.get<double>();
      if (std::isfinite(found) && std::abs(found) <= max_alpha) return found;
    }
    fail(ErrorKind::model, file_, prefix_ + key, fmt::format("a number was expected, found {}", value.dump()));
  }

  int64_t whole(const char* key, const nlohmann::json& value) const {
    if (value.is_number_integer()) {
      const auto found = value.get<int64_t>();
      if (found >= 0 && found <= max_rank) return found;
    }
    fail(ErrorKind::model, file_, prefix_ + key, fmt::format("a count was expected, found {}", value.dump()));
  }

  LayerPattern pattern(const char* key, const std::string& expression) const {
    if (auto pattern = LayerPattern::parse(expression)) return *std::move(pattern);
    fail(ErrorKind::model, file_, prefix_ + key, fmt::format("'{}' is no regular expression that is read", expression));
  }

  const nlohmann::json& json_;
  std::string file_, prefix_;
};

template <class Value>
std::optional<Value> by_pattern(const std::vector<std::pair<LayerPattern, Value>>& patterns,
                                const std::string& module) {
  for (const auto& [pattern, value] : patterns) {
    if (pattern.fits(module)) return value;
  }
  return std::nullopt;
}

/// Repetitions are written out when an expression is read, and walked through by recursion: no layer's name needs many.
bool repeats_too_often(const std::string& expression) {
  constexpr size_t longest_with_repetition = 200, most_digits = 2;
  const size_t brace = expression.find('{');
  if (brace == std::string::npos) return false;
  if (expression.size() > longest_with_repetition || expression.find('{', brace + 1) != std::string::npos) return true;
  size_t digits = 0;
  for (size_t at = brace + 1; at < expression.size() && expression[at] != '}'; ++at) {
    digits = std::isdigit(static_cast<unsigned char>(expression[at])) ? digits + 1 : 0;
    if (digits > most_digits) return true;
  }
  return false;
}

bool is_only_weights_file(const std::filesystem::path& file) {
  size_t found = 0;
  std::error_code ignored;
  const std::filesystem::path folder = file.has_parent_path() ? file.parent_path() : ".";
  for (const auto& entry : std::filesystem::directory_iterator(folder, ignored)) {
    const std::string ending = entry.path().extension().string();
    found += ending == ".safetensors" || ending == ".bin" || ending == ".pt" || ending == ".ckpt" ? 1 : 0;
  }
  return found == 1;
}

/// Whether an adapter_config.json beside the file is its own: in a folder of many it may be another's.
bool written_by_peft(const std::filesystem::path& file, const KeySet& keys) {
  const auto any = [&](std::string_view piece) {
    return std::ranges::any_of(keys, [&](const std::string& key) { return key.find(piece) != std::string::npos; });
  };
  return file.stem() == "adapter_model" || any("base_model.model.") || (any(".lora_A.") && is_only_weights_file(file));
}

/// Metadata are texts, and arguments in them texts again: "True", "true", "1".
bool says_yes(const nlohmann::json& value) {
  if (value.is_boolean()) return value.get<bool>();
  if (value.is_number()) return value.get<double>() != 0;
  if (!value.is_string()) return false;
  const auto text = value.get<std::string>();
  return text == "True" || text == "true" || text == "1" || text == "yes";
}

std::optional<double> number_in(const nlohmann::json& value) {
  if (value.is_number()) return value.get<double>();
  if (!value.is_string()) return std::nullopt;
  const nlohmann::json inner = nlohmann::json::parse(value.get<std::string>(), nullptr, /*allow_exceptions=*/false);
  return inner.is_number() ? std::optional(inner.get<double>()) : std::nullopt;
}

bool nearly(double a, double b) { return std::abs(a - b) <= 0.01 * std::abs(b); }  // α may have been rounded to bf16

}  // namespace

std::optional<LayerPattern> LayerPattern::parse(const std::string& expression) {
  constexpr size_t longest = 1000;
  if (expression.size() > longest || repeats_too_often(expression)) return std::nullopt;
  // Polynomial: no expression takes time that doubles with each letter of a name.
  const auto options = std::regex::ECMAScript | std::regex::nosubs | std::regex_constants::__polynomial;
  try {
    return LayerPattern(std::regex("(.*\\.)?(" + expression + ")", options));
  } catch (const std::regex_error&) {
    return std::nullopt;
  }
}

bool LayerPattern::fits(const std::string& module) const {
  return std::regex_match(module, whole_) || std::regex_match("text_model." + module, whole_);
}

LoraScaling::LoraScaling(const std::filesystem::path& file, const std::map<std::string, std::string>& metadata,
                         const KeySet& keys) {
  const std::filesystem::path beside = file.parent_path() / peft_config_name;
  if (std::filesystem::exists(beside) && written_by_peft(file, keys)) {
    peft_[""] = PeftReader(read_json_file(beside, ErrorKind::model), beside.string(), "").read();
  }
  if (const auto text = metadata.find(diffusers_metadata); text != metadata.end()) {
    const nlohmann::json json = parse_json(text->second, file.string(), ErrorKind::model);
    const std::string place = file.string() + ": " + diffusers_metadata;
    for (const std::string_view component : lora_components) {
      const std::string prefix = std::string(component) + ".";
      const bool said =
          std::ranges::any_of(json.items(), [&](const auto& item) { return item.key().starts_with(prefix); });
      if (said) peft_[std::string(component)] = PeftReader(json, place, prefix).read();
    }
    if (peft_.empty()) peft_[""] = PeftReader(json, place, "").read();
  }
  if (const auto module = metadata.find("ss_network_module"); module != metadata.end()) {
    lycoris_ = module->second.starts_with("lycoris");
    kohya_oft_ = module->second == "networks.oft";
  }
  if (const auto text = metadata.find("ss_network_alpha"); text != metadata.end()) {
    if (const auto alpha = number_in(text->second)) nominal_alphas_.push_back(*alpha);
  }
  const auto text = metadata.find("ss_network_args");
  if (text == metadata.end()) return;
  const nlohmann::json args = nlohmann::json::parse(text->second, nullptr, /*allow_exceptions=*/false);
  if (!args.is_object()) return;
  for (const char* key : {"rs_lora", "rslora", "use_rslora", "rank_stabilized"}) {
    if (args.contains(key) && says_yes(args.at(key))) rank_stabilised_ = true;
  }
  if (args.contains("conv_alpha")) {
    if (const auto alpha = number_in(args.at("conv_alpha"))) nominal_alphas_.push_back(*alpha);
  }
}

const PeftConfig& LoraScaling::peft(const std::string& component) const {
  static const PeftConfig none;
  const auto own = peft_.find(component);
  if (own != peft_.end()) return own->second;
  const auto any = peft_.find("");
  return any == peft_.end() ? none : any->second;
}

std::string LoraScaling::unprefixed_component() const {
  const std::string& name = peft("").model_class;
  if (name == "CLIPTextModel") return "text_encoder";
  if (name == "CLIPTextModelWithProjection") return "text_encoder_2";
  return name == "UNet2DConditionModel" ? "unet" : "";
}

bool LoraScaling::already_stabilised(const Given& given) const {
  // LyCORIS has written α·√r since 3.0, for α/r to be right without knowing; files from before, and its GLoRA, have α
  // as it was given. The metadata's α tells which.
  const double root = std::sqrt(static_cast<double>(given.rank));
  const auto is = [&](double factor) {
    return std::ranges::any_of(nominal_alphas_, [&](double alpha) { return nearly(*given.alpha, alpha * factor); });
  };
  if (is(root)) return true;
  if (is(1) || given.alpha_as_given) return false;
  return lycoris_;
}

double LoraScaling::factor(const LoraLayer& layer, const Given& given) const {
  const auto rank = static_cast<double>(given.rank);
  if (given.alpha) {
    if (*given.alpha == 0) return 1;  // as LyCORIS and kohya's tools read it: none was given
    return *given.alpha / (rank_stabilised_ && !already_stabilised(given) ? std::sqrt(rank) : rank);
  }
  const PeftConfig& config = peft(layer.component);
  const std::optional<double> special = by_pattern(config.alpha_pattern, layer.module);
  const std::optional<double> alpha = special ? special : config.alpha;
  if (!alpha) return 1;
  return *alpha / (config.rank_stabilised ? std::sqrt(rank) : rank);
}

std::optional<int64_t> LoraScaling::configured_rank(const LoraLayer& layer) const {
  const PeftConfig& config = peft(layer.component);
  const std::optional<int64_t> special = by_pattern(config.rank_pattern, layer.module);
  return special ? special : config.rank;
}

}  // namespace sdtorch
