// What a tokenizer folder says, read as transformers 5 reads it and checked more strictly.
#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

#include "text/byte_pairs.hpp"
#include "text/token_names.hpp"
#include "text/tokenizer_json.hpp"

namespace sdtorch {

/// The byte-pair vocabulary.
struct ClipVocabulary {
  std::string file;                   ///< where the pieces come from, for messages
  std::vector<std::string> pieces;    ///< by id, no two alike
  std::vector<BytePairMerge> merges;  ///< by rank
};

struct ClipTokenizerFiles {
  ClipVocabulary vocabulary;
  std::vector<NamedToken> added;  ///< in the order in which they are added; a later one replaces an equal content
  NamedToken start, end, pad, unknown;
  TokenizerSettings settings;
};

/// pad_token: used where no file names one; empty: the end of a text.
/// Throws ErrorKind::model naming file and key, line or offset.
ClipTokenizerFiles read_clip_tokenizer(const std::filesystem::path& folder, const std::string& pad_token);

/// model.vocab and model.merges of a tokenizer.json whose other parts are CLIP's.
ClipVocabulary read_clip_vocabulary(const JsonFile& tokenizer_json);

/// vocab.json and merges.txt.
ClipVocabulary read_clip_vocabulary(const std::filesystem::path& vocab_file, const std::filesystem::path& merges_file);

}  // namespace sdtorch
