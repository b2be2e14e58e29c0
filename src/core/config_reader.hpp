// Reading a config's JSON key by key, so that no key goes unread and no value unchecked: the networks' config.json and
// the schedulers' scheduler_config.json.
#pragma once

#include <cstdint>
#include <initializer_list>
#include <nlohmann/json.hpp>
#include <set>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "core/read_options.hpp"

namespace sdtorch {

/// Inclusive bounds of an integer. The defaults admit every published model and keep sizes far from overflow.
struct IntegerRange {
  int64_t min = 1;
  int64_t max = 1 << 16;
};

/// Every getter marks its key as known and throws ErrorKind::model, as `FILE: KEY: expected …, found …`, where the
/// value is not what it asks for. A missing key is `fallback`.
///
/// null, as the reference takes it: a key that nobody knows is absent with it; a known one that can be without a value
/// is asked for by `given`, `flag` or `only`; for any other, null is no value, and an error.
class ConfigReader {
 public:
  /// json must outlive the reader. Throws ErrorKind::model where it is no object.
  ConfigReader(const nlohmann::json& json, std::string file, const ReadOptions& options = {});

  /// True where the key is present, whatever it says.
  bool has(const char* key) const { return json_.contains(key); }
  /// True where the key is present and not null.
  bool given(const char* key);
  /// The value itself, marked as known, or nullptr.
  const nlohmann::json* value(const char* key);

  int64_t integer(const char* key, int64_t fallback, IntegerRange range = {});
  /// Finite, at most 1e30 in size.
  double number(const char* key, double fallback);
  double positive_number(const char* key, double fallback);
  /// true or false. null is Python's false: allowed where the fallback says the same.
  bool boolean(const char* key, bool fallback);
  /// true or false, null being false whatever the fallback: the reference's optional flags.
  bool flag(const char* key, bool fallback);
  std::string text(const char* key, std::string_view fallback);
  std::vector<std::string> texts(const char* key, std::initializer_list<const char*> fallback);
  std::vector<int64_t> integers(const char* key, std::vector<int64_t> fallback, IntegerRange range = {});

  /// One value for all of `count`, or a list of one each.
  std::vector<int64_t> integer_for_each(const char* key, size_t count, int64_t fallback, IntegerRange range = {});
  std::vector<bool> boolean_for_each(const char* key, size_t count, bool fallback);

  /// Keys that change no number here: known, whatever they say.
  void ignore(std::span<const char* const> keys);
  void ignore(std::initializer_list<const char*> keys) { ignore(std::span(keys.begin(), keys.size())); }
  /// Keys that meant something to an older reference and mean nothing now: a warning where they say anything.
  void outdated(std::initializer_list<const char*> keys);
  /// Keys that change the numbers in a way that is not implemented: only these values, or null, pass.
  void only(const char* key, const nlohmann::json& supported);
  void only_null(std::initializer_list<const char*> keys);

  /// Throws for the first key that nobody asked for, or warns of each under ReadOptions::ignore_unknown. Those that are
  /// null, and those that start with `_`, notes of the writing library, pass.
  void finish() const;

  /// Throws for `key`: "expected EXPECTED, found VALUE".
  [[noreturn]] void fail(const char* key, const std::string& expected) const;
  /// The same, of one item in the key's list.
  [[noreturn]] void fail_item(const char* key, const nlohmann::json& item, const std::string& expected) const;
  /// Throws for `key` with a reason of its own.
  [[noreturn]] void fail_because(const char* key, const std::string& reason) const;

  /// Checks one value of `key`.
  int64_t as_integer(const char* key, const nlohmann::json& value, IntegerRange range) const;
  double as_number(const char* key, const nlohmann::json& value) const;

 private:
  /// A warning about one key, once a run.
  void warn(const std::string& key, const std::string& reason) const;

  const nlohmann::json& json_;
  std::string file_;
  ReadOptions options_;
  std::set<std::string, std::less<>> known_;
};

}  // namespace sdtorch
