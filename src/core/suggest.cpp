#include "core/suggest.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>

#include "core/error.hpp"

namespace sdtorch {
namespace {

/// Longer names are nobody's typing mistake, and the table of distances grows with their square.
constexpr size_t longest_name = 100;

/// Optimal string alignment: the edit distance with swaps of neighbours.
size_t edit_distance(std::string_view a, std::string_view b) {
  std::vector<std::vector<size_t>> d(a.size() + 1, std::vector<size_t>(b.size() + 1));
  for (size_t i = 0; i <= a.size(); ++i) d[i][0] = i;
  for (size_t j = 0; j <= b.size(); ++j) d[0][j] = j;
  for (size_t i = 1; i <= a.size(); ++i) {
    for (size_t j = 1; j <= b.size(); ++j) {
      d[i][j] = std::min({d[i - 1][j] + 1, d[i][j - 1] + 1, d[i - 1][j - 1] + (a[i - 1] != b[j - 1])});
      const bool swapped = i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1];
      if (swapped) d[i][j] = std::min(d[i][j], d[i - 2][j - 2] + 1);
    }
  }
  return d[a.size()][b.size()];
}

}  // namespace

std::string ascii_lower(std::string_view text) {
  std::string lower(text);
  for (char& c : lower) {
    if (c >= 'A' && c <= 'Z') c = static_cast<char>(c - 'A' + 'a');
  }
  return lower;
}

std::string nearest(std::string_view name, const std::vector<std::string>& candidates) {
  if (name.empty() || name.size() > longest_name) return "";
  const std::string wanted = ascii_lower(name);
  std::string best;
  size_t best_distance = 0;
  for (const std::string& candidate : candidates) {
    const bool shortened = wanted.size() >= 3 && ascii_lower(candidate).starts_with(wanted);
    const size_t distance = shortened ? 1 : edit_distance(wanted, ascii_lower(candidate));
    const size_t near = std::max<size_t>(1, std::max(wanted.size(), candidate.size()) / 2);
    if (distance <= near && (best.empty() || distance < best_distance)) {
      best = candidate;
      best_distance = distance;
    }
  }
  return best;
}

std::string did_you_mean(std::string_view name, const std::vector<std::string>& candidates) {
  const std::string near = nearest(name, candidates);
  const std::string all = fmt::format("one of {}", fmt::join(candidates, ", "));
  return near.empty() ? all : fmt::format("did you mean {}? ({})", near, all);
}

void check_choice(std::string_view flag, std::string_view value, const std::vector<std::string>& choices) {
  if (std::ranges::find(choices, value) != choices.end()) return;
  refuse(flag, fmt::format("'{}' is not a choice", value), did_you_mean(value, choices));
}

}  // namespace sdtorch
