#include "text/sentencepiece_segmenter.hpp"

#include <fmt/format.h>
#include <sentencepiece_processor.h>

#include <exception>
#include <unordered_set>

#include "core/error.hpp"
#include "text/wire_format.hpp"

namespace sdtorch {
namespace {

/// The kind that the library sees. A unigram model of transformers finds every piece in a text, whatever the model file
/// calls it: special tokens have been taken out of the text before.
PieceKind kind_for_library(const SentencepieceModel& model, PieceKind kind) {
  if (kind == PieceKind::byte) return model.byte_fallback ? kind : PieceKind::normal;
  if (kind == PieceKind::unknown || model.segmentation != SegmentationKind::unigram) return kind;
  return PieceKind::normal;
}

/// Which pieces have the text of a later one.
std::vector<bool> find_shadowed(const std::vector<SentencePiece>& pieces) {
  std::vector<bool> shadowed(pieces.size());
  std::unordered_set<std::string_view> seen;
  for (size_t id = pieces.size(); id-- > 0;) shadowed[id] = !seen.insert(pieces[id].text).second;
  return shadowed;
}

std::string piece_message(std::string_view text, float score, PieceKind kind) {
  WireWriter piece;
  piece.bytes(1, text);
  piece.fixed32(2, score);
  piece.number(3, static_cast<uint64_t>(kind));
  return piece.message();
}

/// A serialized ModelProto without normalization, which has been done before.
std::string serialize(const SentencepieceModel& model) {
  const std::vector<bool> shadowed = find_shadowed(model.pieces);
  WireWriter proto;
  size_t unknowns = 0;
  for (size_t id = 0; id < model.pieces.size(); ++id) {
    const SentencePiece& piece = model.pieces[id];
    const PieceKind kind = kind_for_library(model, piece.kind);
    if (kind == PieceKind::unknown) ++unknowns;
    if (shadowed[id] && kind != PieceKind::unknown) {
      // Keeps the place: a control piece is found in no text, and no other piece is spelled so.
      proto.bytes(1, piece_message(fmt::format("\x01{}", id), 0, PieceKind::control));
    } else {
      proto.bytes(1, piece_message(piece.text, piece.score, kind));
    }
  }
  if (unknowns != 1)
    fail(ErrorKind::model, model.file, {}, fmt::format("{} pieces for unknown text, where one was expected", unknowns));

  WireWriter trainer;
  trainer.number(3, static_cast<uint64_t>(model.segmentation));
  trainer.number(35, model.byte_fallback ? 1 : 0);
  proto.bytes(2, trainer.message());
  WireWriter normalizer;
  normalizer.bytes(1, "identity");
  normalizer.number(3, 0);  // no space in front
  normalizer.number(4, 0);  // spaces stay as they are
  proto.bytes(3, normalizer.message());
  return proto.message();
}

}  // namespace

SentencepieceSegmenter::SentencepieceSegmenter(const SentencepieceModel& model)
    : processor_(std::make_unique<sentencepiece::SentencePieceProcessor>()) {
  std::string trouble;
  try {
    const auto status = processor_->LoadFromSerializedProto(serialize(model));
    if (!status.ok()) trouble = status.ToString();
  } catch (const Error&) {
    throw;
  } catch (const std::exception& error) {  // the library's trie throws its own
    trouble = error.what();
  }
  if (!trouble.empty()) fail(ErrorKind::model, model.file, {}, "its pieces make no model: " + trouble);
}

SentencepieceSegmenter::SentencepieceSegmenter(SentencepieceSegmenter&&) noexcept = default;
SentencepieceSegmenter::~SentencepieceSegmenter() = default;

void SentencepieceSegmenter::encode(std::string_view word, std::vector<int64_t>& out) const {
  std::vector<int> ids;
  const auto status = processor_->Encode(word, &ids);
  if (!status.ok()) throw Error(ErrorKind::bug, {.file = "prompt", .reason = status.ToString()});
  out.insert(out.end(), ids.begin(), ids.end());
}

}  // namespace sdtorch
