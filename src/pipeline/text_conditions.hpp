// Prompts → what the U-Net attends to.
#pragma once

#include <ATen/ATen.h>

#include <cstdint>
#include <list>
#include <mutex>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "pipeline/components.hpp"
#include "pipeline/conditions.hpp"
#include "pipeline/embeddings.hpp"
#include "sdtorch/request.hpp"

namespace sdtorch {

/// A text as all of a model's text encoders read it.
struct EncodedText {
  at::Tensor context;   ///< compute type [1, 77·k, C]: each encoder's, side by side
  at::Tensor pooled{};  ///< compute type [1, P], of the first chunk; SDXL's
};

/// Remembers the texts that were encoded last, so that a run encodes each different text once: above all the negative
/// prompt that a thousand pictures share. Safe to use from several threads.
class TextMemory {
 public:
  /// The text's token ids in `chunks` chunks; nothing where they are not remembered.
  std::optional<EncodedText> find(const std::vector<std::vector<int64_t>>& ids, size_t chunks);
  void keep(const std::vector<std::vector<int64_t>>& ids, size_t chunks, EncodedText text);

  /// Forgets them all: the text encoders are others now.
  void clear();

 private:
  using Key = std::pair<std::vector<std::vector<int64_t>>, size_t>;

  std::mutex mutex_{};
  std::list<std::pair<Key, EncodedText>> texts_{};  ///< the one used last in front
};

/// Both prompts of a picture, encoded. k: number of 77-token chunks, equal for both.
struct TextConditions {
  at::Tensor tokens{};                       ///< int64 [1, 77·k]
  at::Tensor uncond_tokens{};                ///< int64 [1, 77·k], of the negative prompt
  std::optional<Condition> conditional{};    ///< none where guidance does not use it
  std::optional<Condition> unconditional{};  ///< none where guidance does not use it
};

/// Tokenizes both prompts into equally many chunks and encodes those that the guidance scale uses: at 0 only the
/// negative prompt, at 1 only the prompt, else both; only the prompt where the model takes the scale as an input.
/// SDXL's two encoders see the same prompts, and their contexts stand side by side; without a negative prompt its
/// context and pooled text are zeros where the model says so. request: with width and height; embeddings: the words
/// that it may use. Throws ErrorKind::input for a prompt that is not UTF-8.
TextConditions encode_prompts(const Components& model, TextMemory& memory, const Request& request,
                              const PromptEmbeddings& embeddings);

}  // namespace sdtorch
