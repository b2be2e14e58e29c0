#include "io/weights_format.hpp"

#include "support/errors.hpp"

using sdtorch::ErrorKind;
using sdtorch::WeightsFormat;
using namespace std::string_literals;

namespace {

WeightsFormat format_of(const std::string& contents) {
  return sdtorch::weights_format(std::as_bytes(std::span(contents)), "x.ckpt");
}

}  // namespace

TEST_CASE("formats are told by their content", "[io]") {
  CHECK(format_of("\2\0\0\0\0\0\0\0{}"s) == WeightsFormat::safetensors);
  CHECK(format_of("\x80\2\0\0\0\0\0\0{}"s) == WeightsFormat::safetensors);  // a length that begins like a pickle
  CHECK(format_of("<\0\0\0\0\0\0\0{}"s) == WeightsFormat::safetensors);
  CHECK(format_of("PK\3\4"s + std::string(60, 'x')) == WeightsFormat::torch_zip);
  for (const char* protocol : {"\2", "\3", "\4", "\5"}) {
    CHECK(format_of("\x80"s + protocol + "\x8a\nl\xfc\x9c" + "F\xf9 j\xa8P\x19.") == WeightsFormat::torch_legacy);
  }
}

TEST_CASE("what is no weights file is called what it is", "[io]") {
  struct Case {
    std::string contents, message;
  };
  const Case cases[] = {
      {"", "is empty"},
      {"version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 4265380512\n", "is a Git LFS pointer"},
      {"<!DOCTYPE html>\n<html>", "is a web page"},
      {"\xef\xbb\xbf \n<html>", "is a web page"},
      {"<?xml version=\"1.0\"?><Error><Code>AccessDenied</Code></Error>", "is XML"},
      {R"({"error":"Repository not found"})", "is JSON, not weights; it begins with `{\"error\":\"Repository"},
      {"Access to model x/y is restricted.\nLog in.", "is text, not weights; it begins with `Access to model x/y is"},
      {"Entry not found", "is text, not weights; it begins with `Entry not found`"},
      {std::string(600, 'x') + "\xff", "is text, not weights; it begins with `" + std::string(80, 'x') + "…`"},
      {"GGUF\3\0\0\0"s, "is a GGUF model"},
      {"\x08\x07\x12\x07pytorch\x1a\x05", "is an ONNX model"},
      {"\x1f\x8b\x08\0\0\0\0\0"s, "is compressed with gzip"},
      {"7z\xbc\xaf\x27\x1c\0\4"s, "is a 7z archive"},
      {"PK\5\6"s + std::string(18, '\0'), "is a zip archive with nothing in it"},
      {"sys_info"s + std::string(249, '\0') + "ustar\0"s + std::string(300, '\0'), "is a tar archive"},
      {"\x93NUMPY\1\0v\0"s, "is a NumPy array"},
      {"\x81\xa6params\x82", "is a msgpack file, such as Flax models"},
      {"\xde\0\x20\xa6params"s, "is a msgpack file"},
      {"\x89HDF\r\n\x1a\n"s + std::string(20, '\0'), "is an HDF5 file"},
      {"\x89PNG\r\n\x1a\n"s, "is a PNG picture"},
      {"\xff\xd8\xff\xe0"s, "is a JPEG picture"},
      {"RIFF\x10\0\0\0WEBPVP8 "s, "is a WebP picture"},
      {"\0\5\x16\7\0\2\0\0"s, "holds a file's attributes as macOS keeps them"},
      {std::string(4096, '\0'), "begins with zeros alone"},
      {"\x01\x02\x03\x04\xff\xfe", "is none of the formats that are read"},
  };
  for (const Case& c : cases) {
    INFO(c.contents.substr(0, 100));
    check_error(ErrorKind::model, "x.ckpt: " + c.message, [&] { format_of(c.contents); });
  }
}
