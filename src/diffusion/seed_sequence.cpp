#include "diffusion/seed_sequence.hpp"

#include <algorithm>

namespace sdtorch {
namespace {

/// A multiplicative hash whose constant changes with each use.
class Hash {
 public:
  Hash(uint32_t start, uint32_t factor) : constant_(start), factor_(factor) {}

  uint32_t operator()(uint32_t value) {
    value ^= constant_;
    constant_ *= factor_;
    value *= constant_;
    return value ^ (value >> 16);
  }

 private:
  uint32_t constant_;
  uint32_t factor_;
};

uint32_t mixed(uint32_t a, uint32_t b) {
  const uint32_t value = 0xca01f9ddU * a - 0x4973f715U * b;
  return value ^ (value >> 16);
}

/// Little end first, without leading zeros; 0 is one word.
void append_words(std::vector<uint32_t>& words, uint64_t value) {
  do {
    words.push_back(static_cast<uint32_t>(value));
    value >>= 32;
  } while (value > 0);
}

}  // namespace

SeedSequence::SeedSequence(uint64_t entropy, std::span<const uint64_t> place, size_t words) : pool_(words) {
  std::vector<uint32_t> source;
  append_words(source, entropy);
  if (!place.empty()) source.resize(std::max(source.size(), words));  // so that no seed runs into a place
  for (const uint64_t part : place) append_words(source, part);
  Hash hash(0x43b0d7e5U, 0x931e8875U);
  for (size_t i = 0; i < words; ++i) pool_[i] = hash(i < source.size() ? source[i] : 0);
  for (size_t from = 0; from < words; ++from) {
    for (size_t to = 0; to < words; ++to) {
      if (from != to) pool_[to] = mixed(pool_[to], hash(pool_[from]));
    }
  }
  for (size_t from = words; from < source.size(); ++from) {
    for (uint32_t& word : pool_) word = mixed(word, hash(source[from]));
  }
}

std::vector<uint32_t> SeedSequence::generate(size_t count) const {
  Hash hash(0x8b51f9ddU, 0x58f38dedU);
  std::vector<uint32_t> words;
  for (size_t i = 0; i < count; ++i) words.push_back(hash(pool_[i % pool_.size()]));
  return words;
}

}  // namespace sdtorch
