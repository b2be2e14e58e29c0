// CLIP's byte-pair tokenizer (Radford et al. 2021), equal to transformers' CLIPTokenizer.
#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

namespace sdtorch {

/// A prompt cut into chunks of equal length, ready for the text encoder.
struct TokenChunks {
  std::vector<std::vector<int64_t>> chunks{};  ///< each start, up to 75 ids, end, padding: model_max_length ids
  std::vector<size_t> lengths{};               ///< how many of the text's own ids each chunk holds
};

/// What a folder of vocab.json and merges.txt alone leaves open.
struct ClipTokenizerOptions {
  std::string pad_token{};  ///< where no file names one; empty: `<|endoftext|>`
};

/// Copies share the vocabulary; all that is const may be called from several threads.
class ClipTokenizer {
 public:
  /// folder: a model's `tokenizer` folder with tokenizer.json, or else vocab.json and merges.txt, and, where it has
  /// them, tokenizer_config.json, special_tokens_map.json and added_tokens.json.
  /// Throws ErrorKind::model naming file and key, line or offset.
  static ClipTokenizer load(const std::filesystem::path& folder, const ClipTokenizerOptions& options = {});

  /// The text's own ids, without start, end and padding. Special tokens count where they stand in the text.
  /// Throws ErrorKind::input with the offset of the first byte that is not UTF-8 as its place.
  std::vector<int64_t> encode(std::string_view text) const;

  /// The vocabulary's spelling of an id, as `convert_ids_to_tokens` prints it. id: 0…vocab_size() - 1.
  const std::string& piece(int64_t id) const;

  /// Cuts ids into chunks of `model_max_length - 2`, at least `min_chunks` (and one) of them.
  TokenChunks chunk(const std::vector<int64_t>& ids, size_t min_chunks = 1) const;

  int64_t start_id() const { return start_id_; }
  int64_t end_id() const { return end_id_; }
  int64_t pad_id() const { return pad_id_; }
  int64_t model_max_length() const { return model_max_length_; }  ///< ids in a chunk, 77 where nothing says it
  int64_t chunk_size() const { return model_max_length_ - 2; }    ///< ids of the text in a chunk
  int64_t vocab_size() const;                                     ///< added tokens included

 private:
  struct Model;

  std::shared_ptr<const Model> model_;
  int64_t start_id_ = 0, end_id_ = 0, pad_id_ = 0, model_max_length_ = 77;
};

}  // namespace sdtorch
