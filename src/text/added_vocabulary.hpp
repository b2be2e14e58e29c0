// A vocabulary with the tokens that a model's files add to it, and where they are looked for in a text.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "text/added_tokens.hpp"
#include "text/token_names.hpp"

namespace sdtorch {

/// Piece → id; the pieces are kept elsewhere.
using PieceIds = std::unordered_map<std::string_view, int32_t>;

struct AddedVocabularyOptions {
  std::string file;  ///< the vocabulary's, for messages
  std::function<std::string(std::string_view)> normalize;
  std::vector<std::string> required{};  ///< tokens that the vocabulary or a file must give an id
  bool split_special_tokens = false;    ///< special tokens in the text are split like any other
};

class AddedVocabulary {
 public:
  /// pieces: by id, with their ids. added: as TokenNames::to_add orders them; each gets its vocabulary id or the next
  /// free one. Ids are those of the vocabulary, so a file that gives a token another id is wrong about the
  /// embedding's row. Throws ErrorKind::model naming file and key.
  AddedVocabulary(std::vector<std::string> pieces, const PieceIds& ids, const std::vector<NamedToken>& added,
                  const AddedVocabularyOptions& options);

  const std::vector<std::string>& pieces() const { return pieces_; }  ///< by id, added tokens included

  /// The id of a token that was added. Throws ErrorKind::model for an empty one.
  int64_t id_of(const NamedToken& named) const;

  /// Calls `text` for what is not an added token, normalized, and appends the added tokens' ids.
  void encode(std::string_view text, std::vector<int64_t>& out,
              const std::function<void(std::string_view text, std::vector<int64_t>& out)>& encode_text) const;

 private:
  void number(const PieceIds& ids, const std::vector<NamedToken>& added, const AddedVocabularyOptions& options);
  std::vector<AddedTokenMatcher::Entry> select(const std::string& file, bool normalized) const;

  std::vector<std::string> pieces_;
  std::map<std::string, AddedTokenMatcher::Entry> entries_;  // by content
  std::function<std::string(std::string_view)> normalize_;
  AddedTokenMatcher raw_, normalized_;  // tokens that are looked for before and after normalization
};

}  // namespace sdtorch
