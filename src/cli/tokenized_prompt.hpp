// A prompt's parts, versions, weights and tokens, as `sdtorch tokenize` shows them.
#pragma once

#include <string>
#include <vector>

#include "text/prompt/chunks.hpp"
#include "text/prompt/prompt.hpp"
#include "text/tokenizer.hpp"

namespace sdtorch {

class TokenizedPrompt {
 public:
  /// tokenizer: outlives this. Throws as Tokenizer::encode.
  TokenizedPrompt(PromptReading reading, const Tokenizer& tokenizer, ChunkRule rule);

  const PromptReading& reading() const { return reading_; }

  /// One line: ids, pieces and number of chunks at the first call, then `parts` of the prompt with their weights, trees
  /// and versions, each version with its last call, pieces and chunks. Of an empty text the first three alone.
  std::string json_line(const std::string& text) const;

  /// The same for a person; of a prompt that is no more than its words, its chunks alone.
  std::string table(const std::string& text) const;

 private:
  std::vector<WeightedChunk> cut(const PromptPieces& pieces) const;
  std::vector<WeightedChunk> first_chunks() const;

  PromptReading reading_;
  const Tokenizer& tokenizer_;
  ChunkRule rule_;
};

}  // namespace sdtorch
