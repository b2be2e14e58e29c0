#include "io/torch_zip_writer.hpp"

#include <fmt/format.h>
#include <zlib.h>

#include <algorithm>
#include <limits>
#include <utility>

#include "core/error.hpp"

namespace sdtorch {
namespace {

/// Little-endian.
std::string number(uint64_t value, int bytes) {
  std::string text;
  for (int i = 0; i < bytes; ++i) text += static_cast<char>(value >> (8 * i) & 0xff);
  return text;
}

/// The opcodes that are needed, as CPython's pickletools documents them.
class PickleWriter {
 public:
  void raw(std::string_view bytes) { text_ += bytes; }
  void string(const std::string& value) { text_ += "X" + number(value.size(), 4) + value; }  // BINUNICODE
  void global(const char* module, std::string_view name) { text_ += fmt::format("c{}\n{}\n", module, name); }

  void integer(int64_t value) {
    if (value >= 0 && value <= std::numeric_limits<int32_t>::max()) {
      text_ += "J" + number(static_cast<uint64_t>(value), 4);  // BININT
    } else {
      constexpr int bytes = 8;
      text_ += std::string("\x8a") + static_cast<char>(bytes) + number(static_cast<uint64_t>(value), bytes);  // LONG1
    }
  }

  void integers(const std::vector<int64_t>& values) {
    raw("(");  // MARK
    for (const int64_t value : values) integer(value);
    raw("t");  // TUPLE
  }

  std::string take() { return std::move(text_); }

 private:
  std::string text_{};
};

int64_t count(const std::vector<int64_t>& shape) {
  int64_t product = 1;
  for (const int64_t extent : shape) product *= extent;
  return product;
}

std::vector<int64_t> strides_of(const std::vector<int64_t>& shape) {
  std::vector<int64_t> strides(shape.size(), 1);
  for (size_t i = shape.size(); i-- > 1;) strides[i - 1] = strides[i] * std::max<int64_t>(shape[i], 1);
  return strides;
}

/// torch._utils._rebuild_tensor_v2(storage, offset, shape, strides, requires_grad, hooks)
void pickle_tensor(PickleWriter& pickle, const PickledTensor& tensor, size_t index) {
  const Dtype* type = find_dtype(tensor.type);
  if (!type || type->storage.empty()) {
    throw Error(ErrorKind::output, {.place = tensor.name,
                                    .reason = fmt::format("PyTorch has no storage for {}",
                                                          type ? type->safetensors : c10::toString(tensor.type))});
  }
  pickle.global("torch._utils", "_rebuild_tensor_v2");
  pickle.raw("((");
  pickle.string("storage");
  pickle.global("torch", type->storage);
  pickle.string(std::to_string(index));
  pickle.string("cpu");
  pickle.integer(count(tensor.shape));
  pickle.raw("tQ");  // TUPLE, BINPERSID
  pickle.integer(0);
  pickle.integers(tensor.shape);
  pickle.integers(strides_of(tensor.shape));
  pickle.raw("\x89");  // NEWFALSE
  pickle.global("collections", "OrderedDict");
  pickle.raw(")RtR");  // EMPTY_TUPLE, REDUCE, TUPLE, REDUCE
}

// The zip format (PKWARE's APPNOTE), version 4.5 for what is longer than 32 bits tell.
constexpr uint64_t in_zip64 = 0xffffffff;
constexpr size_t alignment = 64;  // as torch.save aligns, so that the file can be mapped

std::string sizes64(uint64_t size) { return number(size, 8) + number(size, 8); }

uint64_t narrowed(uint64_t value) { return std::min(value, in_zip64); }

/// What an entry's local header and its line in the directory have in common.
std::string common_header(uint32_t crc, uint64_t size, size_t name_size, size_t extra_size) {
  const bool large = size >= in_zip64;
  constexpr uint64_t utf8_names = 0x0800, stored = 0, date = 0x0021;  // 1 January 1980
  return number(large ? 45 : 20, 2) + number(utf8_names, 2) + number(stored, 2) + number(0, 2) + number(date, 2) +
         number(crc, 4) + number(narrowed(size), 4) + number(narrowed(size), 4) + number(name_size, 2) +
         number(extra_size, 2);
}

}  // namespace

std::string pickle_state_dict(const std::vector<PickledTensor>& tensors, const std::string& root) {
  PickleWriter pickle;
  pickle.raw({"\x80\x02", 2});  // PROTO 2
  if (!root.empty()) {
    pickle.raw("}");  // EMPTY_DICT
    pickle.string(root);
  }
  pickle.raw("}(");  // EMPTY_DICT, MARK
  for (size_t i = 0; i < tensors.size(); ++i) {
    pickle.string(tensors[i].name);
    pickle_tensor(pickle, tensors[i], i);
  }
  pickle.raw("u");                     // SETITEMS
  if (!root.empty()) pickle.raw("s");  // SETITEM
  pickle.raw(".");                     // STOP
  return pickle.take();
}

TorchZipWriter::TorchZipWriter(const std::filesystem::path& file, const std::vector<PickledTensor>& tensors,
                               const std::string& root)
    : output_(file) {
  add("archive/data.pkl", pickle_state_dict(tensors, root));
  add("archive/byteorder", "little");
}

void TorchZipWriter::put(std::string_view bytes) {
  output_.write(bytes);
  written_ += bytes.size();
}

void TorchZipWriter::add(const std::string& name, std::string_view text) {
  add(name, std::as_bytes(std::span(text.data(), text.size())));
}

void TorchZipWriter::add(const std::string& name, std::span<const std::byte> bytes) {
  Entry entry{.name = name, .offset = written_, .size = bytes.size()};
  constexpr size_t piece = size_t{1} << 30;  // zlib counts in 32 bits
  for (size_t at = 0; at < bytes.size(); at += piece) {
    const auto part = bytes.subspan(at, std::min(piece, bytes.size() - at));
    entry.crc = static_cast<uint32_t>(
        crc32(entry.crc, reinterpret_cast<const unsigned char*>(part.data()), static_cast<unsigned>(part.size())));
  }
  std::string extra;
  if (entry.size >= in_zip64) extra = number(1, 2) + number(16, 2) + sizes64(entry.size);
  constexpr size_t fixed = 30, padding_header = 4;
  const size_t start = entry.offset + fixed + name.size() + extra.size() + padding_header;
  const size_t padding = (alignment - start % alignment) % alignment;
  extra += "FB" + number(padding, 2) + std::string(padding, 'Z');  // the field that torch.save pads with
  put("PK\x03\x04" + common_header(entry.crc, entry.size, name.size(), extra.size()) + name + extra);
  output_.write(bytes);
  written_ += bytes.size();
  entries_.push_back(std::move(entry));
}

void TorchZipWriter::write(std::span<const std::byte> bytes) {
  add(fmt::format("archive/data/{}", tensors_), bytes);
  ++tensors_;
}

void TorchZipWriter::commit() {
  add("archive/version", "3\n");
  const uint64_t start = written_;
  for (const Entry& entry : entries_) {
    std::string wide;
    if (entry.size >= in_zip64) wide += sizes64(entry.size);
    if (entry.offset >= in_zip64) wide += number(entry.offset, 8);
    const std::string extra = wide.empty() ? "" : number(1, 2) + number(wide.size(), 2) + wide;
    put("PK\x01\x02" + number(45, 2) + common_header(entry.crc, entry.size, entry.name.size(), extra.size()) +
        std::string(10, '\0') + number(narrowed(entry.offset), 4) + entry.name + extra);
  }
  const uint64_t size = written_ - start, end = written_;
  constexpr uint64_t in_wide_count = 0xffff;
  const uint64_t total = entries_.size();
  if (start >= in_zip64 || total >= in_wide_count) {
    put("PK\x06\x06" + number(44, 8) + number(45, 2) + number(45, 2) + std::string(8, '\0') + number(total, 8) +
        number(total, 8) + number(size, 8) + number(start, 8));
    put("PK\x06\x07" + number(0, 4) + number(end, 8) + number(1, 4));
  }
  const uint64_t shown = std::min(total, in_wide_count);
  put("PK\x05\x06" + number(0, 4) + number(shown, 2) + number(shown, 2) + number(narrowed(size), 4) +
      number(narrowed(start), 4) + number(0, 2));
  output_.commit();
}

}  // namespace sdtorch
