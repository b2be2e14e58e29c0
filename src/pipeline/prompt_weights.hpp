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
  at::Tensor hidden{};                  ///< compute type [k, 77, C]
  at::Tensor weights{};                 ///< fp32 [k, 77], 1 for start, end and padding
  std::function<at::Tensor()> empty{};  ///< the empty text's states: [1, 77, C]
  /// The text's again, where only some tokens are seen. seen: bool [k, 77]
  std::function<at::Tensor(const at::Tensor& seen)> seeing{};
};

/// The hidden states, weighted, in their own type; computed in fp32. chunks: the text's tokens; pieces: whose they are.
at::Tensor weighted_hidden(const EncodedRows& rows, const std::vector<WeightedChunk>& chunks,
                           const PromptPieces& pieces, const Tokenizer& tokenizer, PromptWeighting weighting);

}  // namespace sdtorch
