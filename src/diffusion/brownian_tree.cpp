#include "diffusion/brownian_tree.hpp"

#include <algorithm>
#include <array>
#include <charconv>
#include <cmath>

#include "diffusion/seed_sequence.hpp"

namespace sdtorch {
namespace {

constexpr size_t pool_words = 24;

/// To six digits behind the point, exactly, the nearest even one where two are as near.
double rounded(double time) {
  std::array<char, 400> text;  // the largest double has 309 digits before the point
  const auto written = std::to_chars(text.data(), text.data() + text.size(), time, std::chars_format::fixed, 6);
  std::from_chars(text.data(), written.ptr, time);
  return time;
}

at::Tensor draw(const BrownianTree::Options& options, uint32_t seed) {
  return NormalStream(options.source, seed).draw(options.shape);
}

/// A node of the tree: an interval, its increment and its place, of which its seed is made.
struct Interval {
  double start;
  double end;
  at::Tensor increment;
  uint64_t path = 0;  ///< the turns from the root, right being 1
  uint64_t depth = 0;
};

/// Appends the increments of the largest intervals that make up from…to, in order.
void collect(const BrownianTree::Options& options, const Interval& node, double from, double to,
             std::vector<at::Tensor>& parts) {
  if (from == node.start && to == node.end) return parts.push_back(node.increment);
  const double middle = rounded(0.5 * (node.end + node.start));
  const double left = middle - node.start, right = node.end - middle, whole = 1 / (node.end - node.start);
  const std::array<uint64_t, 2> place{node.path, node.depth};
  const uint32_t seed = SeedSequence(options.entropy, place, pool_words).generate(1).front();
  const at::Tensor bridge = left * node.increment * whole + std::sqrt(left * right * whole) * draw(options, seed);
  const auto child = [&](double start, double end, const at::Tensor& increment, uint64_t turn) {
    return Interval{start, end, increment, 2 * node.path + turn, node.depth + 1};
  };
  if (from < middle) collect(options, child(node.start, middle, bridge, 0), from, std::min(to, middle), parts);
  if (to > middle) {
    collect(options, child(middle, node.end, node.increment - bridge, 1), std::max(from, middle), to, parts);
  }
}

}  // namespace

BrownianTree::BrownianTree(Options options) : options_(std::move(options)) {
  const double length = options_.end - options_.start;
  const uint32_t seed = SeedSequence(options_.entropy, {}, pool_words).generate(1).front();
  whole_ = draw(options_, seed) * std::sqrt(length);
  options_.start = rounded(options_.start);
  options_.end = rounded(options_.end);
}

at::Tensor BrownianTree::increment(double from, double to) const {
  from = rounded(std::clamp(from, options_.start, options_.end));
  to = rounded(std::clamp(to, options_.start, options_.end));
  if (!(from < to)) return at::zeros(options_.shape, at::kFloat);
  std::vector<at::Tensor> parts;
  collect(options_, {.start = options_.start, .end = options_.end, .increment = whole_}, from, to, parts);
  at::Tensor sum = parts.front();
  for (size_t i = 1; i < parts.size(); ++i) sum = sum + parts[i];
  return sum;
}

}  // namespace sdtorch
