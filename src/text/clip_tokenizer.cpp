#include "sdtorch/text/clip_tokenizer.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <unordered_map>
#include <utility>

#include "clip_tokenizer_files.hpp"
#include "clip_words.hpp"
#include "sdtorch/core/error.hpp"
#include "sdtorch/text/added_tokens.hpp"
#include "sdtorch/text/byte_pairs.hpp"
#include "sdtorch/text/unicode.hpp"

namespace sdtorch {

struct ClipTokenizer::Model {
  std::vector<std::string> pieces;  // by id
  BytePairs byte_pairs;
  AddedTokenMatcher raw, normalized;  // tokens that are looked for before and after normalization
};

namespace {

using PieceIds = std::unordered_map<std::string_view, int32_t>;

[[noreturn]] void fail_token(const NamedToken& named, std::string reason) {
  throw Error(ErrorKind::model, {.file = named.file, .place = named.place, .reason = std::move(reason)});
}

/// The added tokens by content, each with its id: the vocabulary's, or the next free one. Ids are those of the
/// vocabulary, so a file that gives a token another id is wrong about the embedding's row.
std::map<std::string, AddedTokenMatcher::Entry> number(const ClipTokenizerFiles& files, const PieceIds& ids,
                                                       std::vector<std::string>& pieces) {
  std::map<std::string, AddedTokenMatcher::Entry> entries;
  for (const NamedToken& named : files.added) {
    const AddedToken& token = named.token;
    if (token.content.empty()) continue;
    auto known = entries.find(token.content);
    if (known == entries.end()) {
      int64_t id = 0;
      if (const auto found = ids.find(token.content); found != ids.end()) {
        id = found->second;
      } else {
        const bool required = token.content == files.start.token.content || token.content == files.end.token.content ||
                              token.content == files.pad.token.content;
        if (required && !named.id) fail_token(named, fmt::format("{:?} is not in the vocabulary", token.content));
        id = static_cast<int64_t>(pieces.size());
        pieces.push_back(token.content);
      }
      known = entries.emplace(token.content, AddedTokenMatcher::Entry{.pattern = {}, .token = {}, .id = id}).first;
    }
    AddedTokenMatcher::Entry& entry = known->second;
    if (named.id && *named.id != entry.id)
      fail_token(named,
                 fmt::format("{:?} has id {} here, but {} in the vocabulary", token.content, *named.id, entry.id));
    entry.token = token;
    entry.pattern = token.normalized ? clip_normalize(token.content) : token.content;
    // What has been normalized is spelled so from then on.
    if (entry.pattern != token.content) pieces[static_cast<size_t>(entry.id)] = entry.pattern;
  }
  return entries;
}

std::vector<AddedTokenMatcher::Entry> select(const std::map<std::string, AddedTokenMatcher::Entry>& entries,
                                             const std::string& file, bool normalized) {
  std::vector<AddedTokenMatcher::Entry> selected;
  std::map<std::string, std::string> content_of;
  for (const auto& [content, entry] : entries) {
    if (entry.token.normalized != normalized) continue;
    const auto [other, is_new] = content_of.emplace(entry.pattern, content);
    if (!is_new)
      throw Error(ErrorKind::model, {.file = file,
                                     .reason = fmt::format("the added tokens {:?} and {:?} cannot be told apart once "
                                                           "normalized",
                                                           other->second, content)});
    selected.push_back(entry);
  }
  return selected;
}

}  // namespace

ClipTokenizer ClipTokenizer::load(const std::filesystem::path& folder, const ClipTokenizerOptions& options) {
  ClipTokenizerFiles files = read_clip_tokenizer(folder, options.pad_token);
  ClipVocabulary& vocabulary = files.vocabulary;
  PieceIds ids;
  ids.reserve(vocabulary.pieces.size());
  for (size_t id = 0; id < vocabulary.pieces.size(); ++id) ids.emplace(vocabulary.pieces[id], static_cast<int32_t>(id));

  std::vector<std::string> pieces = vocabulary.pieces;
  const auto added = number(files, ids, pieces);
  const auto id_of = [&](const NamedToken& named) -> int64_t {
    if (const auto found = added.find(named.token.content); found != added.end()) return found->second.id;
    fail_token(named, "an empty token");
  };

  std::optional<int32_t> unknown;
  if (const auto found = ids.find(files.unknown.token.content); found != ids.end()) unknown = found->second;
  const auto byte_pairs = [&] {
    try {
      return BytePairs(ids, vocabulary.merges, unknown);
    } catch (const Error& error) {
      throw Error(error.kind(), {.file = vocabulary.file, .reason = error.parts().reason});
    }
  };

  ClipTokenizer tokenizer;
  tokenizer.start_id_ = id_of(files.start);
  tokenizer.end_id_ = id_of(files.end);
  tokenizer.pad_id_ = id_of(files.pad);
  tokenizer.model_max_length_ = files.model_max_length;
  tokenizer.model_ = std::make_shared<const Model>(
      Model{.pieces = std::move(pieces),
            .byte_pairs = byte_pairs(),
            .raw = AddedTokenMatcher(select(added, vocabulary.file, false), files.split_special_tokens),
            .normalized = AddedTokenMatcher(select(added, vocabulary.file, true), files.split_special_tokens)});
  return tokenizer;
}

std::vector<int64_t> ClipTokenizer::encode(std::string_view text) const {
  if (const size_t offset = find_invalid_utf8(text); offset != std::string_view::npos)
    throw Error(ErrorKind::input,
                {.file = "prompt", .place = fmt::format("offset {}", offset), .reason = "not valid UTF-8"});
  std::vector<int64_t> ids;
  for (const TextSpan& raw : model_->raw.split(text)) {
    if (raw.id) {
      ids.push_back(*raw.id);
      continue;
    }
    const std::string normalized = clip_normalize(raw.text);
    for (const TextSpan& span : model_->normalized.split(normalized)) {
      if (span.id)
        ids.push_back(*span.id);
      else
        for (const std::string_view word : clip_words(span.text)) model_->byte_pairs.encode(word, ids);
    }
  }
  return ids;
}

const std::string& ClipTokenizer::piece(int64_t id) const {
  if (id < 0 || id >= vocab_size()) throw Error(ErrorKind::bug, {.reason = fmt::format("no token has the id {}", id)});
  return model_->pieces[static_cast<size_t>(id)];
}

int64_t ClipTokenizer::vocab_size() const { return static_cast<int64_t>(model_->pieces.size()); }

TokenChunks ClipTokenizer::chunk(const std::vector<int64_t>& ids, size_t min_chunks) const {
  const auto usable = static_cast<size_t>(chunk_size());
  const size_t count = std::max({(ids.size() + usable - 1) / usable, min_chunks, size_t{1}});
  TokenChunks result;
  for (size_t i = 0; i < count; ++i) {
    const size_t first = std::min(i * usable, ids.size()), last = std::min(first + usable, ids.size());
    std::vector<int64_t> chunk;
    chunk.reserve(static_cast<size_t>(model_max_length_));
    chunk.push_back(start_id_);
    chunk.insert(chunk.end(), ids.begin() + static_cast<std::ptrdiff_t>(first),
                 ids.begin() + static_cast<std::ptrdiff_t>(last));
    chunk.push_back(end_id_);
    chunk.resize(static_cast<size_t>(model_max_length_), pad_id_);
    result.chunks.push_back(std::move(chunk));
    result.lengths.push_back(last - first);
  }
  return result;
}

}  // namespace sdtorch
