#include "text/tokenizer.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "core/error.hpp"
#include "core/utf8.hpp"
#include "text/unicode.hpp"

namespace sdtorch {

Tokenizer::Tokenizer(std::shared_ptr<const TokenModel> model, const TokenFrame& frame)
    : model_(std::move(model)), frame_(frame) {}

std::vector<int64_t> Tokenizer::encode(std::string_view text) const {
  if (const auto offset = invalid_utf8_offset(text))
    throw Error(ErrorKind::input,
                {.file = "prompt", .place = fmt::format("offset {}", *offset), .reason = "not valid UTF-8"});
  return model_->encode(text);
}

const std::string& Tokenizer::piece(int64_t id) const {
  if (id < 0 || id >= vocab_size()) throw Error(ErrorKind::bug, {.reason = fmt::format("no token has the id {}", id)});
  return model_->pieces()[static_cast<size_t>(id)];
}

int64_t Tokenizer::vocab_size() const { return static_cast<int64_t>(model_->pieces().size()); }

std::vector<int64_t> Tokenizer::framed(const std::vector<int64_t>& ids) const {
  std::vector<int64_t> chunk;
  chunk.reserve(static_cast<size_t>(model_max_length()));
  if (frame_.start_id) chunk.push_back(*frame_.start_id);
  chunk.insert(chunk.end(), ids.begin(), ids.end());
  chunk.push_back(frame_.end_id);
  chunk.resize(static_cast<size_t>(model_max_length()), frame_.pad_id);
  return chunk;
}

TokenChunks Tokenizer::chunk(const std::vector<int64_t>& ids, size_t min_chunks) const {
  const auto usable = static_cast<size_t>(chunk_size());
  const size_t count = std::max({(ids.size() + usable - 1) / usable, min_chunks, size_t{1}});
  TokenChunks result;
  for (size_t i = 0; i < count; ++i) {
    const size_t first = std::min(i * usable, ids.size()), last = std::min(first + usable, ids.size());
    result.chunks.push_back(
        framed({ids.begin() + static_cast<std::ptrdiff_t>(first), ids.begin() + static_cast<std::ptrdiff_t>(last)}));
    result.lengths.push_back(last - first);
  }
  return result;
}

}  // namespace sdtorch
