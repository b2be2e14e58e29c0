#include "text/unicode.hpp"

#include <cstdint>
#include <map>
#include <nlohmann/json.hpp>
#include <string>
#include <utility>
#include <vector>

#include "core/utf8.hpp"
#include "io/json.hpp"
#include "support/catch.hpp"
#include "support/golden.hpp"

using namespace sdtorch;

namespace {

constexpr char32_t last_code_point = 0x10FFFF;

bool is_surrogate(char32_t c) { return c >= 0xD800 && c <= 0xDFFF; }

std::string utf8(char32_t c) {
  const auto tail = [&](int shift) { return static_cast<char>(0x80 | ((c >> shift) & 0x3F)); };
  if (c < 0x80) return {static_cast<char>(c)};
  if (c < 0x800) return {static_cast<char>(0xC0 | c >> 6), tail(0)};
  if (c < 0x10000) return {static_cast<char>(0xE0 | c >> 12), tail(6), tail(0)};
  return {static_cast<char>(0xF0 | c >> 18), tail(12), tail(6), tail(0)};
}

const nlohmann::json& tables() {
  static const nlohmann::json json = read_json_file(golden_path("text/unicode.json"), ErrorKind::bug);
  return json;
}

/// [[from, to…]…] → from → to, as UTF-8.
std::map<char32_t, std::string> mapping(const std::string& name) {
  std::map<char32_t, std::string> result;
  for (const auto& entry : tables()[name])
    for (size_t i = 1; i < entry.size(); ++i) result[entry[0].get<char32_t>()] += utf8(entry[i].get<char32_t>());
  return result;
}

/// The code points that `convert` maps otherwise than the reference, the first few of them.
template <class Convert>
std::vector<uint32_t> wrongly_mapped(const std::string& name, Convert convert) {
  const auto expected = mapping(name);
  std::vector<uint32_t> wrong;
  for (char32_t c = 0; c <= last_code_point && wrong.size() < 10; ++c) {
    if (is_surrogate(c)) continue;
    const auto found = expected.find(c);
    if (convert(utf8(c)) != (found == expected.end() ? utf8(c) : found->second)) wrong.push_back(c);
  }
  return wrong;
}

}  // namespace

TEST_CASE("every code point has the class that the reference gives it", "[text]") {
  std::vector<CharClass> expected(last_code_point + 1, CharClass::other);
  const std::vector<std::pair<std::string, CharClass>> classes = {
      {"letter", CharClass::letter}, {"number", CharClass::number}, {"space", CharClass::space}};
  for (const auto& [name, value] : classes)
    for (const auto& range : tables()[name])
      for (auto c = range[0].get<size_t>(); c <= range[1].get<size_t>(); ++c) expected[c] = value;
  std::vector<uint32_t> wrong;
  for (char32_t c = 0; c <= last_code_point && wrong.size() < 10; ++c)
    if (!is_surrogate(c) && char_class(c) != expected[c]) wrong.push_back(c);
  CHECK(wrong == std::vector<uint32_t>{});
}

TEST_CASE("every code point has the reference's lower case", "[text]") {
  CHECK(wrongly_mapped("lower", to_lower) == std::vector<uint32_t>{});
  CHECK(to_lower("ΟΔΥΣΣΕΥΣ") == "οδυσσευσ");
  CHECK(to_lower("İ") == "i̇");
}

TEST_CASE("every code point has the reference's composed form", "[text]") {
  CHECK(wrongly_mapped("nfc", to_nfc) == std::vector<uint32_t>{});
}

TEST_CASE("composition is that of Unicode 9", "[text]") {
  CHECK(to_nfc("e\u0301") == "\u00e9");
  CHECK(to_nfc("q\u0307\u0323") == "q\u0323\u0307");
  CHECK(to_nfc("\u1112\u1161\u11ab") == "\ud55c");
  CHECK(to_nfc("\uac00\u11a7") == "\uac00\u11a7");                  // not a trailing consonant
  CHECK(to_nfc("e\u0898\u0301") == "e\u0898\u0301");                // a mark of Unicode 14 blocks
  CHECK(to_nfc("\U00011935\U00011930") == "\U00011935\U00011930");  // composed since Unicode 13
  CHECK(to_nfc(std::string("a\0e\u0301", 5)) == std::string("a\0\u00e9", 4));
}

TEST_CASE("the first byte that is not UTF-8 is found", "[text]") {
  CHECK_FALSE(invalid_utf8_offset(""));
  CHECK_FALSE(invalid_utf8_offset("aé漢😀\u0000"));
  const std::vector<std::pair<std::string, size_t>> cases = {
      {"\x80", 0},               // a tail alone
      {"ab\xff", 2},             // no byte of UTF-8
      {"é\xc3", 2},              // cut off
      {"\xe6\xbc", 0},           // cut off
      {"a\xc0\x80", 1},          // overlong
      {"a\xe0\x80\x80", 1},      // overlong
      {"\xed\xa0\x80", 0},       // a surrogate
      {"a\xf4\x90\x80\x80", 1},  // above U+10FFFF
      {"\xc3(", 0},              // a head without its tail
  };
  for (const auto& [text, offset] : cases) {
    INFO("offset " << offset);
    CHECK(invalid_utf8_offset(text) == offset);
  }
}

TEST_CASE("every code point is a word's or not, as to the reference", "[text]") {
  std::vector<bool> expected(last_code_point + 1, false);
  for (const auto& range : tables()["word"])
    for (auto c = range[0].get<size_t>(); c <= range[1].get<size_t>(); ++c) expected[c] = true;
  std::vector<uint32_t> wrong;
  for (char32_t c = 0; c <= last_code_point && wrong.size() < 10; ++c)
    if (!is_surrogate(c) && is_word_char(c) != expected[c]) wrong.push_back(c);
  CHECK(wrong == std::vector<uint32_t>{});
}
