#include "pipeline/prompt_weights.hpp"

#include <algorithm>
#include <cmath>
#include <numbers>
#include <optional>

namespace sdtorch {
namespace {

/// A1111's: the states times the weights, and then as much larger as makes their mean what it was. A mean near 0 says
/// nothing, and is left alone. (A1111 takes the mean over all texts of a schedule at once; here each has its own.)
at::Tensor multiplied(const EncodedRows& rows) {
  constexpr double near_zero = 1e-5;
  const at::Tensor hidden = rows.hidden.to(at::kFloat);
  const at::Tensor weighted = hidden * rows.weights.unsqueeze(-1);
  const at::Tensor before = hidden.mean({1, 2}, /*keepdim=*/true), after = weighted.mean({1, 2}, /*keepdim=*/true);
  const at::Tensor restorable = before.abs().gt(near_zero).logical_and(after.abs().gt(near_zero));
  const at::Tensor restored = weighted * (before / after);
  const at::Tensor changed = rows.weights.ne(1).any(1).reshape({-1, 1, 1});
  return at::where(changed, at::where(restorable, restored, weighted), hidden).to(rows.hidden.scalar_type());
}

/// On the line from the empty text's states: ComfyUI's rule. hidden: fp32 [k, 77, C]; empty: fp32 [1, 77, C].
at::Tensor moved(const at::Tensor& hidden, const at::Tensor& empty, const at::Tensor& weights) {
  const at::Tensor w = weights.unsqueeze(-1);
  return at::where(w.eq(1), hidden, (hidden - empty) * w + empty);
}

/// Where a piece's tokens lie in the chunks laid end to end: first and last.
std::optional<std::pair<int64_t, int64_t>> range_of(const std::vector<WeightedChunk>& chunks, size_t piece,
                                                    const Tokenizer& tokenizer) {
  std::optional<std::pair<int64_t, int64_t>> range;
  const int64_t length = tokenizer.model_max_length(), start = tokenizer.start_id() ? 1 : 0;
  for (size_t i = 0; i < chunks.size(); ++i) {
    for (size_t j = 0; j < chunks[i].tokens.size(); ++j) {
      if (chunks[i].tokens[j].piece != piece) continue;
      const int64_t at = static_cast<int64_t>(i) * length + start + static_cast<int64_t>(j);
      range = {range ? range->first : at, at};
    }
  }
  return range;
}

/// compel's rule: ComfyUI's, and for each piece that weighs less than 1 a step towards what an encoder says that does
/// not see it; the less it weighs, the longer.
at::Tensor faded(const EncodedRows& rows, const std::vector<WeightedChunk>& chunks, const PromptPieces& pieces,
                 const Tokenizer& tokenizer) {
  constexpr double least_weight = 1e-5;  // at 0 the step would have no end
  const at::Tensor empty = rows.empty().to(at::kFloat);
  std::vector<at::Tensor> states{moved(rows.hidden.to(at::kFloat), empty, rows.weights)};
  std::vector<double> shares{1};
  for (size_t piece = 0; piece < pieces.size(); ++piece) {
    const auto range = pieces[piece].weight < 1 ? range_of(chunks, piece, tokenizer) : std::nullopt;
    if (!range) continue;
    at::Tensor seen = at::ones({rows.weights.numel()}, rows.weights.options().dtype(at::kBool));
    seen.slice(0, range->first, range->second + 1).fill_(false);
    seen = seen.view_as(rows.weights);
    seen.select(1, 0).fill_(true);
    seen.select(1, seen.size(1) - 1).fill_(true);
    states.push_back(moved(rows.seeing(seen).to(at::kFloat), empty, rows.weights));
    const double weight = std::max(least_weight, pieces[piece].weight);
    shares.push_back(std::tan((1 - weight) * std::numbers::pi / 2));
  }
  if (states.size() == 1) return states.front();
  at::Tensor share = at::tensor(shares, at::kFloat);
  share = (share / share.sum()).to(rows.weights.device());
  return (at::stack(states) * share.reshape({-1, 1, 1, 1})).sum(0);
}

}  // namespace

at::Tensor weighted_hidden(const EncodedRows& rows, const std::vector<WeightedChunk>& chunks,
                           const PromptPieces& pieces, const Tokenizer& tokenizer, PromptWeighting weighting) {
  const at::ScalarType dtype = rows.hidden.scalar_type();
  switch (weighting) {
    case PromptWeighting::a1111:
      return multiplied(rows);
    case PromptWeighting::comfy:
      return moved(rows.hidden.to(at::kFloat), rows.empty().to(at::kFloat), rows.weights).to(dtype);
    case PromptWeighting::compel:
      return faded(rows, chunks, pieces, tokenizer).to(dtype);
    case PromptWeighting::none:
      break;
  }
  return rows.hidden;
}

}  // namespace sdtorch
