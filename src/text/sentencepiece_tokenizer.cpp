#include "text/sentencepiece_tokenizer.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <string>
#include <string_view>
#include <vector>

#include "core/error.hpp"
#include "core/utf8.hpp"
#include "text/added_vocabulary.hpp"
#include "text/charsmap.hpp"
#include "text/sentencepiece_model.hpp"
#include "text/sentencepiece_segmenter.hpp"
#include "text/token_names.hpp"
#include "text/unicode.hpp"

namespace sdtorch {
namespace {

namespace fs = std::filesystem;
using nlohmann::json;

constexpr std::string_view space_mark = "▁";  // U+2581, a space as sentencepiece writes it

enum class Layout { xlm_roberta, t5 };

constexpr const char* model_file_of(Layout layout) {
  return layout == Layout::xlm_roberta ? "sentencepiece.bpe.model" : "spiece.model";
}

/// What a class of transformers has by itself.
TokenDefaults defaults_of(Layout layout) {
  TokenDefaults tokens{{"eos_token", "</s>"}, {"unk_token", "<unk>"}, {"pad_token", "<pad>"}};
  if (layout == Layout::xlm_roberta) {
    tokens.merge(
        TokenDefaults{{"bos_token", "<s>"}, {"sep_token", "</s>"}, {"cls_token", "<s>"}, {"mask_token", "<mask>"}});
  }
  return tokens;
}

Layout layout_of(const fs::path& folder, const JsonFile& config, const std::optional<JsonFile>& whole) {
  if (const json& name = config.value("tokenizer_class"); name.is_string()) {
    const auto& text = name.get_ref<const std::string&>();
    if (text.starts_with("XLMRobertaTokenizer")) return Layout::xlm_roberta;
    if (text.starts_with("T5Tokenizer")) return Layout::t5;
  }
  if (!whole) return fs::exists(folder / model_file_of(Layout::t5)) ? Layout::t5 : Layout::xlm_roberta;
  // A start token in front of the text is the difference.
  const json::json_pointer first("/post_processor/single/0/SpecialToken");
  return whole->root.contains(first) ? Layout::xlm_roberta : Layout::t5;
}

/// fairseq's order: four special tokens in front, the model's own first three left out, the mask at the end.
void lay_out_as_fairseq(SentencepieceModel& model, const TokenNames& names) {
  constexpr size_t left_out = 3;  // unknown, start and end
  const auto control = [&](const char* key, PieceKind kind = PieceKind::control) {
    return SentencePiece{.text = names.named(key).token.content, .kind = kind};
  };
  if (model.pieces.size() <= left_out)
    throw Error(ErrorKind::model, {.file = model.file, .reason = "an XLM-RoBERTa model has more than three pieces"});
  std::vector<SentencePiece> pieces = {control("bos_token"), control("pad_token"), control("eos_token"),
                                       control("unk_token", PieceKind::unknown)};
  for (size_t i = left_out; i < model.pieces.size(); ++i) {
    if (model.pieces[i].kind == PieceKind::unknown) model.pieces[i].kind = PieceKind::control;
    pieces.push_back(std::move(model.pieces[i]));
  }
  pieces.push_back(control("mask_token"));
  model.pieces = std::move(pieces);
}

/// T5's sentinels follow the model's pieces, the last one first.
void append_extra_ids(SentencepieceModel& model, const JsonFile& config) {
  constexpr int64_t usual_count = 100, highest_count = 10000;
  int64_t count = usual_count;
  if (const json& given = config.value("extra_ids"); !given.is_null()) {
    if (!given.is_number_unsigned() || given > highest_count)
      fail_expected(config.file, "extra_ids", fmt::format("a number from 0 to {}", highest_count), given);
    count = given.get<int64_t>();
  }
  for (int64_t i = count - 1; i >= 0; --i)
    model.pieces.push_back({.text = fmt::format("<extra_id_{}>", i), .kind = PieceKind::control});
}

/// Control pieces and user-defined ones are tokens of their own, which no normalization reaches.
std::vector<NamedToken> tokens_of_model(const SentencepieceModel& model) {
  std::vector<NamedToken> tokens;
  for (const SentencePiece& piece : model.pieces) {
    if (piece.kind != PieceKind::control && piece.kind != PieceKind::user_defined) continue;
    tokens.push_back(
        {.token = {.content = piece.text, .normalized = false, .special = piece.kind == PieceKind::control},
         .file = model.file,
         .place = fmt::format("piece {:?}", piece.text)});
  }
  return tokens;
}

class SentencepieceTokenModel final : public TokenModel {
 public:
  SentencepieceTokenModel(AddedVocabulary vocabulary, SentencepieceSegmenter segmenter)
      : vocabulary_(std::move(vocabulary)), segmenter_(std::move(segmenter)) {}

  std::vector<int64_t> encode(std::string_view text) const override {
    std::vector<int64_t> ids;
    vocabulary_.encode(text, ids, [&](std::string_view span, std::vector<int64_t>& out) { encode_text(span, out); });
    return ids;
  }

  const std::vector<std::string>& pieces() const override { return vocabulary_.pieces(); }

 private:
  /// Words end at white space; a space mark stands in front of each.
  void encode_text(std::string_view text, std::vector<int64_t>& out) const {
    for (size_t offset = 0; offset < text.size();) {
      size_t after = offset;
      if (char_class(next_code_point(text, after)) == CharClass::space) {
        offset = after;
        continue;
      }
      size_t end = after;
      while (end < text.size()) {
        size_t next = end;
        if (char_class(next_code_point(text, next)) == CharClass::space) break;
        end = next;
      }
      encode_word(text.substr(offset, end - offset), out);
      offset = end;
    }
  }

  /// A space mark within a word begins another one.
  void encode_word(std::string_view word, std::vector<int64_t>& out) const {
    std::string marked(word.starts_with(space_mark) ? "" : space_mark);
    marked += word;
    for (std::string_view rest = marked; !rest.empty();) {
      const size_t end = std::min(rest.find(space_mark, space_mark.size()), rest.size());
      segmenter_.encode(rest.substr(0, end), out);
      rest.remove_prefix(end);
    }
  }

  AddedVocabulary vocabulary_;
  SentencepieceSegmenter segmenter_;
};

bool lower_case_of(const JsonFile& config) {
  const json& value = config.value("do_lower_case");
  if (value.is_null()) return false;
  if (!value.is_boolean()) fail_expected(config.file, "do_lower_case", "true or false", value);
  return value.get<bool>();
}

fs::path model_file(const fs::path& folder, Layout layout) {
  const fs::path file = folder / model_file_of(layout);
  if (!fs::exists(file))
    throw Error(ErrorKind::model, {.file = file.string(),
                                   .reason = "no such file",
                                   .hint = "a sentencepiece tokenizer is that file or tokenizer.json"});
  return file;
}

}  // namespace

SentencepieceTokenizer SentencepieceTokenizer::load(const fs::path& folder,
                                                    const SentencepieceTokenizerOptions& options) {
  if (!fs::is_directory(folder))
    throw Error(ErrorKind::model,
                {.file = folder.string(), .reason = "no such folder; a tokenizer is a folder of files"});
  JsonFile config;
  if (const auto file = folder / "tokenizer_config.json"; fs::exists(file)) config = read_tokenizer_json(file);
  // As transformers does: the model file is not looked at beside a tokenizer.json.
  std::optional<JsonFile> whole;
  if (const auto file = folder / "tokenizer.json"; fs::exists(file)) whole = read_tokenizer_json(file);
  const Layout layout = layout_of(folder, config, whole);
  const TokenNames names(folder, whole, defaults_of(layout));
  const TokenizerSettings settings =
      read_settings(config, {"XLMRobertaTokenizer", "XLMRobertaTokenizerFast", "T5Tokenizer", "T5TokenizerFast"});

  SentencepieceModel model = whole ? read_unigram_json(*whole) : read_sentencepiece_model(model_file(folder, layout));
  std::vector<NamedToken> added;
  if (!whole) {
    if (layout == Layout::xlm_roberta)
      lay_out_as_fairseq(model, names);
    else
      append_extra_ids(model, config);
    added = tokens_of_model(model);
  }
  for (NamedToken& token : names.to_add()) added.push_back(std::move(token));

  std::vector<std::string> pieces;
  for (const SentencePiece& piece : model.pieces) pieces.push_back(piece.text);
  PieceIds ids;
  for (size_t id = 0; id < pieces.size(); ++id) ids.insert_or_assign(pieces[id], static_cast<int32_t>(id));
  const auto charsmap = std::make_shared<const Charsmap>(model.charsmap, model.file);
  const bool lower_case = options.lower_case || lower_case_of(config);
  AddedVocabulary vocabulary(pieces, ids, added,
                             {.file = model.file,
                              .normalize =
                                  [charsmap, lower_case](std::string_view text) {
                                    return lower_case ? charsmap->normalize(to_lower(text)) : charsmap->normalize(text);
                                  },
                              .split_special_tokens = settings.split_special_tokens});
  TokenFrame frame{.end_id = vocabulary.id_of(names.named("eos_token")),
                   .pad_id = vocabulary.id_of(names.named("pad_token")),
                   .model_max_length = options.model_max_length.value_or(settings.model_max_length)};
  if (layout == Layout::xlm_roberta) frame.start_id = vocabulary.id_of(names.named("bos_token"));
  return {std::make_shared<const SentencepieceTokenModel>(std::move(vocabulary), SentencepieceSegmenter(model)), frame};
}

}  // namespace sdtorch
