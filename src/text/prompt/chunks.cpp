#include "text/prompt/chunks.hpp"

#include <algorithm>
#include <array>
#include <iterator>
#include <optional>
#include <string>
#include <string_view>
#include <utility>

namespace sdtorch {
namespace {

/// Chunks as they fill.
class Filling {
 public:
  explicit Filling(size_t capacity) : capacity_(capacity) {}

  std::vector<WeightedToken>& tokens() { return chunk_.tokens; }
  void add_stray(const StrayVector& stray) { chunk_.strays.push_back(stray); }
  bool is_full() const { return chunk_.tokens.size() >= capacity_; }
  size_t room() const { return capacity_ - chunk_.tokens.size(); }

  void next() { chunks_.push_back(std::exchange(chunk_, {})); }

  std::vector<WeightedChunk> finish() {
    if (!chunk_.tokens.empty() || chunks_.empty()) next();
    return std::move(chunks_);
  }

 private:
  size_t capacity_;
  WeightedChunk chunk_{};
  std::vector<WeightedChunk> chunks_{};
};

WeightedToken token_of(const TokenGroup& group, int64_t id) {
  return {.id = id, .weight = group.weight, .piece = group.piece};
}

void append_tokens(std::vector<WeightedToken>& chunk, const TokenGroup& group, size_t first, size_t count) {
  for (size_t i = first; i < first + count; ++i) chunk.push_back(token_of(group, group.ids[i]));
}

/// A group that stays whole, as far as a chunk can hold it.
void fill_whole(Filling& filling, const TokenGroup& group) {
  if (group.ids.size() > filling.room() && !filling.tokens().empty()) filling.next();
  for (const int64_t id : group.ids) {
    if (filling.is_full()) filling.next();
    filling.tokens().push_back(token_of(group, id));
  }
}

std::vector<WeightedChunk> cut_plainly(std::span<const TokenGroup> groups, size_t capacity) {
  Filling filling(capacity);
  for (const TokenGroup& group : groups) {
    if (group.new_chunk) {
      filling.next();
    } else if (group.whole) {
      fill_whole(filling, group);
    } else {
      for (const int64_t id : group.ids) {
        if (filling.is_full()) filling.next();
        filling.tokens().push_back(token_of(group, id));
      }
    }
  }
  return filling.finish();
}

/// A1111's rule: the clause that straddles a full chunk's end goes over to the next.
class CommaCutter {
 public:
  CommaCutter(size_t capacity, std::optional<int64_t> comma, const MovedVectors& moved)
      : filling_(capacity), comma_(comma), moved_(moved) {}

  std::vector<WeightedChunk> cut(std::span<const TokenGroup> groups) {
    for (const TokenGroup& group : groups) {
      if (group.new_chunk) {
        next();
      } else if (group.whole && !group.ids.empty()) {
        make_room(group.ids.front());
        if (group.ids.size() > filling_.room()) last_comma_.reset();
        fill_whole(filling_, group);
      } else {
        for (const int64_t id : group.ids) {
          make_room(id);
          filling_.tokens().push_back(token_of(group, id));
        }
      }
    }
    return filling_.finish();
  }

 private:
  void next() {
    filling_.next();
    last_comma_.reset();
  }

  void make_room(int64_t id) {
    constexpr size_t longest_clause = 20;
    if (comma_ && id == *comma_) {
      last_comma_ = filling_.tokens().size();
    } else if (filling_.is_full() && last_comma_ && filling_.tokens().size() - *last_comma_ <= longest_clause) {
      move_clause(*last_comma_ + 1);
    }
    if (filling_.is_full()) next();
  }

  /// What stands from a place on begins the next chunk. A1111 notes a word's vectors beside the chunk's ids and moves
  /// the ids alone, which are zeros there.
  void move_clause(size_t from) {
    std::vector<WeightedToken>& tokens = filling_.tokens();
    std::vector<WeightedToken> clause(tokens.begin() + static_cast<std::ptrdiff_t>(from), tokens.end());
    tokens.resize(from);
    for (size_t i = 0; i < clause.size(); ++i) {
      if (!moved_.staying_from || clause[i].id < *moved_.staying_from) continue;
      filling_.add_stray({.place = from + i, .id = std::exchange(clause[i].id, 0)});
    }
    next();
    filling_.tokens() = std::move(clause);
  }

  Filling filling_;
  std::optional<int64_t> comma_;
  MovedVectors moved_;
  std::optional<size_t> last_comma_{};
};

/// ComfyUI's rule: a short word that does not fit begins the next chunk, a long one is cut.
std::vector<WeightedChunk> cut_between_words(std::span<const TokenGroup> groups, size_t capacity) {
  constexpr size_t long_word = 8;
  Filling filling(capacity);
  for (const TokenGroup& group : groups) {
    if (group.new_chunk) {
      filling.next();
      continue;
    }
    for (size_t at = 0; at < group.ids.size();) {
      const size_t left = group.ids.size() - at;
      if (left > filling.room()) {
        if (group.ids.size() >= long_word || filling.tokens().empty()) {
          const size_t some = filling.room();
          append_tokens(filling.tokens(), group, at, some);
          at += some;
        }
        filling.next();
      } else {
        append_tokens(filling.tokens(), group, at, left);
        at += left;
      }
    }
  }
  return filling.finish();
}

/// How many of the tokens stand before the best place to cut, of the `capacity` first.
size_t best_cut(const Tokenizer& tokenizer, std::span<const WeightedToken> tokens, size_t capacity) {
  if (tokens.size() <= capacity) return tokens.size();
  const auto cut_behind = [&](auto ends) -> size_t {
    for (size_t i = capacity; i-- > 0;) {
      const bool learned = tokens[i].id >= tokenizer.vocab_size();
      if (!learned && ends(std::string_view(tokenizer.piece(tokens[i].id)))) return i + 1;
    }
    return 0;
  };
  constexpr std::array<std::string_view, 4> phrase_ends = {".</w>", ",</w>", ";</w>", ":</w>"};
  if (const size_t cut = cut_behind([](std::string_view piece) { return piece == ".</w>"; })) return cut;
  if (const size_t cut = cut_behind(
          [&](std::string_view piece) { return std::ranges::find(phrase_ends, piece) != phrase_ends.end(); })) {
    return cut;
  }
  const size_t cut = cut_behind([](std::string_view piece) { return piece.ends_with("</w>"); });
  return cut > 0 ? cut : capacity;
}

std::vector<WeightedChunk> cut_at_sentences(const Tokenizer& tokenizer, std::span<const TokenGroup> groups,
                                            size_t capacity) {
  std::vector<WeightedToken> all;
  for (const TokenGroup& group : groups) append_tokens(all, group, 0, group.ids.size());
  std::vector<WeightedChunk> chunks;
  std::span<const WeightedToken> rest = all;
  do {
    const size_t cut = best_cut(tokenizer, rest, capacity);
    const auto own = rest.first(cut);
    chunks.push_back({.tokens = {own.begin(), own.end()}});
    rest = rest.subspan(cut);
  } while (!rest.empty());
  return chunks;
}

/// What stands between spaces and line breaks.
std::vector<std::string_view> words_of(std::string_view text) {
  std::vector<std::string_view> words;
  for (size_t at = 0; at < text.size();) {
    const size_t end = std::min(text.find_first_of(" \n", at), text.size());
    if (end > at) words.push_back(text.substr(at, end - at));
    at = end + 1;
  }
  return words;
}

/// A group as it is, or cut around those of its tokens that stay together.
void add_groups(std::vector<TokenGroup>& groups, const TokenSource& source, TokenGroup group) {
  const std::vector<int64_t>& ids = group.ids;
  const auto goes_on = [&](size_t i) { return source.goes_on && i < ids.size() && source.goes_on(ids[i]); };
  size_t from = 0;
  const auto add = [&](size_t to, bool whole) {
    if (to == from) return;
    const auto begin = ids.begin();
    TokenGroup part{.weight = group.weight, .piece = group.piece, .whole = whole};
    part.ids.assign(begin + static_cast<std::ptrdiff_t>(from), begin + static_cast<std::ptrdiff_t>(to));
    groups.push_back(std::move(part));
    from = to;
  };
  for (size_t i = 0; i < ids.size(); ++i) {
    if (!goes_on(i + 1) || goes_on(i)) continue;
    add(i, false);
    while (goes_on(++i)) {
    }
    add(i--, true);
  }
  add(ids.size(), false);
}

std::optional<int64_t> comma_of(const Tokenizer& tokenizer) {
  const std::vector<int64_t> ids = tokenizer.encode(",");
  return ids.size() == 1 ? std::optional(ids.front()) : std::nullopt;
}

}  // namespace

std::vector<TokenGroup> token_groups(const TokenSource& source, const PromptPieces& pieces, ChunkRule rule) {
  std::vector<TokenGroup> groups;
  for (size_t i = 0; i < pieces.size(); ++i) {
    const PromptPiece& piece = pieces[i];
    const auto add = [&](std::string_view text) {
      add_groups(groups, source, {.ids = source.encode(text), .weight = piece.weight, .piece = i});
    };
    if (piece.new_chunk) {
      groups.push_back({.weight = piece.weight, .piece = i, .new_chunk = true});
    } else if (rule == ChunkRule::comfy) {
      for (const std::string_view word : words_of(piece.text)) add(word);
    } else {
      add(piece.text);
    }
  }
  return groups;
}

std::vector<WeightedChunk> cut_into_chunks(const Tokenizer& tokenizer, std::span<const TokenGroup> groups,
                                           ChunkRule rule, const MovedVectors& moved) {
  const auto capacity = static_cast<size_t>(tokenizer.chunk_size());
  switch (rule) {
    case ChunkRule::a1111:
      return CommaCutter(capacity, comma_of(tokenizer), moved).cut(groups);
    case ChunkRule::comfy:
      return cut_between_words(groups, capacity);
    case ChunkRule::compel:
      return cut_at_sentences(tokenizer, groups, capacity);
    case ChunkRule::plain:
      break;
  }
  return cut_plainly(groups, capacity);
}

}  // namespace sdtorch
