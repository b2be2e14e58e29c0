// What a picture's `parameters` say of its LoRAs, as A1111 writes it.
#pragma once

#include <string>

#include "sdtorch/request.hpp"

namespace sdtorch {

/// Tags that say in a prompt what the flags say: ` <lora:style:0.8>` each; A1111 knows no other way.
std::string lora_tags(const Request& request);

/// `style: 0123456789ab, other: …` for the LoRAs of flags and tags; empty without any. The hash is that of A1111 and
/// kohya: what the file says (`sshs_model_hash`), else SHA-256 of a safetensors file's tensors, of any other file's
/// bytes; its first twelve digits. Files that are no longer there are left out.
std::string lora_hashes(const ModelChoice& choice, const Request& request);

/// Paths in `FILE[:W[:TE_W]]` made absolute where they are there.
std::string anchored_lora(const std::string& text);

}  // namespace sdtorch
