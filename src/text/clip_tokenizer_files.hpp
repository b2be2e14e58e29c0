// What a tokenizer folder says, read as transformers 5 reads it and checked more strictly.
#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "sdtorch/text/added_tokens.hpp"
#include "sdtorch/text/byte_pairs.hpp"
#include "tokenizer_json.hpp"

namespace sdtorch {

/// The byte-pair vocabulary.
struct ClipVocabulary {
  std::string file;                   ///< where the pieces come from, for messages
  std::vector<std::string> pieces;    ///< by id, no two alike
  std::vector<BytePairMerge> merges;  ///< by rank
};

/// A token that the files name; its id where they say one.
struct NamedToken {
  AddedToken token;
  std::optional<int64_t> id{};
  std::string file{}, place{};  ///< where it is named, for messages
};

struct ClipTokenizerFiles {
  ClipVocabulary vocabulary;
  std::vector<NamedToken> added;  ///< in the order in which they are added; a later one replaces an equal content
  NamedToken start, end, pad, unknown;
  int64_t model_max_length = 77;
  bool split_special_tokens = false;  ///< special tokens in the text are split like any other
};

/// pad_token: used where no file names one, as if special_tokens_map.json did; empty: the end of a text.
/// Throws ErrorKind::model naming file and key, line or offset.
ClipTokenizerFiles read_clip_tokenizer(const std::filesystem::path& folder, const std::string& pad_token);

/// model.vocab and model.merges of a tokenizer.json whose other parts are CLIP's.
ClipVocabulary read_clip_vocabulary(const JsonFile& tokenizer_json);

/// vocab.json and merges.txt.
ClipVocabulary read_clip_vocabulary(const std::filesystem::path& vocab_file, const std::filesystem::path& merges_file);

}  // namespace sdtorch
