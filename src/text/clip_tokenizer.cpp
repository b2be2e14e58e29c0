#include "text/clip_tokenizer.hpp"

#include <memory>
#include <optional>
#include <utility>

#include "core/error.hpp"
#include "text/added_vocabulary.hpp"
#include "text/byte_pairs.hpp"
#include "text/clip_tokenizer_files.hpp"
#include "text/clip_words.hpp"

namespace sdtorch {
namespace {

class ClipTokenModel final : public TokenModel {
 public:
  ClipTokenModel(AddedVocabulary vocabulary, BytePairs byte_pairs)
      : vocabulary_(std::move(vocabulary)), byte_pairs_(std::move(byte_pairs)) {}

  std::vector<int64_t> encode(std::string_view text) const override {
    std::vector<int64_t> ids;
    vocabulary_.encode(text, ids, [&](std::string_view span, std::vector<int64_t>& out) {
      for (const std::string_view word : clip_words(span)) byte_pairs_.encode(word, out);
    });
    return ids;
  }

  const std::vector<std::string>& pieces() const override { return vocabulary_.pieces(); }

 private:
  AddedVocabulary vocabulary_;
  BytePairs byte_pairs_;
};

}  // namespace

ClipTokenizer ClipTokenizer::load(const std::filesystem::path& folder, const ClipTokenizerOptions& options) {
  const ClipTokenizerFiles files = read_clip_tokenizer(folder, options.pad_token);
  const ClipVocabulary& vocabulary = files.vocabulary;
  PieceIds ids;
  ids.reserve(vocabulary.pieces.size());
  for (size_t id = 0; id < vocabulary.pieces.size(); ++id) ids.emplace(vocabulary.pieces[id], static_cast<int32_t>(id));

  AddedVocabulary added(vocabulary.pieces, ids, files.added,
                        {.file = vocabulary.file,
                         .normalize = clip_normalize,
                         .required = {files.start.token.content, files.end.token.content, files.pad.token.content},
                         .split_special_tokens = files.settings.split_special_tokens});
  const TokenFrame frame{.start_id = added.id_of(files.start),
                         .end_id = added.id_of(files.end),
                         .pad_id = added.id_of(files.pad),
                         .model_max_length = files.settings.model_max_length};

  std::optional<int32_t> unknown;
  if (const auto found = ids.find(files.unknown.token.content); found != ids.end()) unknown = found->second;
  const auto byte_pairs = [&] {
    try {
      return BytePairs(ids, vocabulary.merges, unknown);
    } catch (const Error& error) {
      throw Error(error.kind(), {.file = vocabulary.file, .reason = error.parts().reason});
    }
  };
  return {std::make_shared<const ClipTokenModel>(std::move(added), byte_pairs()), frame};
}

}  // namespace sdtorch
