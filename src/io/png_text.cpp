#include "io/png_text.hpp"

#include <fmt/format.h>
#include <zlib.h>

#include <algorithm>
#include <array>
#include <cstring>
#include <optional>

#include "core/error.hpp"
#include "core/utf8.hpp"
#include "io/mapped_file.hpp"

namespace sdtorch {
namespace {

constexpr std::string_view signature("\x89PNG\r\n\x1a\n", 8);
constexpr size_t most_text = size_t{16} << 20;  // bytes of one unpacked text: prompts are some thousand
constexpr size_t most_keyword = 79;             // what PNG allows

std::string_view as_text(std::span<const std::byte> bytes) {
  return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}

std::string big_endian(uint32_t value) {
  return {static_cast<char>(value >> 24), static_cast<char>(value >> 16), static_cast<char>(value >> 8),
          static_cast<char>(value)};
}

uint32_t read_big_endian(std::string_view bytes) {
  uint32_t value = 0;
  for (size_t i = 0; i < 4; ++i) value = value << 8 | static_cast<uint8_t>(bytes[i]);
  return value;
}

uint32_t crc_of(std::string_view bytes) {
  return static_cast<uint32_t>(crc32_z(0, reinterpret_cast<const Bytef*>(bytes.data()), bytes.size()));
}

std::string chunk(std::string_view type, const std::string& data) {
  const std::string body = std::string(type) + data;
  return big_endian(static_cast<uint32_t>(data.size())) + body + big_endian(crc_of(body));
}

/// PNG's Latin-1 of UTF-8 text: printable characters and the line break only (11.3.3.2); none where that is not enough.
std::optional<std::string> to_latin1(std::string_view text) {
  std::string latin1;
  for (size_t i = 0; i < text.size();) {
    const auto [c, length] = first_character(text.substr(i));
    const bool printable = (c >= 0x20 && c <= 0x7E) || (c >= 0xA0 && c <= 0xFF);
    if (length == 0 || !(printable || c == '\n')) return std::nullopt;
    latin1 += static_cast<char>(c);
    i += length;
  }
  return latin1;
}

std::string from_latin1(std::string_view latin1) {
  std::string text;
  for (const char c : latin1) text += utf8(static_cast<unsigned char>(c));
  return text;
}

std::string text_chunk(const PngText& text) {
  const std::string keyword = text.keyword + '\0';
  if (const auto latin1 = to_latin1(text.text)) return chunk("tEXt", keyword + *latin1);
  const std::string uncompressed_no_language(4, '\0');  // flag, method, empty language tag, empty translated keyword
  return chunk("iTXt", keyword + uncompressed_no_language + text.text);
}

/// Reads one file's chunks; every failure names the chunk's offset.
class Reader {
 public:
  Reader(std::string_view png, const std::string& file) : png_(png), file_(file) {}

  std::vector<PngText> texts() {
    if (!png_.starts_with(signature)) fail("not a PNG file");
    std::vector<PngText> texts;
    for (offset_ = signature.size(); offset_ < png_.size();) {
      if (png_.size() - offset_ < 12) fail("the chunk is cut short");
      const size_t length = read_big_endian(png_.substr(offset_, 4));
      const std::string_view type = png_.substr(offset_ + 4, 4);
      if (length > png_.size() - offset_ - 12) fail("the chunk is cut short");
      if (type == "IEND") return texts;
      const bool textual = type == "tEXt" || type == "zTXt" || type == "iTXt";
      if (textual) texts.push_back(read(type, length));
      offset_ += length + 12;
    }
    fail("the IEND chunk is missing");
  }

 private:
  [[noreturn]] void fail(const std::string& reason) const {
    throw Error(ErrorKind::input, {.file = file_, .place = fmt::format("offset {}", offset_), .reason = reason});
  }

  PngText read(std::string_view type, size_t length) const {
    const std::string_view body = png_.substr(offset_ + 4, length + 4);
    if (crc_of(body) != read_big_endian(png_.substr(offset_ + 8 + length, 4))) fail("the chunk's CRC is wrong");
    std::string_view rest = body.substr(4);
    if (rest.size() > most_text) fail(fmt::format("a text of more than {} bytes", most_text));
    const std::string_view keyword = until_nul(rest);
    if (keyword.empty() || keyword.size() > most_keyword) fail("the text's keyword must have 1…79 bytes");
    PngText text{.keyword = from_latin1(keyword)};
    if (type == "tEXt") {
      text.text = from_latin1(rest);
    } else if (type == "zTXt") {
      text.text = from_latin1(unpack_method(rest));
    } else {
      text.text = international(rest);
    }
    if (text.text.find('\0') != std::string::npos) fail("the text holds a NUL character");
    return text;
  }

  std::string international(std::string_view rest) const {
    if (rest.size() < 2) fail("the iTXt chunk is too short");
    const char compressed = rest.front();
    const char method = rest[1];
    if (compressed != 0 && compressed != 1) fail("the iTXt chunk's compression flag must be 0 or 1");
    rest.remove_prefix(2);
    until_nul(rest);  // language
    until_nul(rest);  // translated keyword
    std::string text = compressed ? unpack_method(method + std::string(rest)) : std::string(rest);
    if (const auto offset = invalid_utf8_offset(text)) fail("the iTXt chunk's text is not UTF-8");
    return text;
  }

  /// Takes what is before the next NUL, and the NUL, off the front of `rest`.
  std::string_view until_nul(std::string_view& rest) const {
    const size_t nul = rest.find('\0');
    if (nul == std::string_view::npos) fail("the text chunk lacks a NUL between its parts");
    const std::string_view part = rest.substr(0, nul);
    rest.remove_prefix(nul + 1);
    return part;
  }

  /// A compression method (0 is the only one) and a zlib stream.
  std::string unpack_method(std::string_view packed) const {
    if (packed.empty() || packed.front() != 0) fail("the text's compression method must be 0");
    return unpack(packed.substr(1));
  }

  std::string unpack(std::string_view packed) const {
    z_stream stream{};
    if (inflateInit(&stream) != Z_OK) throw std::bad_alloc();
    stream.next_in = reinterpret_cast<Bytef*>(const_cast<char*>(packed.data()));
    stream.avail_in = static_cast<uInt>(packed.size());
    std::string text;
    std::array<char, 1 << 14> buffer{};
    int status = Z_OK;
    while (status == Z_OK && text.size() <= most_text) {
      stream.next_out = reinterpret_cast<Bytef*>(buffer.data());
      stream.avail_out = static_cast<uInt>(buffer.size());
      status = inflate(&stream, Z_NO_FLUSH);
      text.append(buffer.data(), buffer.size() - stream.avail_out);
    }
    inflateEnd(&stream);
    if (text.size() > most_text) fail(fmt::format("a text of more than {} bytes", most_text));
    if (status != Z_STREAM_END) fail("the compressed text is damaged");
    return text;
  }

  std::string_view png_;
  const std::string& file_;
  size_t offset_ = 0;
};

}  // namespace

Bytes add_png_text(std::span<const std::byte> png, const std::vector<PngText>& texts) {
  const std::string_view whole = as_text(png);
  size_t before = signature.size();
  while (whole.substr(before + 4, 4) != "IDAT") before += read_big_endian(whole.substr(before, 4)) + 12;
  std::string out(whole.substr(0, before));
  for (const PngText& text : texts) out += text_chunk(text);
  out += whole.substr(before);
  Bytes bytes(out.size());
  std::memcpy(bytes.data(), out.data(), out.size());
  return bytes;
}

std::vector<PngText> read_png_text(std::span<const std::byte> png, const std::string& file) {
  return Reader(as_text(png), file).texts();
}

std::vector<PngText> read_png_text(const std::filesystem::path& file) {
  const MappedFile mapped(file, ErrorKind::input);
  return read_png_text(mapped.bytes(), file.string());
}

bool carries_text(const std::filesystem::path& file, std::string_view keyword) {
  try {
    return std::ranges::any_of(read_png_text(file), [&](const PngText& text) { return text.keyword == keyword; });
  } catch (const Error&) {
    return false;
  }
}

}  // namespace sdtorch
