// An adapter's weight, which may change while a picture is drawn.
#pragma once

#include <cstdint>
#include <optional>
#include <string_view>
#include <utility>
#include <vector>

namespace sdtorch {

/// A number, or numbers that hold from a share of the steps on: `0.2@0,0.8@0.5` is 0.2, and 0.8 in the second half.
class StepWeights {
 public:
  StepWeights(double weight = 1) : from_{{0, weight}} {}  // NOLINT: most are a number and no more

  /// `0.8`, or `0.2@0,0.8@0.5`: any finite numbers, shares of 0…1 that grow. Before the first share the weight is 0.
  /// Nothing where the text is neither.
  static std::optional<StepWeights> parse(std::string_view text);

  /// At step 0…steps-1, of which the first that begins at a share or behind it has that share's weight.
  double at(int64_t step, int64_t steps) const;

  bool varies() const { return from_.size() > 1; }
  bool is_zero() const;

  bool operator==(const StepWeights&) const = default;

 private:
  std::vector<std::pair<double, double>> from_;  ///< share, weight: growing, the first share is 0
};

}  // namespace sdtorch
