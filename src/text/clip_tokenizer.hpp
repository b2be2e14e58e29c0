// CLIP's byte-pair tokenizer (Radford et al. 2021), equal to transformers' CLIPTokenizer.
#pragma once

#include <filesystem>
#include <memory>
#include <string>
#include <utility>

#include "text/tokenizer.hpp"

namespace sdtorch {

/// What a folder of vocab.json and merges.txt alone leaves open.
struct ClipTokenizerOptions {
  std::string pad_token{};  ///< where no file names one; empty: `<|endoftext|>`
};

class ClipTokenizer : public Tokenizer {
 public:
  /// folder: a model's `tokenizer` folder with tokenizer.json, or else vocab.json and merges.txt, and, where it has
  /// them, tokenizer_config.json, special_tokens_map.json and added_tokens.json.
  /// Throws ErrorKind::model naming file and key, line or offset.
  static ClipTokenizer load(const std::filesystem::path& folder, const ClipTokenizerOptions& options = {});

 private:
  ClipTokenizer(std::shared_ptr<const TokenModel> model, const TokenFrame& frame)
      : Tokenizer(std::move(model), frame) {}
};

}  // namespace sdtorch
