#include "pipeline/composed.hpp"

#include <algorithm>
#include <array>
#include <utility>

namespace sdtorch {
namespace {

/// The weights of part i: fp32 [B, 1, 1, 1]
at::Tensor weights_of_part(const std::vector<std::vector<double>>& weights, size_t i) {
  std::vector<double> column;
  for (const std::vector<double>& own : weights) column.push_back(i < own.size() ? own[i] : 0);
  return at::tensor(column, at::kFloat).reshape({-1, 1, 1, 1});
}

}  // namespace

CombinationRule sums_of_prompts(const std::vector<std::vector<double>>& weights, at::Device device,
                                std::function<bool(const DenoiserCall&)> guides, CombinationRule rule) {
  size_t parts = 1;
  std::vector<double> plain;  // a prompt that is no sum is not computed as one, and is as it would be alone
  for (const std::vector<double>& own : weights) {
    parts = std::max(parts, own.size());
    plain.push_back(own == std::vector<double>{1} ? 1 : 0);
  }
  std::vector<at::Tensor> columns;
  for (size_t i = 0; i < parts; ++i) columns.push_back(weights_of_part(weights, i).to(device));
  const at::Tensor is_plain = at::tensor(plain, at::kFloat).reshape({-1, 1, 1, 1}).ne(0).to(device);
  return [columns = std::move(columns), is_plain, guides = std::move(guides), rule = std::move(rule)](
             std::span<const at::Tensor> outputs, const at::Tensor& x, const DenoiserCall& call) {
    const at::Tensor& away = outputs[0];
    at::Tensor sum = away;
    for (size_t i = 0; i < columns.size(); ++i) {
      sum = sum + columns[i] * (outputs[i + 1] - away);
    }
    const at::Tensor to = at::where(is_plain, outputs[1], sum);
    if (!rule || !guides(call)) return to;
    const std::array<at::Tensor, 2> pair{away, to};
    return rule(pair, x, call);
  };
}

}  // namespace sdtorch
