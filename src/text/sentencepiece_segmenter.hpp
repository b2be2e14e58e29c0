// Cutting a normalized word into pieces, by the sentencepiece library (Kudo & Richardson 2018).
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "text/sentencepiece_model.hpp"

namespace sentencepiece {
class SentencePieceProcessor;
}

namespace sdtorch {

/// The library is given a model that is written here, of pieces that have been checked, so that no file can upset it.
class SentencepieceSegmenter {
 public:
  /// model: pieces by id, one of them unknown; of two pieces with one text the later counts, as in transformers.
  /// Throws ErrorKind::model where it cannot be used.
  explicit SentencepieceSegmenter(const SentencepieceModel& model);
  SentencepieceSegmenter(SentencepieceSegmenter&&) noexcept;
  ~SentencepieceSegmenter();

  /// Appends the ids of one word: normalized, without spaces, usually with its "▁" in front. Runs of unknown
  /// characters are one unknown piece.
  void encode(std::string_view word, std::vector<int64_t>& out) const;

 private:
  std::unique_ptr<sentencepiece::SentencePieceProcessor> processor_;
};

}  // namespace sdtorch
