// How a prompt's tokens are spread over the chunks that a text encoder takes.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "text/prompt/prompt.hpp"
#include "text/tokenizer.hpp"

namespace sdtorch {

/// Whose rule cuts long prompts.
enum class ChunkRule {
  plain,   ///< where a chunk is full
  a1111,   ///< behind the last comma, where that is no more than 20 tokens before the end of a full chunk
  comfy,   ///< words of fewer than 8 tokens are not cut
  compel,  ///< behind the last full stop, else `, ; :`, else a word
};

/// Tokens that belong together.
struct TokenGroup {
  std::vector<int64_t> ids{};
  double weight = 1;
  size_t piece = 0;        ///< of the prompt's pieces
  bool whole = false;      ///< never cut: a learned word's vectors
  bool new_chunk = false;  ///< no tokens: what follows begins a chunk
};

struct WeightedToken {
  int64_t id = 0;
  double weight = 1;
  size_t piece = 0;

  bool operator==(const WeightedToken&) const = default;
};

/// The text's own tokens: no start, no end, no padding.
using WeightedChunk = std::vector<WeightedToken>;

/// A prompt's pieces as tokens: a group a piece, or a group a word where the rule is about words.
/// Throws as Tokenizer::encode.
std::vector<TokenGroup> token_groups(const Tokenizer& tokenizer, const PromptPieces& pieces, ChunkRule rule);

/// At least one chunk, each of chunk_size tokens at most.
std::vector<WeightedChunk> cut_into_chunks(const Tokenizer& tokenizer, std::span<const TokenGroup> groups,
                                           ChunkRule rule);

}  // namespace sdtorch
