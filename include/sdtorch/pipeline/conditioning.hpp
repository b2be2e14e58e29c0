// Prompts → what the U-Net attends to.
#pragma once

#include <ATen/ATen.h>

#include "sdtorch/pipeline/components.hpp"

namespace sdtorch {

/// Both prompts, encoded; one row, shared by all images of a request. k: number of 77-token chunks, equal for both.
struct Conditioning {
  at::Tensor tokens{};          ///< int64 [1, 77·k]
  at::Tensor uncond_tokens{};   ///< int64 [1, 77·k], of the negative prompt
  at::Tensor context{};         ///< compute type [1, 77·k, C]; undefined where guidance does not use it
  at::Tensor uncond_context{};  ///< compute type [1, 77·k, C]; undefined where guidance does not use it
};

/// Tokenizes both prompts into equally many chunks and encodes those that the guidance scale uses:
/// at 0 only the negative prompt, at 1 only the prompt, else both.
/// Throws ErrorKind::input for a prompt that is not UTF-8.
Conditioning encode_prompts(const Components& model, const Request& request);

}  // namespace sdtorch
