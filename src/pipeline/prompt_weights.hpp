// What a prompt's weights do to its encoding.
#pragma once

#include <ATen/ATen.h>

#include <functional>
#include <vector>

#include "pipeline/prompt_rules.hpp"
#include "text/prompt/chunks.hpp"

namespace sdtorch {

/// A text's chunks, encoded. k: number of chunks.
struct EncodedRows {
  at::Tensor hidden{};   ///< compute type [k, 77, C]
  at::Tensor ids{};      ///< int64 [k, 77]
  at::Tensor weights{};  ///< fp32 [k, 77], 1 for start, end and padding
  /// Encodes ids [n, 77], n = 1 or k; key_mask: bool [n, 77], which of them are seen, or undefined → [n, 77, C].
  std::function<at::Tensor(const at::Tensor& ids, const at::Tensor& key_mask)> encode{};
};

/// The hidden states, weighted, in their own type; computed in fp32. chunks: the tokens of ids; pieces: whose.
at::Tensor weighted_hidden(const EncodedRows& rows, const std::vector<WeightedChunk>& chunks,
                           const PromptPieces& pieces, const Tokenizer& tokenizer, PromptWeighting weighting);

}  // namespace sdtorch
