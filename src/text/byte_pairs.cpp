#include "text/byte_pairs.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <queue>

#include "core/error.hpp"
#include "core/utf8.hpp"

namespace sdtorch {
namespace {

uint64_t pair_key(int32_t left, int32_t right) {
  return static_cast<uint64_t>(static_cast<uint32_t>(left)) << 32 | static_cast<uint32_t>(right);
}

/// A piece of a word in the making, in a doubly linked list over the word's positions.
struct Symbol {
  int32_t id;
  int32_t previous, next;  // -1: none
  bool removed = false;
};

/// A merge that may be done at `position`; the lowest rank first, and of equal ones the leftmost.
struct Candidate {
  int32_t rank, position, merged;
  bool operator<(const Candidate& other) const {
    return rank != other.rank ? rank > other.rank : position > other.position;
  }
};

bool stands_for_itself(unsigned byte) {
  return (byte >= '!' && byte <= '~') || (byte >= 0xA1 && byte <= 0xAC) || byte >= 0xAE;
}

/// By byte: bytes without a printable Latin-1 character get the code points from 256 on, in order.
std::array<char32_t, 256> byte_codes() {
  std::array<char32_t, 256> codes{};
  char32_t next = 256;
  for (unsigned byte = 0; byte < codes.size(); ++byte) codes[byte] = stands_for_itself(byte) ? byte : next++;
  return codes;
}

}  // namespace

std::string byte_unit(unsigned char byte) { return utf8(byte_codes()[byte]); }

std::vector<std::string> byte_units() {
  std::array<char32_t, 256> codes = byte_codes();
  std::ranges::sort(codes);
  std::vector<std::string> units;
  for (const char32_t code : codes) units.push_back(utf8(code));
  return units;
}

BytePairs::BytePairs(const std::unordered_map<std::string_view, int32_t>& ids, const std::vector<BytePairMerge>& merges,
                     std::optional<int32_t> unknown) {
  const auto id_of = [&](const std::string& unit) {
    if (const auto found = ids.find(unit); found != ids.end()) return found->second;
    if (unknown) return *unknown;
    throw Error(ErrorKind::model,
                {.reason = fmt::format("the vocabulary has neither the byte unit {:?} nor the unknown token", unit)});
  };
  for (unsigned byte = 0; byte < 256; ++byte) {
    const std::string unit = byte_unit(static_cast<unsigned char>(byte));
    inner_[byte] = id_of(unit);
    last_[byte] = id_of(unit + std::string(end_of_word));
  }
  ranks_.reserve(merges.size());
  for (size_t rank = 0; rank < merges.size(); ++rank) {
    const BytePairMerge& merge = merges[rank];
    ranks_.insert_or_assign(pair_key(merge.left, merge.right), Ranked{static_cast<int32_t>(rank), merge.merged});
  }
}

const BytePairs::Ranked* BytePairs::find(int32_t left, int32_t right) const {
  const auto found = ranks_.find(pair_key(left, right));
  return found == ranks_.end() ? nullptr : &found->second;
}

void BytePairs::encode(std::string_view word, std::vector<int64_t>& out) const {
  if (word.empty()) return;
  if (word.size() > INT32_MAX) throw Error(ErrorKind::input, {.reason = "a word of more than 2 GiB"});
  const auto size = static_cast<int32_t>(word.size());
  std::vector<Symbol> symbols;
  symbols.reserve(word.size());
  for (int32_t i = 0; i < size; ++i) {
    const auto byte = static_cast<unsigned char>(word[static_cast<size_t>(i)]);
    const bool last = i + 1 == size;
    symbols.push_back({.id = last ? last_[byte] : inner_[byte], .previous = i - 1, .next = last ? -1 : i + 1});
  }
  const auto at = [&](int32_t position) -> Symbol& { return symbols[static_cast<size_t>(position)]; };

  std::priority_queue<Candidate> queue;
  const auto consider = [&](int32_t left, int32_t right) {
    if (left < 0 || right < 0) return;
    if (const Ranked* found = find(at(left).id, at(right).id))
      queue.push({.rank = found->rank, .position = left, .merged = found->merged});
  };
  for (int32_t i = 0; i + 1 < size; ++i) consider(i, i + 1);

  while (!queue.empty()) {
    const Candidate best = queue.top();
    queue.pop();
    Symbol& left = at(best.position);
    if (left.removed || left.next < 0) continue;
    Symbol& right = at(left.next);
    const Ranked* found = find(left.id, right.id);
    if (found == nullptr || found->merged != best.merged) continue;  // one of the two has changed since
    left.id = best.merged;
    left.next = right.next;
    right.removed = true;
    if (left.next >= 0) at(left.next).previous = best.position;
    consider(left.previous, best.position);
    consider(best.position, left.next);
  }
  for (int32_t i = 0; i >= 0; i = at(i).next) out.push_back(at(i).id);
}

}  // namespace sdtorch
