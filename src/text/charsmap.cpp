#include "text/charsmap.hpp"

#include "core/error.hpp"
#include "core/utf8.hpp"
#include "text/unicode.hpp"

namespace sdtorch {
namespace {

// A unit of the trie: where its children are, the byte that leads to it, and whether a value is among its children; or
// that value.
uint32_t offset_of(uint32_t unit) { return (unit >> 10) << ((unit & (1u << 9)) >> 6); }
uint32_t label_of(uint32_t unit) { return unit & ((1u << 31) | 0xffu); }
bool has_value(uint32_t unit) { return ((unit >> 8) & 1u) != 0; }
uint32_t value_of(uint32_t unit) { return unit & ((1u << 31) - 1); }

uint32_t little_endian(std::string_view bytes) {
  uint32_t value = 0;
  for (size_t i = 0; i < sizeof(value); ++i) value |= uint32_t{static_cast<unsigned char>(bytes[i])} << (8 * i);
  return value;
}

}  // namespace

Charsmap::Charsmap(std::string_view blob, const std::string& file) {
  if (blob.empty()) return;
  constexpr size_t unit_size = sizeof(uint32_t);
  if (blob.size() < unit_size) fail(ErrorKind::model, file, "precompiled_charsmap", "too short");
  const size_t trie_size = little_endian(blob);
  blob.remove_prefix(unit_size);
  if (trie_size > blob.size() || trie_size == 0 || trie_size % unit_size != 0) {
    fail(ErrorKind::model, file, "precompiled_charsmap", "the size of its trie does not fit");
  }
  units_.reserve(trie_size / unit_size);
  for (size_t at = 0; at < trie_size; at += unit_size) units_.push_back(little_endian(blob.substr(at)));
  replacements_ = blob.substr(trie_size);
  if (invalid_utf8_offset(replacements_))
    fail(ErrorKind::model, file, "precompiled_charsmap", "a replacement is not valid UTF-8");
}

std::optional<std::string_view> Charsmap::find(std::string_view chunk) const {
  if (units_.empty()) return std::nullopt;
  size_t at = offset_of(units_[0]);
  for (const char c : chunk) {
    const auto byte = static_cast<unsigned char>(c);
    at ^= byte;
    if (byte == 0 || at >= units_.size() || label_of(units_[at]) != byte) return std::nullopt;
    const bool ends_here = has_value(units_[at]);
    at ^= offset_of(units_[at]);
    if (!ends_here) continue;
    if (at >= units_.size()) return std::nullopt;
    const size_t start = value_of(units_[at]);
    if (start > replacements_.size()) return std::nullopt;
    // A value may point into a character only in a damaged file: then nothing is replaced.
    std::string_view replacement = std::string_view(replacements_).substr(start);
    replacement = replacement.substr(0, replacement.find('\0'));
    if (invalid_utf8_offset(replacement)) return std::nullopt;
    return replacement;
  }
  return std::nullopt;
}

std::string Charsmap::normalize(std::string_view text) const {
  if (units_.empty()) return std::string(text);
  constexpr size_t longest_whole = 5;  // bytes
  std::string normal;
  normal.reserve(text.size());
  for (size_t start = 0; start < text.size();) {
    const size_t end = grapheme_end(text, start);
    if (const std::string_view cluster = text.substr(start, end - start); cluster.size() <= longest_whole) {
      if (const auto replacement = find(cluster)) {
        normal += *replacement;
        start = end;
        continue;
      }
    }
    while (start < end) {
      const size_t first = start;
      next_code_point(text, start);
      const std::string_view character = text.substr(first, start - first);
      normal += find(character).value_or(character);
    }
  }
  return normal;
}

}  // namespace sdtorch
