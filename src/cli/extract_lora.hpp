// `sdtorch extract-lora`: its flags.
#pragma once

#include "adapters/extract_lora.hpp"
#include "cli/flags.hpp"

namespace sdtorch {

/// The flags write into the options, which must live as long. general: what every command has.
CommandSpec extract_lora_spec(ExtractLoraOptions& options, FlagGroup general);

/// What is missing after the flags are read. Throws ErrorKind::usage.
void check_extract_lora(const ExtractLoraOptions& options);

}  // namespace sdtorch
