// What a sentencepiece model file, or a tokenizer.json made from one, holds.
#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

#include "text/tokenizer_json.hpp"

namespace sdtorch {

/// The numbers are those of sentencepiece's ModelProto.
enum class PieceKind : uint8_t { normal = 1, unknown = 2, control = 3, user_defined = 4, unused = 5, byte = 6 };
enum class SegmentationKind : uint8_t { unigram = 1, bpe = 2, word = 3, character = 4 };

struct SentencePiece {
  std::string text{};  ///< UTF-8, not empty
  float score = 0;     ///< log probability (unigram) or rank (bpe); finite
  PieceKind kind = PieceKind::normal;
};

struct SentencepieceModel {
  std::string file{};  ///< for messages
  std::vector<SentencePiece> pieces{};
  SegmentationKind segmentation = SegmentationKind::unigram;
  bool byte_fallback = false;  ///< unknown characters become their bytes' pieces
  std::string charsmap{};      ///< precompiled normalization
};

/// A `.model` file: a serialized ModelProto. Throws ErrorKind::model naming file, and offset or piece.
SentencepieceModel read_sentencepiece_model(const std::filesystem::path& file);

/// A tokenizer.json with a Unigram model; of its normalizer only the precompiled map counts, as in transformers'
/// classes for these models. Throws ErrorKind::model naming file and key.
SentencepieceModel read_unigram_json(const JsonFile& tokenizer_json);

}  // namespace sdtorch
