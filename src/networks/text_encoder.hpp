// The text encoders of all families behind one face.
#pragma once

#include <ATen/ATen.h>

#include <memory>
#include <string>
#include <variant>

#include "networks/clip_text.hpp"
#include "networks/config.hpp"
#include "networks/xlm_roberta.hpp"

namespace sdtorch {

using TextEncoderConfig = std::variant<ClipTextConfig, XlmRobertaConfig>;

/// C of the context, and the config's key that says it.
int64_t context_width(const TextEncoderConfig& config);
const char* context_width_key(const TextEncoderConfig& config);

/// How many ids have an embedding, and how wide that is.
int64_t vocab_size(const TextEncoderConfig& config);
int64_t embedding_width(const TextEncoderConfig& config);

/// How many tokens one text may have.
int64_t longest_text(const TextEncoderConfig& config);

using TextEncoder = std::variant<std::shared_ptr<ClipTextModel>, std::shared_ptr<XlmRobertaTextModel>>;

/// tokens: int64 [B, L]; mask: bool [B, L], true but for padding, which not every encoder leaves unseen → [B, L, C].
/// use: for others than CLIP's nothing is skipped.
at::Tensor encode_text(const TextEncoder& encoder, const at::Tensor& tokens, const at::Tensor& mask,
                       const ClipTextUse& use = {});

/// How many layers it has.
int64_t layer_count(const TextEncoderConfig& config);

}  // namespace sdtorch
