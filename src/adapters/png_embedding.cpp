#include "adapters/png_embedding.hpp"

#include <zlib.h>

#include <algorithm>
#include <array>
#include <cstdint>
#include <memory>
#include <new>
#include <nlohmann/json.hpp>
#include <vector>

#include "core/base64.hpp"
#include "core/error.hpp"
#include "io/json.hpp"
#include "io/mapped_file.hpp"
#include "io/png_text.hpp"
#include "io/read_picture.hpp"

namespace sdtorch {
namespace {

using nlohmann::json;

constexpr const char* embedding_keyword = "sd-ti-embedding";
constexpr const char* vectors_key = "string_to_param";
constexpr const char* tensor_key = "TORCHTENSOR";
constexpr std::string_view png_signature("\x89PNG\r\n\x1a\n", 8);

bool is_png(const MappedFile& file) {
  const std::string_view bytes(reinterpret_cast<const char*>(file.bytes().data()), file.bytes().size());
  return bytes.starts_with(png_signature);
}

/// Lists of numbers within lists, all of one length → their shape and the numbers.
class TensorReader {
 public:
  TensorReader(const std::string& file, const std::string& place) : file_(file), place_(place) {}

  at::Tensor read(const json& list) {
    add(list, 0);
    return at::tensor(numbers_, at::kDouble).reshape(shape_).to(at::kFloat);
  }

 private:
  [[noreturn]] void fail_here() const {
    fail(ErrorKind::model, file_, place_, "lists of numbers, all of one length, were expected");
  }

  void add(const json& value, size_t depth) {
    constexpr size_t most_axes = 4;
    if (value.is_number()) {
      if (depth != shape_.size() || depth == 0) fail_here();
      return numbers_.push_back(value.get<double>());
    }
    const auto size = static_cast<int64_t>(value.size());
    if (!value.is_array() || size == 0 || depth >= most_axes) fail_here();
    if (depth == shape_.size() && numbers_.empty()) shape_.push_back(size);
    if (depth >= shape_.size() || shape_[depth] != size) fail_here();
    for (const json& item : value) add(item, depth + 1);
  }

  const std::string& file_;
  const std::string& place_;
  std::vector<int64_t> shape_{};
  std::vector<double> numbers_{};
};

/// where: "sd-ti-embedding", for messages.
PngEmbedding parse_embedding(const std::string& text, const std::string& file, const char* where) {
  const json content = parse_json(text, file + ": " + where, ErrorKind::model);
  PngEmbedding embedding;
  if (const auto name = content.find("name"); name != content.end() && name->is_string()) embedding.name = *name;
  const auto words = content.find(vectors_key);
  if (words == content.end() || !words->is_object() || words->empty()) {
    fail(ErrorKind::model, file, where, "no string_to_param is in it");
  }
  for (const auto& [key, value] : words->items()) {
    const std::string place = std::string(vectors_key) + "." + key;
    const auto numbers = value.find(tensor_key);
    if (numbers == value.end()) fail(ErrorKind::model, file, place, "a tensor was expected");
    embedding.tensors[place] = TensorReader(file, place).read(*numbers);
  }
  return embedding;
}

/// The four lower bits of each number of some columns, row by row, without the noise that hides them: a linear
/// congruential generator's.
std::vector<uint8_t> lower_bits(const Image& picture, const std::array<int64_t, 2>& rows, int64_t first, int64_t last) {
  constexpr uint32_t factor = 1664525, summand = 1013904223, modulus = 255;
  std::vector<uint8_t> bits;
  uint32_t state = 0;
  for (int64_t y = rows[0]; y < rows[1]; ++y) {
    for (int64_t i = 3 * (y * picture.width + first); i < 3 * (y * picture.width + last); ++i) {
      state = factor * state + summand;
      bits.push_back((picture.pixels[static_cast<size_t>(i)] ^ (state % modulus)) & 0x0F);
    }
  }
  return bits;
}

/// What zlib packed, whatever follows it; nothing where that is no such stream, or more than any embedding.
std::optional<std::string> unpacked(const std::vector<uint8_t>& packed) {
  constexpr size_t most_bytes = size_t{16} << 20;
  z_stream stream{};
  if (inflateInit(&stream) != Z_OK) throw std::bad_alloc();
  const std::unique_ptr<z_stream, decltype(&inflateEnd)> guard(&stream, &inflateEnd);
  stream.next_in = const_cast<Bytef*>(packed.data());
  stream.avail_in = static_cast<uInt>(packed.size());
  std::string text;
  std::array<char, 1 << 14> buffer{};
  int status = Z_OK;
  while (status == Z_OK && text.size() <= most_bytes) {
    stream.next_out = reinterpret_cast<Bytef*>(buffer.data());
    stream.avail_out = static_cast<uInt>(buffer.size());
    status = inflate(&stream, Z_NO_FLUSH);
    text.append(buffer.data(), buffer.size() - stream.avail_out);
  }
  return status == Z_STREAM_END ? std::optional(text) : std::nullopt;
}

/// The part of a picture that is not a black frame: first and last + 1 of its rows and columns.
struct Frame {
  std::array<int64_t, 2> rows{}, columns{};
};

Frame frame_of(const Image& picture) {
  Frame frame{.rows = {picture.height, 0}, .columns = {picture.width, 0}};
  for (int64_t y = 0; y < picture.height; ++y) {
    for (int64_t x = 0; x < picture.width; ++x) {
      const uint8_t* const pixel = &picture.pixels[static_cast<size_t>(3 * (y * picture.width + x))];
      if (pixel[0] == 0 || pixel[1] == 0 || pixel[2] == 0) continue;
      frame.rows = {std::min(frame.rows[0], y), std::max(frame.rows[1], y + 1)};
      frame.columns = {std::min(frame.columns[0], x), std::max(frame.columns[1], x + 1)};
    }
  }
  return frame;
}

/// Columns whose lower bits are all 0 stand around what the picture shows; to their left are the lower halves of bytes,
/// to their right the upper ones.
std::optional<std::string> text_in_pixels(const Image& picture) {
  const Frame frame = frame_of(picture);
  std::vector<int64_t> empty;
  for (int64_t x = frame.columns[0]; x < frame.columns[1]; ++x) {
    bool is_empty = true;
    for (int64_t y = frame.rows[0]; y < frame.rows[1] && is_empty; ++y) {
      const uint8_t* const pixel = &picture.pixels[static_cast<size_t>(3 * (y * picture.width + x))];
      is_empty = ((pixel[0] | pixel[1] | pixel[2]) & 0x0F) == 0;
    }
    if (is_empty) empty.push_back(x);
  }
  if (empty.size() < 2) return std::nullopt;
  std::vector<uint8_t> bytes = lower_bits(picture, frame.rows, frame.columns[0], empty.front());
  const std::vector<uint8_t> upper = lower_bits(picture, frame.rows, empty.back() + 1, frame.columns[1]);
  if (bytes.size() != upper.size()) return std::nullopt;
  for (size_t i = 0; i < bytes.size(); ++i) bytes[i] |= static_cast<uint8_t>(upper[i] << 4);
  return unpacked(bytes);
}

}  // namespace

std::optional<PngEmbedding> read_png_embedding(const std::filesystem::path& file, PngPlaces places) {
  const MappedFile mapped(file, ErrorKind::model);
  if (!is_png(mapped)) return std::nullopt;
  const std::vector<PngText> texts = read_png_text(mapped.bytes(), file.string());
  const auto found = std::ranges::find(texts, embedding_keyword, &PngText::keyword);
  if (found != texts.end()) {
    const auto decoded = decode_base64(found->text);
    if (!decoded) fail(ErrorKind::model, file, embedding_keyword, "not base64");
    return parse_embedding(*decoded, file.string(), embedding_keyword);
  }
  if (places == PngPlaces::text) return std::nullopt;
  const auto hidden = text_in_pixels(read_picture(mapped.bytes(), file.string()).image);
  return hidden ? std::optional(parse_embedding(*hidden, file.string(), "its pixels")) : std::nullopt;
}

}  // namespace sdtorch
