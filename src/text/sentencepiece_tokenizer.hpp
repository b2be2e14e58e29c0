// Tokenizers with a sentencepiece vocabulary (Kudo & Richardson 2018), equal to transformers' XLMRobertaTokenizer
// (AltDiffusion) and T5Tokenizer (Japanese Stable Diffusion).
#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>
#include <optional>
#include <utility>

#include "text/tokenizer.hpp"

namespace sdtorch {

/// What a model's pipeline sets, whatever the tokenizer's files say.
struct SentencepieceTokenizerOptions {
  bool lower_case = false;  ///< also where tokenizer_config.json says do_lower_case
  std::optional<int64_t> model_max_length{};
};

class SentencepieceTokenizer : public Tokenizer {
 public:
  /// folder: a model's `tokenizer` folder with tokenizer.json, or else sentencepiece.bpe.model (XLM-RoBERTa: ids are
  /// fairseq's, a start token) or spiece.model (T5: ids are the model's and 100 or `extra_ids` more, no start token),
  /// and, where it has them, tokenizer_config.json, special_tokens_map.json and added_tokens.json. Which of the two it
  /// is `tokenizer_class` says, else the file's name or the start token of tokenizer.json.
  /// The unknown token is the model file's own, where transformers 5 takes id 2 for every T5Tokenizer.
  /// Throws ErrorKind::model naming file and key or offset.
  static SentencepieceTokenizer load(const std::filesystem::path& folder,
                                     const SentencepieceTokenizerOptions& options = {});

 private:
  SentencepieceTokenizer(std::shared_ptr<const TokenModel> model, const TokenFrame& frame)
      : Tokenizer(std::move(model), frame) {}
};

}  // namespace sdtorch
