// Every token that a tokenizer folder names: tokenizer_config.json, special_tokens_map.json, added_tokens.json and
// tokenizer.json, merged as transformers 5 merges them.
#pragma once

#include <cstdint>
#include <filesystem>
#include <initializer_list>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "text/added_tokens.hpp"
#include "text/tokenizer_json.hpp"

namespace sdtorch {

/// A token that the files name; its id where they say one.
struct NamedToken {
  AddedToken token{};
  std::optional<int64_t> id{};
  std::string file{}, place{};  ///< where it is named, for messages
};

/// The tokens that a class of tokenizer has by itself, by key (bos_token …).
using TokenDefaults = std::map<std::string, std::string>;

/// All that the files say about tokens.
class TokenNames {
 public:
  /// tokenizer_json: the folder's, where it has one.
  TokenNames(const std::filesystem::path& folder, const std::optional<JsonFile>& tokenizer_json,
             TokenDefaults defaults);

  const JsonFile& config() const { return config_; }

  /// The token under `key`, a default's or one that the files name, with the flags that the list of added tokens gives
  /// it.
  NamedToken named(const std::string& key) const;

  /// Every token that is to be added, in order, each with its id where a file says it; a later one replaces an equal
  /// content.
  std::vector<NamedToken> to_add() const;

 private:
  /// A token as a file spells it: a string, or an object of flags.
  struct Spelled {
    AddedToken token;
    bool plain;  ///< a string: equal to another string only, until it becomes a token
    std::string file, place;

    bool same(const Spelled& other) const { return plain == other.plain && token == other.token; }
  };

  static Spelled plain(std::string content, const std::string& file, const std::string& place);
  static Spelled token_object(const nlohmann::json& value, const std::string& file, const std::string& place,
                              bool force_special);
  static Spelled spelled(const nlohmann::json& value, const std::string& file, const std::string& place,
                         bool force_special);
  static std::vector<Spelled> spelled_list(const nlohmann::json& list, const std::string& file,
                                           const std::string& place);

  Spelled find(const std::string& key) const;
  std::vector<std::string> keys_in_order() const;
  void take(const std::string& key, const nlohmann::json& value, const std::string& file, bool force_special);
  void take_extra(const std::string& key, const nlohmann::json& value, const std::string& file);
  void read_config(const std::filesystem::path& file);
  void read_special_map(const std::filesystem::path& file);
  void read_added(const std::filesystem::path& file);
  void read_tokenizer_file(const JsonFile& file);
  void list(int64_t id, const Spelled& token);

  std::string folder_;
  TokenDefaults defaults_;
  JsonFile config_;
  std::map<std::string, Spelled> named_;       // bos_token …
  std::vector<std::string> own_keys_;          // `…_token` keys as they were met
  std::vector<Spelled> extra_;                 // additional special tokens
  std::map<int64_t, Spelled> by_id_;           // added tokens with the ids that files give them
  std::map<std::string, Spelled> by_content_;  // the same by content, the last read of equal ones
  bool has_decoder_ = false, has_extra_ = false;
};

/// What tokenizer_config.json says beyond tokens.
struct TokenizerSettings {
  int64_t model_max_length = 77;
  bool split_special_tokens = false;  ///< special tokens in the text are split like any other
};

/// Throws ErrorKind::model for a class that is none of `classes` and for settings that are not followed here.
TokenizerSettings read_settings(const JsonFile& config, std::initializer_list<std::string_view> classes);

}  // namespace sdtorch
