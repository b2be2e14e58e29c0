// How a prompt's tokens are spread over the chunks that a text encoder takes.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <optional>
#include <span>
#include <string_view>
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

/// A vector that A1111 leaves where it stood when the clause of its word moves on: it takes a padding's place.
struct StrayVector {
  size_t place = 0;  ///< among a chunk's tokens and what pads them
  int64_t id = 0;

  bool operator==(const StrayVector&) const = default;
};

struct WeightedChunk {
  std::vector<WeightedToken> tokens{};  ///< the text's own: no start, no end, no padding
  std::vector<StrayVector> strays{};    ///< behind them
};

/// What makes tokens of text.
struct TokenSource {
  std::function<std::vector<int64_t>(std::string_view text)> encode{};  ///< as Tokenizer::encode
  /// Whether an id belongs to the one before it as a learned word's further vectors do: they are never cut apart.
  /// Empty: none does.
  std::function<bool(int64_t id)> goes_on{};
};

/// What becomes of learned words' vectors where A1111's rule moves their clause.
struct MovedVectors {
  /// From this id on ids are vectors that stay where they were, as in A1111, and the first token of the vocabulary
  /// stands for each in its new place. None: they move with their clause.
  std::optional<int64_t> staying_from{};
};

/// A prompt's pieces as tokens: a group a piece, or a group a word where the rule is about words.
/// Throws as source.encode.
std::vector<TokenGroup> token_groups(const TokenSource& source, const PromptPieces& pieces, ChunkRule rule);

/// At least one chunk, each of chunk_size tokens at most.
std::vector<WeightedChunk> cut_into_chunks(const Tokenizer& tokenizer, std::span<const TokenGroup> groups,
                                           ChunkRule rule, const MovedVectors& moved = {});

}  // namespace sdtorch
