// Reading a config.json key by key, so that no key goes unread and no value unchecked.
#pragma once

#include <cstdint>
#include <initializer_list>
#include <nlohmann/json.hpp>
#include <optional>
#include <set>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "nn/activation.hpp"

namespace sdtorch {

/// Inclusive bounds of an integer. The defaults admit every published model and keep sizes far from overflow.
struct IntegerRange {
  int64_t min = 1;
  int64_t max = 1 << 16;
};

using ActivationName = std::pair<std::string_view, Activation>;

/// Every getter marks its key as known and throws ErrorKind::model, naming file, key and value, where the value is
/// not what it asks for. A missing key is `fallback`; null counts as a value.
class ConfigReader {
 public:
  ConfigReader(const nlohmann::json& json, std::string file);

  bool has(const char* key) const { return json_.contains(key); }

  int64_t integer(const char* key, int64_t fallback, IntegerRange range = {});
  /// Finite, at most 1e30 in size.
  double number(const char* key, double fallback);
  double positive_number(const char* key, double fallback);
  bool boolean(const char* key, bool fallback);
  std::string text(const char* key, std::string_view fallback);
  std::vector<std::string> texts(const char* key, std::initializer_list<const char*> fallback);
  std::vector<int64_t> integers(const char* key, std::vector<int64_t> fallback, IntegerRange range = {});

  /// One value for all of `count`, or a list of one each.
  std::vector<int64_t> integer_for_each(const char* key, size_t count, int64_t fallback, IntegerRange range = {});
  std::vector<bool> boolean_for_each(const char* key, size_t count, bool fallback);

  Activation activation(const char* key, std::string_view fallback, std::span<const ActivationName> names);
  /// null: none.
  std::optional<Activation> optional_activation(const char* key, std::span<const ActivationName> names);

  /// True where the key is present and not null.
  bool given(const char* key);
  /// The value itself, marked as known, or nullptr.
  const nlohmann::json* value(const char* key);

  /// Keys that change no number here: known, whatever they say.
  void ignore(std::initializer_list<const char*> keys);
  /// Keys that change the numbers in a way that is not implemented: only these values, or null, pass.
  void only(const char* key, const nlohmann::json& supported);
  void only_null(std::initializer_list<const char*> keys);

  /// Throws for the first key that nobody asked for. Keys that start with `_` are notes of the writing library.
  void finish() const;

  /// Throws for `key`: "found VALUE, expected EXPECTED".
  [[noreturn]] void fail(const char* key, const std::string& expected) const;
  /// Throws for `key` with a reason of its own.
  [[noreturn]] void fail_because(const char* key, const std::string& reason) const;

  /// Checks one value of `key`.
  int64_t as_integer(const char* key, const nlohmann::json& value, IntegerRange range) const;

 private:
  const nlohmann::json& json_;
  std::string file_;
  std::set<std::string, std::less<>> known_;
};

}  // namespace sdtorch
