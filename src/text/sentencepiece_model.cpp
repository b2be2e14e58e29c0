#include "text/sentencepiece_model.hpp"

#include <fmt/format.h>

#include <bit>
#include <cmath>
#include <string_view>
#include <utility>

#include "core/base64.hpp"
#include "core/error.hpp"
#include "core/utf8.hpp"
#include "io/mapped_file.hpp"
#include "text/unicode.hpp"
#include "text/wire_format.hpp"

namespace sdtorch {
namespace {

using nlohmann::json;

constexpr size_t most_pieces = size_t{1} << 24;
constexpr size_t longest_piece = 4096;  // bytes

/// Holds what the segmentation counts on. place: the piece's, for messages.
void check(const SentencePiece& piece, const std::string& file, const std::string& place) {
  const auto fail = [&](const char* reason) {
    throw Error(ErrorKind::model, {.file = file, .place = place, .reason = reason});
  };
  if (piece.text.empty()) fail("an empty piece");
  if (piece.text.size() > longest_piece) fail("a piece of more than 4096 bytes");
  if (piece.text.find('\0') != std::string::npos) fail("a piece with a zero byte");
  if (invalid_utf8_offset(piece.text)) fail("a piece that is not valid UTF-8");
  if (!std::isfinite(piece.score)) fail("a score that is not finite");
}

void add(SentencepieceModel& model, SentencePiece piece, const std::string& place) {
  check(piece, model.file, place);
  if (model.pieces.size() >= most_pieces)
    throw Error(ErrorKind::model, {.file = model.file, .reason = fmt::format("more than {} pieces", most_pieces)});
  model.pieces.push_back(std::move(piece));
}

/// Files that stand where a model should, by their first bytes.
void refuse_other_files(std::string_view bytes, const std::string& file) {
  constexpr std::pair<std::string_view, const char*> others[] = {
      {"version https://git-lfs", "is a Git LFS pointer, not the model itself; fetch it with `git lfs pull`"},
      {"<!DOCTYPE", "is a web page, not a sentencepiece model"},
      {"<!doctype", "is a web page, not a sentencepiece model"},
      {"<html", "is a web page, not a sentencepiece model"},
  };
  for (const auto& [start, reason] : others) {
    if (bytes.starts_with(start)) throw Error(ErrorKind::model, {.file = file, .reason = reason});
  }
}

// Numbers of ModelProto's fields and of its parts'.
namespace model_field {
constexpr uint32_t piece = 1, trainer = 2, normalizer = 3;
}
namespace piece_field {
constexpr uint32_t text = 1, score = 2, kind = 3;
}
namespace trainer_field {
constexpr uint32_t segmentation = 3, byte_fallback = 35;
}
namespace normalizer_field {
constexpr uint32_t charsmap = 2;
}

SentencePiece read_piece(WireReader reader) {
  SentencePiece piece;
  while (const auto field = reader.next()) {
    if (field->number == piece_field::text && field->kind == WireField::Kind::bytes) {
      piece.text = field->bytes;
    } else if (field->number == piece_field::score && field->kind == WireField::Kind::fixed32) {
      piece.score = std::bit_cast<float>(static_cast<uint32_t>(field->value));
    } else if (field->number == piece_field::kind && field->kind == WireField::Kind::varint) {
      if (field->value < static_cast<uint64_t>(PieceKind::normal) ||
          field->value > static_cast<uint64_t>(PieceKind::byte))
        reader.fail(fmt::format("a piece of the unknown kind {}", field->value));
      piece.kind = static_cast<PieceKind>(field->value);
    }
  }
  return piece;
}

void read_trainer(WireReader reader, SentencepieceModel& model) {
  while (const auto field = reader.next()) {
    if (field->kind != WireField::Kind::varint) continue;
    if (field->number == trainer_field::byte_fallback) model.byte_fallback = field->value != 0;
    if (field->number != trainer_field::segmentation) continue;
    if (field->value < static_cast<uint64_t>(SegmentationKind::unigram) ||
        field->value > static_cast<uint64_t>(SegmentationKind::character))
      reader.fail(fmt::format("a model of the unknown type {}", field->value));
    model.segmentation = static_cast<SegmentationKind>(field->value);
  }
}

void read_normalizer(WireReader reader, SentencepieceModel& model) {
  while (const auto field = reader.next()) {
    if (field->number == normalizer_field::charsmap && field->kind == WireField::Kind::bytes)
      model.charsmap = field->bytes;
  }
}

/// The precompiled map of a normalizer, which may be one of a sequence.
std::string charsmap_of(const json& normalizer, const std::string& file) {
  if (!normalizer.is_object()) return {};
  const json type = normalizer.value("type", json());
  if (type == "Precompiled") {
    const json map = normalizer.value("precompiled_charsmap", json());
    if (map.is_null()) return {};
    const std::string place = "normalizer.precompiled_charsmap";
    if (!map.is_string()) fail_expected(file, place, "base64", map);
    if (auto decoded = decode_base64(map.get_ref<const std::string&>())) return *std::move(decoded);
    throw Error(ErrorKind::model, {.file = file, .place = place, .reason = "not base64"});
  }
  if (type == "Sequence" && normalizer.contains("normalizers")) {
    for (const json& part : normalizer["normalizers"]) {
      if (std::string map = charsmap_of(part, file); !map.empty()) return map;
    }
  }
  return {};
}

}  // namespace

SentencepieceModel read_sentencepiece_model(const std::filesystem::path& file) {
  const MappedFile mapped(file, ErrorKind::model);
  const std::string_view bytes(reinterpret_cast<const char*>(mapped.bytes().data()), mapped.bytes().size());
  SentencepieceModel model{.file = file.string()};
  refuse_other_files(bytes, model.file);
  WireReader reader(bytes, model.file);
  while (const auto field = reader.next()) {
    if (field->kind != WireField::Kind::bytes) continue;
    if (field->number == model_field::piece) {
      add(model, read_piece(reader.message(*field)), fmt::format("piece {}", model.pieces.size()));
    } else if (field->number == model_field::trainer) {
      read_trainer(reader.message(*field), model);
    } else if (field->number == model_field::normalizer) {
      read_normalizer(reader.message(*field), model);
    }
  }
  if (model.pieces.empty())
    throw Error(ErrorKind::model,
                {.file = model.file, .reason = "holds no pieces; a sentencepiece model was expected"});
  return model;
}

SentencepieceModel read_unigram_json(const JsonFile& tokenizer_json) {
  const std::string& file = tokenizer_json.file;
  const json& root = tokenizer_json.value("model");
  if (!root.is_object()) fail_expected(file, "model", "an object", root);
  if (const json type = root.value("type", json("Unigram")); type != "Unigram")
    fail_expected(file, "model.type", "Unigram", type);
  const json vocab = root.value("vocab", json());
  if (!vocab.is_array() || vocab.empty()) fail_expected(file, "model.vocab", "a list of pieces and scores", vocab);

  SentencepieceModel model{.file = file};
  for (const json& entry : vocab) {
    const std::string place = fmt::format("model.vocab[{}]", model.pieces.size());
    if (!entry.is_array() || entry.size() != 2 || !entry[0].is_string() || !entry[1].is_number())
      fail_expected(file, place, "a piece and its score", entry);
    add(model, {.text = entry[0].get<std::string>(), .score = entry[1].get<float>()}, place);
  }
  const json unknown = root.value("unk_id", json());
  if (!unknown.is_number_unsigned() || unknown.get<uint64_t>() >= model.pieces.size())
    fail_expected(file, "model.unk_id", "the id of a piece", unknown);
  model.pieces[unknown.get<size_t>()].kind = PieceKind::unknown;
  model.charsmap = charsmap_of(tokenizer_json.value("normalizer"), file);
  return model;
}

}  // namespace sdtorch
