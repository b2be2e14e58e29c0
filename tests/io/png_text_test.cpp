#include "io/png_text.hpp"

#include <zlib.h>

#include <string>

#include "io/image.hpp"
#include "support/catch.hpp"
#include "support/errors.hpp"
#include "support/files.hpp"
#include "support/golden.hpp"

using namespace sdtorch;

namespace {

const Image picture{.width = 2, .height = 1, .pixels = {1, 2, 3, 4, 5, 6}};

std::string text_of(const Bytes& bytes) { return {reinterpret_cast<const char*>(bytes.data()), bytes.size()}; }

std::string big_endian(uint32_t value) {
  return {static_cast<char>(value >> 24), static_cast<char>(value >> 16), static_cast<char>(value >> 8),
          static_cast<char>(value)};
}

std::string chunk(const std::string& type, const std::string& data) {
  const std::string body = type + data;
  const auto crc = crc32(0, reinterpret_cast<const Bytef*>(body.data()), static_cast<uInt>(body.size()));
  return big_endian(static_cast<uint32_t>(data.size())) + body + big_endian(static_cast<uint32_t>(crc));
}

std::string packed(const std::string& text) {
  std::string out(compressBound(text.size()), '\0');
  uLongf size = out.size();
  compress(reinterpret_cast<Bytef*>(out.data()), &size, reinterpret_cast<const Bytef*>(text.data()), text.size());
  return out.substr(0, size);
}

/// A PNG's signature, these chunks, and an end.
std::string file_of(const std::string& chunks) { return "\x89PNG\r\n\x1a\n" + chunks + chunk("IEND", ""); }

std::vector<PngText> read(const std::string& file) {
  return read_png_text(std::as_bytes(std::span(file.data(), file.size())), "x.png");
}

const std::string nul(1, '\0');

}  // namespace

TEST_CASE("texts come back as they went in, in Latin-1 where that suffices", "[io]") {
  const std::vector<PngText> texts = {{"parameters", "plain\ncafé"}, {"sdtorch", "海賊船 🏴"}, {"tab", "a\tb"}};
  const Bytes png = encode_png(picture, texts);
  const std::vector<PngText> back = read_png_text(png, "x.png");
  REQUIRE(back.size() == 3);
  for (size_t i = 0; i < 3; ++i) {
    CHECK(back[i].keyword == texts[i].keyword);
    CHECK(back[i].text == texts[i].text);
  }
  const std::string file = text_of(png);
  CHECK(file.find("tEXtparameters" + nul + "plain\ncaf\xe9") != std::string::npos);
  CHECK(file.find("iTXtsdtorch" + nul + nul + nul + nul + nul + "海賊船") != std::string::npos);
  CHECK(file.find("iTXttab") != std::string::npos);  // PNG's Latin-1 has no tabs
  CHECK(file.find("sdtorch") < file.find("IDAT"));
}

TEST_CASE("texts that Pillow wrote are read", "[io]") {
  const std::vector<PngText> texts = read_png_text(golden_path("io/texts.png"));
  REQUIRE(texts.size() == 4);
  CHECK(texts[0].text == "Latin-1: café\nsecond line");
  CHECK(texts[1].keyword == "packed");
  CHECK(texts[1].text == std::string(1000, 'z'));
  CHECK(texts[2].text == "海賊船 🏴");
  CHECK(texts[3].keyword == "packed international");
  CHECK(texts[3].text.size() == 1500);
}

TEST_CASE("damaged and hostile PNG files are refused with the offset", "[io]") {
  struct Case {
    std::string file;
    std::string message;
  };
  const std::string good = text_of(encode_png(picture, {{"key", "text"}}));
  std::string wrong_crc = good;
  wrong_crc[good.find("text", good.find("tEXtkey") + 4)] = 'T';
  const std::vector<Case> cases = {
      {"", "x.png: offset 0: not a PNG file"},
      {"GIF89a", "not a PNG file"},
      {good.substr(0, 20), "offset 8: the chunk is cut short"},
      {good.substr(0, good.size() - 12), "the IEND chunk is missing"},
      {"\x89PNG\r\n\x1a\n\xff\xff\xff\xfftEXt", "offset 8: the chunk is cut short"},
      {"\x89PNG\r\n\x1a\n\xff\xff\xff\xfftEXtabcdefgh", "offset 8: the chunk is cut short"},
      {wrong_crc, "the chunk's CRC is wrong"},
      {file_of(chunk("tEXt", "no nul")), "lacks a NUL"},
      {file_of(chunk("tEXt", nul + "text")), "keyword must have 1…79 bytes"},
      {file_of(chunk("tEXt", std::string(80, 'k') + nul + "text")), "keyword must have 1…79 bytes"},
      {file_of(chunk("tEXt", "k" + nul + "a" + nul + "b")), "holds a NUL"},
      {file_of(chunk("zTXt", "k" + nul)), "compression method must be 0"},
      {file_of(chunk("zTXt", "k" + nul + "\x01x")), "compression method must be 0"},
      {file_of(chunk("zTXt", "k" + nul + nul + "rubbish")), "compressed text is damaged"},
      {file_of(chunk("zTXt", "k" + nul + nul + packed("hello").substr(0, 8))), "compressed text is damaged"},
      {file_of(chunk("zTXt", "k" + nul + nul + packed(std::string(20 << 20, 'z')))), "a text of more than"},
      {file_of(chunk("iTXt", "k" + nul)), "too short"},
      {file_of(chunk("iTXt", "k" + nul + "\x02" + nul + nul + nul + "t")), "flag must be 0 or 1"},
      {file_of(chunk("iTXt", "k" + nul + nul + nul + "en")), "lacks a NUL"},
      {file_of(chunk("iTXt", "k" + nul + nul + nul + nul + nul + "\xff")), "not UTF-8"},
  };
  for (const Case& c : cases) check_error(ErrorKind::input, c.message, [&] { read(c.file); });
}
