#include "io/safetensors.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <nlohmann/json.hpp>

#include "core/error.hpp"
#include "core/utf8.hpp"
#include "io/json.hpp"
#include "io/weights_format.hpp"

namespace sdtorch {
namespace {

using nlohmann::json;

constexpr size_t length_bytes = 8;                // the header's length, little-endian, in front of it
constexpr size_t max_header_bytes = 100'000'000;  // the format's own limit
constexpr size_t max_axes = 64;                   // more than LibTorch computes with
constexpr std::string_view metadata_key = "__metadata__";

/// One tensor's description, checked on its own: {"dtype": …, "shape": […], "data_offsets": [begin, end]}.
class EntryReader {
 public:
  EntryReader(const std::string& file, const std::string& key, const json& entry, size_t data_start, size_t data_size)
      : file_(file), key_(key), entry_(entry), data_start_(data_start), data_size_(data_size) {}

  TensorEntry read() const {
    if (!entry_.is_object()) fail(fmt::format("an object was expected, found {}", entry_.type_name()));
    TensorEntry result;
    result.type = type();
    size_t bytes = c10::elementSize(result.type);
    const json& shape = field("shape", json::value_t::array);
    if (shape.size() > max_axes) fail(fmt::format("the shape has {} axes, more than {}", shape.size(), max_axes));
    for (const json& extent : shape) {
      const size_t size = natural(extent, "shape");
      if (__builtin_mul_overflow(bytes, size, &bytes) || size > static_cast<size_t>(INT64_MAX)) {
        fail("the shape has more elements than can be counted");
      }
      result.shape.push_back(static_cast<int64_t>(size));
    }
    // A zero hides what stands before it from the check above.
    if (bytes == 0) check_extents(result.shape);

    const json& offsets = field("data_offsets", json::value_t::array);
    if (offsets.size() != 2) fail(fmt::format("data_offsets has {} numbers, 2 were expected", offsets.size()));
    const size_t begin = natural(offsets[0], "data_offsets"), end = natural(offsets[1], "data_offsets");
    if (begin > end || end > data_size_) {
      fail(fmt::format("data_offsets [{}, {}] lie outside the file's {} bytes of data{}", begin, end, data_size_,
                       begin > end ? "" : " (is it truncated?)"));
    }
    if (end - begin != bytes) {
      fail(fmt::format("data_offsets [{}, {}] hold {} bytes, the {} shape needs {}", begin, end, end - begin,
                       find_dtype(result.type)->safetensors, bytes));
    }
    result.begin = data_start_ + begin;
    result.end = data_start_ + end;
    return result;
  }

 private:
  [[noreturn]] void fail(std::string reason) const {
    throw Error(ErrorKind::model, {.file = file_, .place = key_, .reason = std::move(reason)});
  }

  const json& field(const char* name, json::value_t type) const {
    const auto found = entry_.find(name);
    if (found == entry_.end()) fail(fmt::format("{} is missing", name));
    if (found->type() != type) {
      fail(fmt::format("{}: {} was expected, found {}", name, json(type).type_name(), found->type_name()));
    }
    return *found;
  }

  size_t natural(const json& number, const char* name) const {
    if (!number.is_number_unsigned()) {
      fail(fmt::format("{}: whole numbers from 0 were expected, found {}", name,
                       number.dump(-1, ' ', false, json::error_handler_t::replace).substr(0, 40)));
    }
    return number.get<size_t>();
  }

  at::ScalarType type() const {
    const auto name = field("dtype", json::value_t::string).get<std::string>();
    if (const Dtype* known = find_dtype(&Dtype::safetensors, name)) return known->type;
    fail(fmt::format("dtype {:?} is none that can be read", shortened(name, 100)));
  }

  void check_extents(const std::vector<int64_t>& shape) const {
    int64_t product = 1;
    for (const int64_t extent : shape) {
      if (extent > 0 && __builtin_mul_overflow(product, extent, &product)) {
        fail("the shape has more elements than can be counted");
      }
    }
  }

  const std::string& file_;
  const std::string& key_;
  const json& entry_;
  size_t data_start_, data_size_;
};

std::map<std::string, std::string> read_metadata(const std::string& file, const json& object) {
  const auto fail = [&](std::string reason) {
    throw Error(ErrorKind::model, {.file = file, .place = std::string(metadata_key), .reason = std::move(reason)});
  };
  std::map<std::string, std::string> metadata;
  if (object.is_null()) return metadata;  // the format's own library takes it for none
  if (!object.is_object()) fail(fmt::format("an object was expected, found {}", object.type_name()));
  for (const auto& [key, value] : object.items()) {
    if (!value.is_string()) fail(fmt::format("{}: a string was expected, found {}", key, value.type_name()));
    metadata.emplace(key, value.get<std::string>());
  }
  return metadata;
}

/// The ranges, sorted, must follow one another from the data's first byte to its last.
void check_coverage(const SafetensorsHeader& header, const std::string& file, size_t data_start, size_t file_size) {
  using Named = std::pair<const std::string, TensorEntry>;
  std::vector<const Named*> sorted;
  for (const Named& named : header.tensors) sorted.push_back(&named);
  std::sort(sorted.begin(), sorted.end(), [](const Named* a, const Named* b) {
    return std::pair(a->second.begin, a->second.end) < std::pair(b->second.begin, b->second.end);
  });
  size_t reached = data_start;
  for (const Named* named : sorted) {
    if (named->second.begin != reached) {
      throw Error(ErrorKind::model,
                  {.file = file,
                   .place = named->first,
                   .reason = fmt::format("its data begins at byte {} where {} was expected: the ranges {}",
                                         named->second.begin - data_start, reached - data_start,
                                         named->second.begin < reached ? "overlap" : "leave a hole")});
    }
    reached = named->second.end;
  }
  if (reached != file_size) {
    throw Error(ErrorKind::model, {.file = file,
                                   .place = fmt::format("offset {}", reached),
                                   .reason = fmt::format("{} bytes follow the last tensor", file_size - reached)});
  }
}

}  // namespace

SafetensorsHeader read_safetensors_header(std::span<const std::byte> file, const std::string& name) {
  const std::string_view text(reinterpret_cast<const char*>(file.data()), file.size());
  const auto fail = [&](std::string reason, std::string place = {}) {
    throw Error(ErrorKind::model, {.file = name, .place = std::move(place), .reason = std::move(reason)});
  };
  if (weights_format(file, name) != WeightsFormat::safetensors) {
    fail("is a PyTorch checkpoint, safetensors were expected");
  }

  uint64_t length = 0;
  for (size_t i = 0; i < length_bytes; ++i) length |= uint64_t{static_cast<uint8_t>(text[i])} << (8 * i);
  if (length > max_header_bytes) {
    fail(fmt::format("the header's length is {}, above the format's limit of {}: no safetensors", length,
                     max_header_bytes),
         "offset 0");
  }
  if (length > text.size() - length_bytes) {
    fail(
        fmt::format("the header has {} bytes, the file only {} (is it truncated?)", length, text.size() - length_bytes),
        "offset 0");
  }
  const std::string_view header_text = text.substr(length_bytes, length);
  if (!header_text.starts_with('{')) fail("the header must begin with '{'", "offset 8");

  const json object =
      parse_json(header_text, name + ": header", ErrorKind::model, {.max_bytes = max_header_bytes, .max_depth = 4});
  const size_t data_start = length_bytes + length;
  SafetensorsHeader header;
  for (const auto& [key, value] : object.items()) {
    if (key == metadata_key) {
      header.metadata = read_metadata(name, value);
    } else {
      header.tensors.emplace(key, EntryReader(name, key, value, data_start, text.size() - data_start).read());
    }
  }
  check_coverage(header, name, data_start, text.size());
  return header;
}

std::string make_safetensors_header(std::vector<std::pair<std::string, TensorEntry>>& tensors,
                                    const std::map<std::string, std::string>& metadata) {
  json object = json::object();
  if (!metadata.empty()) object[std::string(metadata_key)] = metadata;
  size_t reached = 0;
  for (auto& [name, entry] : tensors) {
    size_t bytes = c10::elementSize(entry.type);
    for (const int64_t extent : entry.shape) bytes *= static_cast<size_t>(extent);
    entry.begin = reached;
    entry.end = reached += bytes;
    object[name] = {{"dtype", find_dtype(entry.type)->safetensors},
                    {"shape", entry.shape},
                    {"data_offsets", {entry.begin, entry.end}}};
  }
  std::string text = object.dump();
  text.resize((text.size() + 7) / 8 * 8, ' ');
  std::string bytes;
  for (size_t i = 0; i < length_bytes; ++i) bytes += static_cast<char>(text.size() >> (8 * i) & 0xff);
  for (auto& [name, entry] : tensors) {
    entry.begin += length_bytes + text.size();
    entry.end += length_bytes + text.size();
  }
  return bytes + text;
}

}  // namespace sdtorch
