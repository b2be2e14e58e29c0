#include "text/added_vocabulary.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "core/error.hpp"

namespace sdtorch {
namespace {

[[noreturn]] void fail_token(const NamedToken& named, std::string reason) {
  throw Error(ErrorKind::model, {.file = named.file, .place = named.place, .reason = std::move(reason)});
}

}  // namespace

AddedVocabulary::AddedVocabulary(std::vector<std::string> pieces, const PieceIds& ids,
                                 const std::vector<NamedToken>& added, const AddedVocabularyOptions& options)
    : pieces_(std::move(pieces)), normalize_(options.normalize) {
  number(ids, added, options);
  raw_ = AddedTokenMatcher(select(options.file, false), options.split_special_tokens);
  normalized_ = AddedTokenMatcher(select(options.file, true), options.split_special_tokens);
}

void AddedVocabulary::number(const PieceIds& ids, const std::vector<NamedToken>& added,
                             const AddedVocabularyOptions& options) {
  for (const NamedToken& named : added) {
    const AddedToken& token = named.token;
    if (token.content.empty()) continue;
    auto known = entries_.find(token.content);
    if (known == entries_.end()) {
      int64_t id = 0;
      if (const auto found = ids.find(token.content); found != ids.end()) {
        id = found->second;
      } else {
        const bool required = std::ranges::find(options.required, token.content) != options.required.end();
        if (required && !named.id) fail_token(named, fmt::format("{:?} is not in the vocabulary", token.content));
        id = static_cast<int64_t>(pieces_.size());
        pieces_.push_back(token.content);
      }
      known = entries_.emplace(token.content, AddedTokenMatcher::Entry{.pattern = {}, .token = {}, .id = id}).first;
    }
    AddedTokenMatcher::Entry& entry = known->second;
    if (named.id && *named.id != entry.id)
      fail_token(named,
                 fmt::format("{:?} has id {} here, but {} in the vocabulary", token.content, *named.id, entry.id));
    entry.token = token;
    entry.pattern = token.normalized ? normalize_(token.content) : token.content;
    // What has been normalized is spelled so from then on.
    if (entry.pattern != token.content) pieces_[static_cast<size_t>(entry.id)] = entry.pattern;
  }
}

std::vector<AddedTokenMatcher::Entry> AddedVocabulary::select(const std::string& file, bool normalized) const {
  std::vector<AddedTokenMatcher::Entry> selected;
  std::map<std::string, std::string> content_of;
  for (const auto& [content, entry] : entries_) {
    if (entry.token.normalized != normalized || entry.pattern.empty()) continue;
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

int64_t AddedVocabulary::id_of(const NamedToken& named) const {
  if (const auto found = entries_.find(named.token.content); found != entries_.end()) return found->second.id;
  fail_token(named, "an empty token");
}

void AddedVocabulary::encode(std::string_view text, std::vector<int64_t>& out,
                             const std::function<void(std::string_view, std::vector<int64_t>&)>& encode_text) const {
  for (const TextSpan& raw : raw_.split(text)) {
    if (raw.id) {
      out.push_back(*raw.id);
      continue;
    }
    const std::string normal = normalize_(raw.text);
    for (const TextSpan& span : normalized_.split(normal)) {
      if (span.id)
        out.push_back(*span.id);
      else
        encode_text(span.text, out);
    }
  }
}

}  // namespace sdtorch
