// A prompt's parts, versions, weights and tokens, as `sdtorch tokenize` shows them.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "text/extra_networks.hpp"
#include "text/prompt/chunks.hpp"
#include "text/prompt/prompt.hpp"
#include "text/tokenizer.hpp"

namespace sdtorch {

/// A learned word that a prompt has.
struct ShownWord {
  std::string name{}, file{};
  int64_t first = 0, count = 1;  ///< ids of its vectors
};

/// How a prompt becomes tokens, and what they are called.
struct PromptTokenization {
  const Tokenizer& tokenizer;  ///< outlives all that is made of it
  TokenSource source{};
  ChunkRule rule = ChunkRule::plain;
  MovedVectors moved{};
  std::vector<ShownWord> words{};       ///< of the prompt
  std::vector<ExtraNetworkTag> tags{};  ///< of a kind that means something
};

class TokenizedPrompt {
 public:
  /// Throws as how.source.encode, and as weights_of_tag.
  TokenizedPrompt(PromptReading reading, PromptTokenization how);

  const PromptReading& reading() const { return reading_; }

  /// One line: ids, pieces and number of chunks at the first call, then `parts` of the prompt with their weights, trees
  /// and versions, each version with its last call, pieces and chunks. Of an empty text the first three alone. Where
  /// there are any, `words` with the numbers of their vectors, and `tags` with names and weights.
  std::string json_line(const std::string& text) const;

  /// The same for a person; of a prompt that is no more than its words, its chunks alone.
  std::string table(const std::string& text) const;

 private:
  std::vector<WeightedChunk> cut(const PromptPieces& pieces) const;
  std::vector<WeightedChunk> first_chunks() const;

  std::string piece(int64_t id) const;
  std::string tags_and_words() const;

  PromptReading reading_;
  PromptTokenization how_;
};

}  // namespace sdtorch
