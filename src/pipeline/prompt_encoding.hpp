// A prompt's pieces → tokens → what a model's text encoders make of them.
#pragma once

#include <ATen/ATen.h>

#include <cstddef>
#include <cstdint>
#include <list>
#include <mutex>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "pipeline/components.hpp"
#include "pipeline/embeddings.hpp"
#include "pipeline/prompt_rules.hpp"
#include "text/prompt/chunks.hpp"

namespace sdtorch {

/// A text as all of a model's text encoders read it.
struct EncodedText {
  at::Tensor context;   ///< compute type [1, 77·k, C]: each encoder's, side by side
  at::Tensor pooled{};  ///< compute type [1, P], of the first chunk; SDXL's
};

/// Remembers the texts that were encoded last, so that a run encodes each different text once: above all the negative
/// prompt that a thousand pictures share. It holds as many as take 64 MiB. Safe to use from several threads.
class TextMemory {
 public:
  TextMemory() = default;
  /// One that is filled beside another: what it lacks it looks for there. behind: must outlive it.
  explicit TextMemory(TextMemory* behind) : behind_(behind) {}

  /// key: all that an encoding depends on, beside the encoders. Nothing where it is not remembered.
  std::optional<EncodedText> find(const std::string& key);
  void keep(std::string key, EncodedText text);

  /// Forgets them all: the text encoders are others now.
  void clear();

  /// Gives all to the one behind it.
  void hand_on();

 private:
  static constexpr size_t most_bytes = size_t{64} << 20;  ///< some 270 texts of SD1.5 in fp32, 200 of SDXL in fp16

  TextMemory* behind_ = nullptr;
  std::mutex mutex_{};
  size_t bytes_ = 0;
  std::list<std::pair<std::string, EncodedText>> texts_{};  ///< the one used last in front
};

/// A text's pieces in chunks, as each text encoder reads them.
struct PromptTokens {
  std::vector<std::vector<WeightedChunk>> chunks{};  ///< [encoder][chunk]; not all need equally many
  PromptPieces pieces{};

  size_t count() const;  ///< of chunks, the most of any encoder

  /// int64 [count, 77] of one encoder, with start, end and padding; empty chunks behind its own.
  at::Tensor rows(const Components& model, size_t encoder, size_t count) const;
};

/// words: that the text may have. Throws ErrorKind::input naming flag and offset for text that is not UTF-8.
PromptTokens tokenize_pieces(const Components& model, const PromptEmbeddings& words, const PromptPieces& pieces,
                             ChunkRule rule, const char* flag);

/// How texts are encoded.
struct EncodingRules {
  PromptWeighting weighting = PromptWeighting::none;
  int64_t skipped_layers = 0;               ///< see ClipTextUse
  const PromptEmbeddings* words = nullptr;  ///< whose ids the tokens are
};

/// Each chunk is encoded by itself, weighted, and joined to the others along the token axis; SDXL's encoders' contexts
/// stand side by side. count: of chunks, at least the text's own.
EncodedText encode_tokens(const Components& model, TextMemory& memory, const PromptTokens& tokens, size_t count,
                          const EncodingRules& rules);

}  // namespace sdtorch
