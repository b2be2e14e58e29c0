// Prompts → what the U-Net attends to.
#pragma once

#include <ATen/ATen.h>

#include "pipeline/components.hpp"
#include "pipeline/request.hpp"

namespace sdtorch {

/// Both prompts, encoded; one row, shared by all images of a request. k: number of 77-token chunks, equal for both.
struct Conditioning {
  at::Tensor tokens{};          ///< int64 [1, 77·k]
  at::Tensor uncond_tokens{};   ///< int64 [1, 77·k], of the negative prompt
  at::Tensor context{};         ///< compute type [1, 77·k, C]; undefined where guidance does not use it
  at::Tensor uncond_context{};  ///< compute type [1, 77·k, C]; undefined where guidance does not use it

  // SDXL's, defined where the context beside them is.
  at::Tensor pooled{};         ///< compute type [1, P], of the first chunk
  at::Tensor uncond_pooled{};  ///< likewise
  at::Tensor time_ids{};  ///< fp32 [1, n]: original size, crop, target size or aesthetic score (Podell et al. 2023)
  at::Tensor uncond_time_ids{};  ///< likewise
};

/// Tokenizes both prompts into equally many chunks and encodes those that the guidance scale uses: at 0 only the
/// negative prompt, at 1 only the prompt, else both; only the prompt where the model takes the scale as an input.
/// SDXL's two encoders see the same prompts, and their contexts stand side by side; without a negative prompt its
/// context and pooled text are zeros where the model says so. request: with width and height.
/// Throws ErrorKind::input for a prompt that is not UTF-8.
Conditioning encode_prompts(const Components& model, const Request& request);

}  // namespace sdtorch
