// CLIP's byte-pair tokenizer (Radford et al. 2021), equal to transformers' CLIPTokenizer.
#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <string_view>
#include <vector>

namespace sdtorch {

/// A prompt cut into chunks of equal length, ready for the text encoder.
struct TokenChunks {
  std::vector<std::vector<int64_t>> chunks{};  ///< each start, up to 75 ids, end, padding: model_max_length ids
  std::vector<size_t> lengths{};               ///< how many of the text's own ids each chunk holds
};

class ClipTokenizer {
 public:
  /// folder: a model's `tokenizer` folder with vocab.json + merges.txt or tokenizer.json, and
  /// tokenizer_config.json / special_tokens_map.json where it has them.
  /// Throws ErrorKind::model naming file and place.
  static ClipTokenizer load(const std::filesystem::path& folder);

  /// The text's own ids, without start, end and padding.
  /// Throws ErrorKind::input with the offset of the first byte that is not UTF-8.
  std::vector<int64_t> encode(std::string_view text) const;

  /// The vocabulary's spelling of an id, as `convert_ids_to_tokens` prints it.
  const std::string& piece(int64_t id) const;

  /// Cuts ids into chunks of `model_max_length - 2`, at least `min_chunks` (and one) of them.
  TokenChunks chunk(const std::vector<int64_t>& ids, size_t min_chunks = 1) const;

  int64_t start_id() const { return start_id_; }
  int64_t end_id() const { return end_id_; }
  int64_t pad_id() const { return pad_id_; }
  int64_t model_max_length() const { return model_max_length_; }
  int64_t vocab_size() const { return static_cast<int64_t>(pieces_.size()); }

 private:
  std::vector<std::string> pieces_;
  int64_t start_id_ = 0, end_id_ = 0, pad_id_ = 0, model_max_length_ = 77;
};

}  // namespace sdtorch
