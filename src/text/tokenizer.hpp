// What every tokenizer has in common: text → ids, and ids → chunks that a text encoder takes.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace sdtorch {

/// A prompt cut into chunks of equal length, ready for the text encoder.
struct TokenChunks {
  std::vector<std::vector<int64_t>> chunks{};  ///< each start, the text's ids, end, padding: model_max_length ids
  std::vector<size_t> lengths{};               ///< how many of the text's own ids each chunk holds
};

/// A vocabulary and its rules: what tells one kind of tokenizer from another.
class TokenModel {
 public:
  virtual ~TokenModel() = default;

  /// The text's own ids. text: well-formed UTF-8.
  virtual std::vector<int64_t> encode(std::string_view text) const = 0;

  /// By id, added tokens included.
  virtual const std::vector<std::string>& pieces() const = 0;
};

/// What stands around the text's own ids in a chunk.
struct TokenFrame {
  std::optional<int64_t> start_id{};  ///< none: a chunk begins with the text
  int64_t end_id = 0, pad_id = 0;
  int64_t model_max_length = 77;  ///< ids in a chunk
};

/// Copies share the vocabulary; all that is const may be called from several threads.
class Tokenizer {
 public:
  Tokenizer() = default;  ///< holds nothing; to be assigned

  /// The text's own ids, without start, end and padding. Special tokens count where they stand in the text.
  /// Throws ErrorKind::input with the offset of the first byte that is not UTF-8 as its place.
  std::vector<int64_t> encode(std::string_view text) const;

  /// The vocabulary's spelling of an id, as `convert_ids_to_tokens` prints it. id: 0…vocab_size() - 1.
  const std::string& piece(int64_t id) const;

  /// One chunk: start, ids, end, padding. ids: chunk_size of them at most.
  std::vector<int64_t> framed(const std::vector<int64_t>& ids) const;

  /// Cuts ids into chunks of `chunk_size`, at least `min_chunks` (and one) of them.
  TokenChunks chunk(const std::vector<int64_t>& ids, size_t min_chunks = 1) const;

  std::optional<int64_t> start_id() const { return frame_.start_id; }
  int64_t end_id() const { return frame_.end_id; }
  int64_t pad_id() const { return frame_.pad_id; }
  int64_t model_max_length() const { return frame_.model_max_length; }  ///< ids in a chunk, 77 where nothing says it
  int64_t ids_around() const { return frame_.start_id ? 2 : 1; }        ///< start and end
  int64_t chunk_size() const { return model_max_length() - ids_around(); }  ///< ids of the text in a chunk
  int64_t vocab_size() const;                                               ///< added tokens included

 protected:
  Tokenizer(std::shared_ptr<const TokenModel> model, const TokenFrame& frame);

 private:
  std::shared_ptr<const TokenModel> model_;
  TokenFrame frame_;
};

}  // namespace sdtorch
