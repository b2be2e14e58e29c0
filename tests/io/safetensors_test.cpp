#include "io/safetensors.hpp"

#include <nlohmann/json.hpp>

#include "support/errors.hpp"

using sdtorch::ErrorKind;

namespace {

std::string length_prefix(uint64_t length) {
  std::string bytes;
  for (int i = 0; i < 8; ++i) bytes += static_cast<char>(length >> (8 * i) & 0xff);
  return bytes;
}

/// A file of this header and this many bytes of data.
std::string file_of(const std::string& header, size_t data) {
  return length_prefix(header.size()) + header + std::string(data, '\0');
}

sdtorch::SafetensorsHeader read_header(const std::string& file) {
  return sdtorch::read_safetensors_header(std::as_bytes(std::span(file)), "x.safetensors");
}

std::string entry(const std::string& dtype, const std::string& shape, const std::string& offsets) {
  return R"({"dtype":")" + dtype + R"(","shape":)" + shape + R"(,"data_offsets":)" + offsets + "}";
}

}  // namespace

TEST_CASE("a header's tensors, in any order, with metadata and padding", "[io]") {
  const std::string header = R"({"b":)" + entry("F16", "[2]", "[8,12]") + R"(,"__metadata__":{"k":"v"},"a":)" +
                             entry("F32", "[1,2]", "[0,8]") + R"(,"none":)" + entry("I8", "[0,3]", "[12,12]") + "}   ";
  const sdtorch::SafetensorsHeader read_back = read_header(file_of(header, 12));
  CHECK(read_back.metadata == std::map<std::string, std::string>{{"k", "v"}});
  REQUIRE(read_back.tensors.size() == 3);
  CHECK(read_back.tensors.at("a").shape == std::vector<int64_t>{1, 2});
  CHECK(read_back.tensors.at("b").type == at::kHalf);
  CHECK(read_back.tensors.at("b").begin == 8 + header.size() + 8);
  CHECK(read_back.tensors.at("b").end == 8 + header.size() + 12);
  CHECK(read_header(file_of("{}", 0)).tensors.empty());
}

TEST_CASE("what the format's own library reads of metadata, padding and empty tensors is read", "[io]") {
  const std::string tensor = R"("t":)" + entry("F32", "[1]", "[0,4]");
  for (const char* metadata : {"null", "{}"}) {
    CHECK(read_header(file_of(R"({"__metadata__":)" + std::string(metadata) + "," + tensor + "}", 4)).metadata.empty());
  }
  CHECK(read_header(file_of("{" + tensor + "}\n\n\t ", 4)).tensors.size() == 1);
  CHECK(read_header(file_of("{" + tensor + R"(,"z":)" + entry("F32", "[0,3]", "[0,0]") + "}", 4)).tensors.size() == 2);
  CHECK(read_header(file_of(R"({"t":)" + entry("F32", "[]", "[0,4]") + "}", 4)).tensors.at("t").shape.empty());
  CHECK(read_header(file_of(R"({"__metadata__":{"a":"b"}})", 0)).metadata.at("a") == "b");
  for (const char* type : {"F8_E8M0", "F8_E4M3FNUZ", "F8_E5M2FNUZ"}) {
    CHECK(read_header(file_of(R"({"t":)" + entry(type, "[4]", "[0,4]") + "}", 4)).tensors.at("t").end > 0);
  }
}

TEST_CASE("a written header says what was put into it", "[io]") {
  std::vector<std::pair<std::string, sdtorch::TensorEntry>> entries = {{"z", {.type = at::kBFloat16, .shape = {3}}},
                                                                       {"a", {.type = at::kLong, .shape = {}}}};
  const std::string head = sdtorch::make_safetensors_header(entries, {{"format", "pt"}});
  CHECK(head.size() % 8 == 0);
  const sdtorch::SafetensorsHeader back = read_header(head + std::string(14, '\0'));
  CHECK(back.metadata.at("format") == "pt");
  CHECK(back.tensors.at("z").begin == head.size());
  CHECK(back.tensors.at("a").begin == head.size() + 6);
  CHECK(entries[1].second.end == head.size() + 14);
}

TEST_CASE("headers that break the format's rules are refused, saying which", "[io]") {
  const auto one = [](const std::string& dtype, const std::string& shape, const std::string& offsets, size_t data = 8) {
    return file_of(R"({"t":)" + entry(dtype, shape, offsets) + "}", data);
  };
  struct Case {
    std::string file, message;
  };
  const std::string two_to_62 = "4611686018427387904";
  const Case cases[] = {
      {"", "x.safetensors: is empty"},
      {"\1\2\3\4", "is none of the formats that are read: safetensors, "},
      {length_prefix(100'000'001) + "{}", "the header's length is 100000001, above the format's limit"},
      {length_prefix(~uint64_t{0}) + "{}", "above the format's limit"},
      {length_prefix(3) + "{}", "the header has 3 bytes, the file only 2"},
      {length_prefix(0), "begins with zeros alone"},
      {file_of("[]", 0), "the header must begin with '{'"},
      {file_of(" {}", 0), "the header must begin with '{'"},
      {file_of("{\"t\":", 0), "x.safetensors: header: line 1, column "},
      {file_of("{\"t\":\xff}", 0), "header: line 1, column 6"},
      {file_of("{\"t\":[[[[[[]]]]]]}", 0), "nested more than 4 deep"},
      {file_of(R"({"t":1})", 0), "t: an object was expected, found number"},
      {file_of(R"({"t":{}})", 0), "t: dtype is missing"},
      {file_of(R"({"__metadata__":{"k":1}})", 0), "__metadata__: k: a string was expected, found number"},
      {file_of(R"({"__metadata__":{"k":null}})", 0), "__metadata__: k: a string was expected, found null"},
      {file_of(R"({"__metadata__":[]})", 0), "__metadata__: an object was expected"},
      {file_of(R"({"t":)" + entry("F32", "[2]", "[0,8]") + R"(,"t":)" + entry("F32", "[2]", "[0,8]") + "}", 8),
       "the key \"t\" occurs twice"},
      {one("F31", "[2]", "[0,8]"), "t: dtype \"F31\" is none that can be read"},
      {one("F32", "2", "[0,8]"), "t: shape: array was expected, found number"},
      {one("F32", "[-2]", "[0,8]"), "t: shape: whole numbers from 0 were expected, found -2"},
      {one("F32", "[2.0]", "[0,8]"), "t: shape: whole numbers from 0 were expected, found 2.0"},
      {one("F32", "[true]", "[0,8]"), "t: shape: whole numbers from 0 were expected, found true"},
      {one("F32", "[" + two_to_62 + "," + two_to_62 + "]", "[0,8]"), "more elements than can be counted"},
      {one("F32", "[" + two_to_62 + ",4]", "[0,0]", 0), "more elements than can be counted"},
      {one("F32", "[0," + two_to_62 + "," + two_to_62 + "]", "[0,0]", 0), "more elements than can be counted"},
      {one("U8", "[18446744073709551615]", "[0,8]"), "more elements than can be counted"},
      {one("F32", "[" + std::string(100, '1') + "]", "[0,8]"), "whole numbers from 0 were expected"},
      {one("F32", "[2]", "[0,8,9]"), "t: data_offsets has 3 numbers, 2 were expected"},
      {one("F32", "[2]", "[8,0]"), "t: data_offsets [8, 0] lie outside the file's 8 bytes of data"},
      {one("F32", "[2]", "[0,16]"), "(is it truncated?)"},
      {one("F32", "[2]", "[0,18446744073709551615]"), "lie outside"},
      {one("F32", "[1]", "[0,8]"), "t: data_offsets [0, 8] hold 8 bytes, the F32 shape needs 4"},
      {one("F32", "[1]", "[4,8]"), "t: its data begins at byte 4 where 0 was expected: the ranges leave a hole"},
      {one("F32", "[2]", "[0,8]", 9), "1 bytes follow the last tensor"},
      {file_of("{}", 1), "1 bytes follow the last tensor"},
      {file_of(R"({"t":)" + entry("F32", "[2]", "[0,8]") + R"(,"u":)" + entry("F32", "[2]", "[4,12]") + "}", 12),
       "u: its data begins at byte 4 where 8 was expected: the ranges overlap"},
      {"version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 1\n", "is a Git LFS pointer"},
      {"<!DOCTYPE html><html></html>", "is a web page"},
      {"<html>", "is a web page"},
      {std::string("PK\x03\x04", 4) + std::string(100, '\0'), "is a PyTorch checkpoint, safetensors were expected"},
      {"\x80\x02}q\x01.", "is a PyTorch checkpoint"},
      {"GGUF" + std::string(100, '\0'), "is a GGUF model"},
  };
  for (const Case& c : cases) {
    INFO(c.file.substr(0, 200));
    check_error(ErrorKind::model, c.message, [&] { read_header(c.file); });
  }
  std::string many = "[1";
  for (int i = 0; i < 64; ++i) many += ",1";
  check_error(ErrorKind::model, "the shape has 65 axes", [&] { read_header(one("U8", many + "]", "[0,1]", 1)); });
}

TEST_CASE("a header whose length looks like another file's beginning is still read", "[io]") {
  std::string header = "{}";
  header.resize('<', ' ');
  CHECK(read_header(file_of(header, 0)).tensors.empty());
}
