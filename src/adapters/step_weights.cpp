#include "adapters/step_weights.hpp"

#include <algorithm>
#include <cmath>

#include "core/number.hpp"

namespace sdtorch {
namespace {

std::string_view without_spaces(std::string_view text) {
  while (text.starts_with(' ')) text.remove_prefix(1);
  while (text.ends_with(' ')) text.remove_suffix(1);
  return text;
}

}  // namespace

std::optional<StepWeights> StepWeights::parse(std::string_view text) {
  if (text.find('@') == std::string_view::npos) {
    const auto weight = parse_real(without_spaces(text));
    return weight ? std::optional(StepWeights(*weight)) : std::nullopt;
  }
  StepWeights weights(0);
  for (size_t start = 0; start <= text.size();) {
    const size_t end = std::min(text.find(',', start), text.size());
    const std::string_view part = text.substr(start, end - start);
    const size_t mark = std::min(part.find('@'), part.size());
    const auto weight = parse_real(without_spaces(part.substr(0, mark)));
    const auto share = mark == part.size() ? std::nullopt : parse_real(without_spaces(part.substr(mark + 1)));
    const bool first = start == 0;
    if (!weight || !share || *share < 0 || *share > 1) return std::nullopt;
    if (!first && *share <= weights.from_.back().first) return std::nullopt;
    if (first && *share == 0) {
      weights.from_.front().second = *weight;
    } else {
      weights.from_.emplace_back(*share, *weight);
    }
    start = end + 1;
  }
  return weights;
}

double StepWeights::at(int64_t step, int64_t steps) const {
  constexpr double rounding = 1e-9;  // 0.3 of 10 steps is a little more than 3
  double weight = 0;
  for (const auto& [share, from_there] : from_) {
    if (static_cast<double>(step) >= share * static_cast<double>(steps) - rounding) weight = from_there;
  }
  return weight;
}

bool StepWeights::is_zero() const {
  return std::ranges::all_of(from_, [](const auto& from) { return from.second == 0; });
}

}  // namespace sdtorch
