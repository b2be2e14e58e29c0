#include "jobs/sheet_layout.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <filesystem>
#include <optional>
#include <set>
#include <string_view>

#include "core/utf8.hpp"

namespace sdtorch {
namespace {

using nlohmann::json;

/// Keys of which no picture is another one.
constexpr std::array<std::string_view, 3> of_no_picture = {"inputs", "batch-count", "batch-size"};

/// Whose values are paths, of which the last part says enough.
constexpr std::array<std::string_view, 7> path_keys = {"model",    "vae",  "taesd",    "refiner",
                                                       "init-img", "mask", "depth-img"};

bool is_among(std::string_view key, std::span<const std::string_view> keys) {
  return std::ranges::find(keys, key) != keys.end();
}

json value_of(const json& request, const std::string& key) {
  const auto found = request.find(key);
  return found == request.end() ? json() : *found;
}

/// The keys whose values are not the same in all pictures that are there, the prompt first.
std::vector<std::string> differing_keys(const PictureRequests& requests) {
  std::set<std::string> keys;
  for (const json& request : requests) {
    if (!request.is_object()) continue;
    for (const auto& [key, value] : request.items()) keys.insert(key);
  }
  std::vector<std::string> differing;
  for (const std::string& key : keys) {
    std::optional<json> first;
    const bool same = std::ranges::all_of(requests, [&](const json& request) {
      if (!request.is_object()) return true;
      if (!first) first = value_of(request, key);
      return *first == value_of(request, key);
    });
    if (!same && !is_among(key, of_no_picture)) differing.push_back(key);
  }
  std::ranges::stable_partition(differing, [](const std::string& key) { return key == "prompt"; });
  return differing;
}

std::string shown(const std::string& key, const json& value) {
  if (value.is_null()) return "the model's";
  if (!value.is_string()) return value.dump(-1, ' ', false, json::error_handler_t::replace);
  const std::string text = value.get<std::string>();
  if (!is_among(key, path_keys) || text.empty()) return text;
  const std::filesystem::path path(text);
  return (path.has_filename() ? path : path.parent_path()).filename().string();
}

/// How many bytes all texts have in common at their front, up to the last blank there; 0 where that is little.
size_t common_front(const std::vector<std::string>& texts) {
  constexpr size_t little = 16;
  size_t common = texts.empty() ? 0 : texts.front().size();
  for (const std::string& text : texts) {
    const auto [end, other] = std::ranges::mismatch(text, texts.front());
    common = std::min(common, static_cast<size_t>(end - text.begin()));
    if (common == text.size() && common > 0) --common;  // something is left of each
  }
  const size_t blank = texts.empty() ? std::string::npos : texts.front().substr(0, common).rfind(' ');
  return blank == std::string::npos || blank < little ? 0 : blank + 1;
}

/// Texts without what all of them begin and end with, where that is much.
void leave_out_common(std::vector<std::string>& texts) {
  if (const size_t front = common_front(texts)) {
    for (std::string& text : texts) text = "… " + text.substr(front);
  }
  std::vector<std::string> reversed;
  for (const std::string& text : texts) reversed.emplace_back(text.rbegin(), text.rend());
  if (const size_t back = common_front(reversed)) {
    for (std::string& text : texts) text = text.substr(0, text.size() - back) + " …";
  }
}

/// What a key's values look like: one for each request that is an object, in their order.
std::vector<std::string> shown_values(const PictureRequests& requests, const std::string& key, bool alone) {
  constexpr size_t beside_others = 60;  // bytes, so that there is room for what else differs
  std::vector<std::string> values;
  bool texts = true;
  for (const json& request : requests) {
    if (!request.is_object()) continue;
    const json value = value_of(request, key);
    texts = texts && value.is_string();
    values.push_back(shown(key, value));
  }
  if (texts) leave_out_common(values);
  if (!alone) {
    for (std::string& value : values) value = shortened(value, beside_others);
  }
  return values;
}

/// Whether the pictures of each column (or row) have one value; `by_column` says which.
bool follows(const PictureRequests& requests, const std::string& key, size_t columns, bool by_column) {
  std::vector<std::optional<json>> expected(by_column ? columns : requests.size() / columns);
  for (size_t i = 0; i < requests.size(); ++i) {
    if (!requests[i].is_object()) continue;
    std::optional<json>& value = expected[by_column ? i % columns : i / columns];
    if (!value) value = value_of(requests[i], key);
    if (*value != value_of(requests[i], key)) return false;
  }
  return true;
}

/// Whether every difference is one of rows or one of columns, and both have some.
bool is_table(const PictureRequests& requests, const std::vector<std::string>& keys, size_t columns) {
  bool across = false, down = false;
  for (const std::string& key : keys) {
    if (follows(requests, key, columns, true)) {
      across = true;
    } else if (follows(requests, key, columns, false)) {
      down = true;
    } else {
      return false;
    }
  }
  return across && down;
}

}  // namespace

std::vector<std::string> differences(const PictureRequests& requests) {
  const std::vector<std::string> keys = differing_keys(requests);
  std::vector<std::string> labels(requests.size());
  for (const std::string& key : keys) {
    const std::vector<std::string> values = shown_values(requests, key, keys.size() == 1);
    auto value = values.begin();
    for (size_t i = 0; i < requests.size(); ++i) {
      if (!requests[i].is_object()) continue;
      if (!labels[i].empty()) labels[i] += ", ";
      labels[i] += key == "prompt" ? *value : fmt::format("{} {}", key, *value);
      ++value;
    }
  }
  for (size_t i = 0; keys.empty() && i < requests.size(); ++i) {
    if (requests[i].is_object()) labels[i] = shown("prompt", value_of(requests[i], "prompt"));
  }
  return labels;
}

size_t columns_for(const PictureRequests& requests, double cell_width, double cell_height, size_t most) {
  const size_t count = std::max<size_t>(requests.size(), 1);
  const std::vector<std::string> keys = differing_keys(requests);
  /// How far from a square the sheet is.
  const auto lankiness = [&](size_t columns) {
    const double rows = std::ceil(static_cast<double>(count) / static_cast<double>(columns));
    return std::abs(std::log(static_cast<double>(columns) * cell_width / (rows * cell_height)));
  };
  std::optional<size_t> best;
  for (size_t columns = 2; columns < count && columns <= most; ++columns) {
    if (count % columns != 0 || !is_table(requests, keys, columns)) continue;
    if (!best || lankiness(columns) < lankiness(*best)) best = columns;
  }
  if (best) return *best;
  best = 1;
  for (size_t columns = 2; columns <= std::min(count, most); ++columns) {
    if (lankiness(columns) < lankiness(*best)) best = columns;
  }
  return *best;
}

}  // namespace sdtorch
