#include "core/number.hpp"
#include "core/suggest.hpp"
#include "core/utf8.hpp"
#include "support/catch.hpp"

using namespace sdtorch;

TEST_CASE("numbers are read whole and within their range", "[core]") {
  CHECK(parse_int("-9223372036854775808") == INT64_MIN);
  CHECK(parse_unsigned("18446744073709551615") == UINT64_MAX);
  CHECK(parse_real("-1e-3") == -1e-3);
  CHECK(parse_real(".5") == 0.5);
  for (const char* text : {"", " 1", "1 ", "+1", "1x", "9223372036854775808", "0x1", "1.0", "--1"}) {
    INFO(text);
    CHECK_FALSE(parse_int(text));
  }
  for (const char* text : {"", "-1", "18446744073709551616", "1e3"}) CHECK_FALSE(parse_unsigned(text));
  for (const char* text : {"", "nan", "inf", "-inf", "1e999", "1,5", "1.5f", "."}) CHECK_FALSE(parse_real(text));
}

TEST_CASE("the nearest name is suggested, and nothing far", "[core]") {
  const std::vector<std::string> names = {"steps", "seed", "sampler", "guidance-scale"};
  CHECK(nearest("stesp", names) == "steps");
  CHECK(nearest("SAMPLERS", names) == "sampler");
  CHECK(nearest("guidance", names) == "guidance-scale");
  CHECK(nearest("sed", names) == "seed");
  CHECK(nearest("wxyz", names).empty());
  CHECK(nearest("", names).empty());
  CHECK(nearest(std::string(100000, 's'), names).empty());
  CHECK(did_you_mean("wxyz", {"a", "b"}) == "one of a, b");
}

TEST_CASE("control characters are not shown", "[core]") {
  CHECK(harmless("a\x1b[31mb\x07\x7f\r") == "a?[31mb???");
  CHECK(harmless("caf\xc3\xa9\n\t\xc2\xa0") == "caf\xc3\xa9\n\t\xc2\xa0");
  CHECK(harmless("\xc2\x9b"
                 "2J\xc2") == "?2J?");
  CHECK(harmless(std::string_view("\0", 1)) == "?");
  CHECK(harmless("a\xff\xc3z\xed\xa0\x80") == "a??z???");
  CHECK(harmless("w\xff\xc3") == "w??");
}

TEST_CASE("long texts are cut between characters", "[core]") {
  CHECK(shortened("café", 5) == "café");
  CHECK(shortened("café!", 5) == "café…");
  CHECK(shortened("café!", 4) == "caf…");
  CHECK(shortened("\xff\xff\xff", 2) == "\xff\xff…");
}

TEST_CASE("bytes that are not UTF-8 are found", "[core]") {
  CHECK_FALSE(invalid_utf8_offset("plain, café, 海, 🏴"));
  CHECK_FALSE(invalid_utf8_offset(std::string_view("a\0b", 3)));
  CHECK(invalid_utf8_offset("ab\xff") == 2);
  CHECK(invalid_utf8_offset("a\xc3") == 1);             // cut short
  CHECK(invalid_utf8_offset("\xc0\xaf") == 0);          // overlong
  CHECK(invalid_utf8_offset("x\xed\xa0\x80") == 1);     // a surrogate
  CHECK(invalid_utf8_offset("\xf4\x90\x80\x80") == 0);  // above U+10FFFF
}

TEST_CASE("a code point becomes UTF-8 and is read back", "[core]") {
  CHECK(sdtorch::utf8(U'$') == "$");
  CHECK(sdtorch::utf8(U'é') == "é");
  CHECK(sdtorch::utf8(U'€') == "€");
  CHECK(sdtorch::utf8(U'😀') == "😀");
  for (const char32_t code : {0x00, 0x7F, 0x80, 0x7FF, 0x800, 0xD7FF, 0xE000, 0xFFFF, 0x10000, 0x10FFFF}) {
    const std::string text = sdtorch::utf8(code) + "x";
    size_t offset = 0;
    CHECK(sdtorch::next_code_point(text, offset) == code);
    CHECK(offset == text.size() - 1);
  }
  for (const char* text : {"", "\x80", "\xC3", "\xC0\x80", "\xED\xA0\x80", "\xF4\x90\x80\x80"}) {
    CHECK(sdtorch::first_character(text).bytes == 0);
  }
}
