// Whichever tokenizer a folder holds.
#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>

#include "text/tokenizer.hpp"

namespace sdtorch {

/// What a model's pipeline sets or its files leave open; each kind of tokenizer has a use for some of it.
struct TokenizerOptions {
  std::string pad_token{};                    ///< CLIP's, where no file names one
  bool lower_case = false;                    ///< sentencepiece's: the text is lower-cased
  std::optional<int64_t> model_max_length{};  ///< sentencepiece's: overrides the files
};

/// Whether the folder has a file that a tokenizer is read from.
bool holds_tokenizer(const std::filesystem::path& folder);

/// CLIP's tokenizer or one with a sentencepiece vocabulary, as tokenizer_config.json names its class, or else as the
/// files are: vocab.json, a `.model`, or the kind of model in tokenizer.json.
/// Throws ErrorKind::model naming file and key, line or offset.
Tokenizer load_tokenizer(const std::filesystem::path& folder, const TokenizerOptions& options = {});

}  // namespace sdtorch
