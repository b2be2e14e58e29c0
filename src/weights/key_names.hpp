// Other spellings of tensor names → the networks' own, as ordered tables of data.
#pragma once

#include <string>
#include <string_view>

#include "weights/state_dict.hpp"

namespace sdtorch {

/// Whether the key, behind any prefix, names a buffer that files hold beside the weights: `embeddings.position_ids`
/// (0, 1, 2, … of a text encoder, which the network counts itself), masks, counters; or, as it is, a part of a text
/// encoder that a picture has no use for.
bool is_no_weight(std::string_view key);

/// Of a text encoder's keys as transformers before 5 spells them.
inline constexpr const char* text_model_prefix = "text_model.";

/// The network's own spelling of a key: `text_model.` gone, as transformers 5 writes it; the attention of an
/// autoencoder's middle block as diffusers writes it since 0.12 (`query` → `to_q`, `proj_attn` → `to_out.0`).
std::string canonical_key(std::string_view key);

/// Renames all keys; attention weights stored as 1×1 convolutions [C, C, 1, 1] become the matrices that they are.
/// Throws ErrorKind::model where two keys become one, and where the keys are of another layout altogether (the
/// original latent-diffusion code's), naming it.
StateDict with_canonical_keys(StateDict weights);

/// Whether a VAE's weights hold an encoder. Those that only decode are left without what belongs to one (`quant_conv`).
bool keeps_vae_encoder(StateDict& weights);

}  // namespace sdtorch
