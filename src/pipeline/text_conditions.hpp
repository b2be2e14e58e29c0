// Prompts → what the U-Net attends to.
#pragma once

#include <ATen/ATen.h>

#include <cstdint>
#include <optional>
#include <vector>

#include "pipeline/components.hpp"
#include "pipeline/conditions.hpp"
#include "pipeline/prompt_encoding.hpp"
#include "pipeline/resolved_prompts.hpp"
#include "sdtorch/request.hpp"

namespace sdtorch {

/// What a text is, from call to call: encoded once each, all of one length.
struct TextTimeline {
  std::vector<int64_t> last_calls{};  ///< of what holds; see PromptVersion
  std::vector<EncodedText> texts{};   ///< one for each of them

  /// The number of the text that holds at a call: see PromptPart::at_call.
  size_t at_call(int64_t call) const;
};

/// One of the prompts that a picture is guided to.
struct TextPart {
  double weight = 1;
  TextTimeline timeline{};
};

/// Both prompts of a picture, encoded. k: number of 77-token chunks, mostly equal for both.
struct TextConditions {
  at::Tensor tokens{};                       ///< int64 [1, 77·k], those of the first call
  at::Tensor uncond_tokens{};                ///< int64 [1, 77·k], of the negative prompt
  std::optional<Condition> conditional{};    ///< at the first call; none where guidance does not use it
  std::optional<Condition> unconditional{};  ///< none where guidance does not use it

  std::vector<TextPart> parts{};  ///< of the prompt, as `conditional`: the first of them is that
  TextTimeline negative{};        ///< as `unconditional`

  /// Whether the prompt is a sum (see ResolvedPrompts::composed).
  bool composed() const;
};

/// Tokenizes both prompts into equally many chunks, but where sides are kept apart, and encodes those that the guidance
/// scale uses: at 0 only the negative prompt, at 1 only the prompt, else both; only the prompt where the model takes
/// the scale as an input; both where `sums`, which is whether any picture of the batch composes its prompt. SDXL's two
/// encoders see the same prompts, and their contexts stand side by side; without a negative prompt its context and
/// pooled text are zeros where the model says so. Each different text of a schedule is encoded once; the parts of a
/// composed prompt are filled up to one length by their last vectors, as A1111 does. request: with width and height;
/// words: that they may have. Throws ErrorKind::input for a prompt that is not UTF-8.
TextConditions encode_prompts(const Components& model, TextMemory& memory, const Request& request,
                              const ResolvedPrompts& prompts, const PromptEmbeddings& words, bool sums = false);

}  // namespace sdtorch
