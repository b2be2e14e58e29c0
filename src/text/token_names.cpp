// The config's added_tokens_decoder rules out the two older files; without it special_tokens_map.json overrides the
// config (Stable Diffusion 2 names its pad `!` only there).
#include "text/token_names.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <charconv>
#include <cmath>
#include <iterator>
#include <utility>

#include "core/error.hpp"

namespace sdtorch {
namespace {

using nlohmann::json;

int64_t token_id(std::string_view text, const std::string& file, const std::string& place) {
  int64_t id = -1;
  const auto [end, failure] = std::from_chars(text.data(), text.data() + text.size(), id);
  if (failure != std::errc() || end != text.data() + text.size() || id < 0)
    throw Error(ErrorKind::model, {.file = file, .place = place, .reason = "expected a token's id"});
  return id;
}

int64_t token_id(const json& value, const std::string& file, const std::string& place) {
  if (!value.is_number_integer() || value < 0 || value > INT32_MAX) fail_expected(file, place, "a token's id", value);
  return value.get<int64_t>();
}

}  // namespace

TokenNames::Spelled TokenNames::plain(std::string content, const std::string& file, const std::string& place) {
  return {.token = {.content = std::move(content), .normalized = false, .special = true},
          .plain = true,
          .file = file,
          .place = place};
}

/// value: {"content": …} with flags; `normalized` is the opposite of `special` where it is not said.
TokenNames::Spelled TokenNames::token_object(const json& value, const std::string& file, const std::string& place,
                                             bool force_special) {
  if (!value.is_object()) fail_expected(file, place, "a token", value);
  AddedToken token;
  std::optional<bool> normalized;
  bool has_content = false;
  for (const auto& [key, entry] : value.items()) {
    const std::string at = fmt::format("{}.{}", place, key);
    const auto flag = [&, &checked = entry] {
      if (!checked.is_boolean()) fail_expected(file, at, "true or false", checked);
      return checked.get<bool>();
    };
    if (key == "content") {
      if (!entry.is_string()) fail_expected(file, at, "a string", entry);
      token.content = entry.get<std::string>();
      has_content = true;
    } else if (key == "single_word") {
      token.single_word = flag();
    } else if (key == "lstrip") {
      token.lstrip = flag();
    } else if (key == "rstrip") {
      token.rstrip = flag();
    } else if (key == "normalized") {
      normalized = flag();
    } else if (key == "special") {
      token.special = flag();
    } else if (key != "__type" && key != "id") {
      throw Error(ErrorKind::model, {.file = file, .place = at, .reason = "not a property of a token"});
    }
  }
  if (!has_content) throw Error(ErrorKind::model, {.file = file, .place = place + ".content", .reason = "missing"});
  token.special = token.special || force_special;
  token.normalized = normalized.value_or(!token.special);
  return {.token = token, .plain = false, .file = file, .place = place};
}

TokenNames::Spelled TokenNames::spelled(const json& value, const std::string& file, const std::string& place,
                                        bool force_special) {
  return value.is_string() ? plain(value.get<std::string>(), file, place)
                           : token_object(value, file, place, force_special);
}

std::vector<TokenNames::Spelled> TokenNames::spelled_list(const json& list, const std::string& file,
                                                          const std::string& place) {
  if (!list.is_array()) fail_expected(file, place, "a list of tokens", list);
  std::vector<Spelled> tokens;
  for (size_t i = 0; i < list.size(); ++i)
    tokens.push_back(spelled(list[i], file, fmt::format("{}[{}]", place, i), true));
  return tokens;
}

TokenNames::TokenNames(const std::filesystem::path& folder, const std::optional<JsonFile>& tokenizer_json,
                       TokenDefaults defaults)
    : folder_(folder.string()), defaults_(std::move(defaults)) {
  if (const auto file = folder / "tokenizer_config.json"; std::filesystem::exists(file)) read_config(file);
  if (has_decoder_) return;
  if (const auto file = folder / "special_tokens_map.json"; std::filesystem::exists(file)) read_special_map(file);
  if (const auto file = folder / "added_tokens.json"; std::filesystem::exists(file)) read_added(file);
  if (tokenizer_json) read_tokenizer_file(*tokenizer_json);
}

TokenNames::Spelled TokenNames::find(const std::string& key) const {
  const auto found = named_.find(key);
  if (found == named_.end()) return plain(defaults_.at(key), folder_, key);
  const auto listed = by_content_.find(found->second.token.content);
  return listed == by_content_.end() ? found->second : listed->second;
}

NamedToken TokenNames::named(const std::string& key) const {
  const Spelled token = find(key);
  return {.token = token.token, .file = token.file, .place = token.place};
}

std::vector<NamedToken> TokenNames::to_add() const {
  std::vector<NamedToken> tokens;
  const auto append = [&](const Spelled& token, std::optional<int64_t> id) {
    tokens.push_back({.token = token.token, .id = id, .file = token.file, .place = token.place});
  };
  for (const auto& [id, token] : by_id_) append(token, id);

  // A name adds its token unless the list has its content, or an equal token has been added by name already.
  std::multimap<std::string, Spelled> by_name;
  const auto add = [&](const Spelled& token) {
    const std::string& content = token.token.content;
    const auto [first, last] = by_name.equal_range(content);
    if (by_content_.contains(content) ||
        std::any_of(first, last, [&](const auto& entry) { return entry.second.same(token); }))
      return;
    by_name.emplace(content, token);
    append(token, std::nullopt);
  };
  std::set<std::string> special;
  for (const std::string& key : keys_in_order()) {
    const Spelled token = find(key);
    special.insert(token.token.content);
    add(token);
  }
  for (const Spelled& token : extra_) add(token);
  for (NamedToken& named : tokens) named.token.special = named.token.special || special.contains(named.token.content);
  return tokens;
}

/// The standard names first, in transformers' order, then a model's own `…_token` keys in the file's.
std::vector<std::string> TokenNames::keys_in_order() const {
  std::vector<std::string> keys;
  for (const char* key : {"bos_token", "eos_token", "unk_token", "sep_token", "pad_token", "cls_token", "mask_token"}) {
    if (named_.contains(key) || defaults_.contains(key)) keys.emplace_back(key);
  }
  keys.insert(keys.end(), own_keys_.begin(), own_keys_.end());
  return keys;
}

void TokenNames::take(const std::string& key, const json& value, const std::string& file, bool force_special) {
  static constexpr std::string_view standard[] = {"bos_token", "eos_token", "unk_token", "pad_token",
                                                  "sep_token", "cls_token", "mask_token"};
  const bool is_standard = std::ranges::find(standard, key) != std::end(standard);
  if (key.ends_with("_token") && (value.is_string() || value.is_object())) {
    const bool is_new = named_.insert_or_assign(key, spelled(value, file, key, force_special)).second;
    if (is_new && !is_standard) own_keys_.push_back(key);
  } else if (is_standard && (defaults_.contains(key) || !value.is_null())) {
    fail_expected(file, key, "a token", value);
  }
}

void TokenNames::take_extra(const std::string& key, const json& value, const std::string& file) {
  if (value.is_object()) {
    for (const auto& [name, token] : value.items()) take(name, token, file, true);
  } else if (!value.is_null()) {
    const std::vector<Spelled> tokens = spelled_list(value, file, key);
    extra_.insert(extra_.end(), tokens.begin(), tokens.end());
  }
}

void TokenNames::read_config(const std::filesystem::path& file) {
  config_ = read_tokenizer_json(file);
  const json& root = config_.root;
  for (const std::string& key : keys_in_file_order(config_)) take(key, root[key], config_.file, false);
  const auto filled = [&](const char* key) { return root.contains(key) && !root[key].empty(); };
  if (filled("extra_special_tokens"))
    take_extra("extra_special_tokens", root["extra_special_tokens"], config_.file);
  else if (filled("additional_special_tokens"))
    take_extra("additional_special_tokens", root["additional_special_tokens"], config_.file);
  has_extra_ = root.contains("extra_special_tokens") || root.contains("additional_special_tokens");
  if (!root.contains("added_tokens_decoder")) return;
  has_decoder_ = true;
  const json& decoder = root["added_tokens_decoder"];
  if (!decoder.is_object()) fail_expected(config_.file, "added_tokens_decoder", "an object", decoder);
  for (const auto& [key, value] : decoder.items()) {
    const std::string place = "added_tokens_decoder." + key;
    list(token_id(std::string_view(key), config_.file, place), token_object(value, config_.file, place, false));
  }
}

void TokenNames::read_special_map(const std::filesystem::path& file) {
  const JsonFile map = read_tokenizer_json(file);
  for (const std::string& key : keys_in_file_order(map)) {
    const json& value = map.root[key];
    if (key == "extra_special_tokens" || (key == "additional_special_tokens" && !has_extra_))
      take_extra(key, value, map.file);
    else
      take(key, value, map.file, true);
  }
}

void TokenNames::read_added(const std::filesystem::path& file) {
  const JsonFile added = read_tokenizer_json(file);
  std::set<std::string> special;
  for (const auto& [key, token] : named_) special.insert(token.token.content);
  for (const Spelled& token : extra_) special.insert(token.token.content);
  for (const auto& [content, id] : added.root.items()) {
    Spelled token = plain(content, added.file, fmt::format("{:?}", content));
    token.plain = false;
    token.token.special = special.contains(content);
    token.token.normalized = !token.token.special;
    list(token_id(id, added.file, token.place), token);
  }
}

void TokenNames::read_tokenizer_file(const JsonFile& file) {
  if (!file.root.contains("added_tokens")) return;
  const json& tokens = file.root["added_tokens"];
  if (!tokens.is_array()) fail_expected(file.file, "added_tokens", "a list", tokens);
  for (size_t i = 0; i < tokens.size(); ++i) {
    const std::string place = fmt::format("added_tokens[{}]", i);
    const Spelled token = token_object(tokens[i], file.file, place, false);
    if (!tokens[i].contains("id"))
      throw Error(ErrorKind::model, {.file = file.file, .place = place + ".id", .reason = "missing"});
    list(token_id(tokens[i]["id"], file.file, place + ".id"), token);
  }
}

void TokenNames::list(int64_t id, const Spelled& token) {
  by_id_.insert_or_assign(id, token);
  by_content_.insert_or_assign(token.token.content, token);
}

TokenizerSettings read_settings(const JsonFile& config, std::initializer_list<std::string_view> classes) {
  TokenizerSettings settings;
  if (const json& name = config.value("tokenizer_class");
      !name.is_null() && std::ranges::find(classes, name.is_string() ? name.get<std::string>() : "") == classes.end())
    fail_expected(config.file, "tokenizer_class", fmt::format("{}", fmt::join(classes.begin(), classes.end(), " or ")),
                  name);
  if (const json& side = config.value("padding_side"); !side.is_null() && side != "right")
    fail_expected(config.file, "padding_side", "right", side);
  if (const json& split = config.value("split_special_tokens"); !split.is_null()) {
    if (!split.is_boolean()) fail_expected(config.file, "split_special_tokens", "true or false", split);
    settings.split_special_tokens = split.get<bool>();
  }
  const char* key = config.root.contains("model_max_length") ? "model_max_length" : "max_len";
  const json& length = config.value(key);
  if (length.is_null()) return settings;
  // transformers writes 10^30 for "not known".
  constexpr double unknown_from = 1e20, shortest = 3, longest = 1e6;
  if (length.is_number() && length.get<double>() >= unknown_from) return settings;
  const double tokens = length.is_number() ? length.get<double>() : 0;
  if (!(tokens >= shortest && tokens <= longest) || tokens != std::floor(tokens))
    fail_expected(config.file, key, fmt::format("a length of {} to {} tokens", shortest, longest), length);
  settings.model_max_length = static_cast<int64_t>(tokens);
  return settings;
}

}  // namespace sdtorch
