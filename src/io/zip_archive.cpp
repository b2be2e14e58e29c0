#include "io/zip_archive.hpp"

#include <fmt/format.h>
#include <zlib.h>

#include <algorithm>
#include <memory>
#include <utility>

#include "core/error.hpp"
#include "core/utf8.hpp"

namespace sdtorch {
namespace {

using namespace std::string_view_literals;

constexpr auto local_signature = "PK\x03\x04"sv, central_signature = "PK\x01\x02"sv, end_signature = "PK\x05\x06"sv,
               end64_signature = "PK\x06\x06"sv, end64_locator_signature = "PK\x06\x07"sv;
constexpr size_t local_bytes = 30, central_bytes = 46, end_bytes = 22, end64_bytes = 56, end64_locator_bytes = 20;
constexpr size_t max_comment_bytes = 0xffff;
constexpr uint16_t zip64_extra = 1;
constexpr uint16_t method_stored = 0, method_deflated = 8;
constexpr size_t max_entries = size_t{1} << 18;  // a checkpoint of SDXL with its optimiser's state has 10,000
constexpr uint64_t deflate_ratio = 1032;         // the most that deflate can do: 258 bytes for 2 bits

/// A little-endian number of N bytes at an offset that is known to be in the text.
template <size_t N>
uint64_t number(std::string_view text, size_t offset) {
  uint64_t value = 0;
  for (size_t i = 0; i < N; ++i) value |= uint64_t{static_cast<uint8_t>(text[offset + i])} << (8 * i);
  return value;
}

/// Whether [begin, begin + size) lies in the first `end` bytes.
bool lies_in(uint64_t begin, uint64_t size, uint64_t end) { return begin <= end && size <= end - begin; }

bool climbs(std::string_view name) {
  if (name.starts_with('/') || name.find('\0') != std::string_view::npos) return true;
  for (size_t start = 0; start <= name.size();) {
    const size_t end = std::min(name.find_first_of("/\\", start), name.size());
    if (name.substr(start, end - start) == "..") return true;
    start = end + 1;
  }
  return false;
}

/// Numbers that do not fit into the directory's 32 bits stand in an extra field, in this order, those alone.
class Zip64Numbers {
 public:
  explicit Zip64Numbers(std::string_view extra) {
    while (extra.size() >= 4) {
      const auto id = number<2>(extra, 0), size = number<2>(extra, 2);
      if (size > extra.size() - 4) return;
      if (id == zip64_extra) {
        numbers_ = extra.substr(4, size);
        return;
      }
      extra.remove_prefix(4 + size);
    }
  }

  /// `value`, or the next number here where it stands for that. False where there is none.
  bool complete(uint64_t& value) {
    if (value != 0xffffffff) return true;
    if (numbers_.size() < 8) return false;
    value = number<8>(numbers_, 0);
    numbers_.remove_prefix(8);
    return true;
  }

 private:
  std::string_view numbers_{};
};

}  // namespace

ZipArchive::ZipArchive(std::span<const std::byte> file, std::string name)
    : file_(reinterpret_cast<const char*>(file.data()), file.size()), name_(std::move(name)) {
  read_directory();
  check_overlap();
}

const ZipEntry* ZipArchive::find(std::string_view entry) const {
  const auto found = entries_.find(entry);
  return found == entries_.end() ? nullptr : &found->second;
}

void ZipArchive::fail(std::string place, std::string reason) const {
  throw Error(ErrorKind::model, {.file = name_, .place = std::move(place), .reason = std::move(reason)});
}

void ZipArchive::read_directory() {
  // The end record is the last thing in the file, but for a comment of up to 64 KiB.
  const size_t reach = std::min(file_.size(), end_bytes + max_comment_bytes);
  const std::string_view tail = file_.substr(file_.size() - reach);
  size_t at = tail.rfind(end_signature);
  while (at != std::string_view::npos && tail.size() - at < end_bytes)
    at = at > 0 ? tail.rfind(end_signature, at - 1) : tail.npos;
  if (at == std::string_view::npos) fail({}, "the archive has no directory at its end (is it truncated?)");
  const size_t end = file_.size() - reach + at;

  uint64_t count = number<2>(file_, end + 10), size = number<4>(file_, end + 12);
  directory_ = number<4>(file_, end + 16);
  uint64_t directory_end = end;
  if (end >= end64_locator_bytes && file_.substr(end - end64_locator_bytes).starts_with(end64_locator_signature)) {
    const uint64_t end64 = number<8>(file_, end - end64_locator_bytes + 8);
    if (!lies_in(end64, end64_bytes, end - end64_locator_bytes) || !file_.substr(end64).starts_with(end64_signature)) {
      fail(fmt::format("offset {}", end), "the archive's end record is not where it is said to be");
    }
    count = number<8>(file_, end64 + 32);
    size = number<8>(file_, end64 + 40);
    directory_ = number<8>(file_, end64 + 48);
    directory_end = end64;
  }
  if (!lies_in(directory_, size, directory_end)) {
    fail(fmt::format("offset {}", end), "the archive's directory lies outside the file (is it truncated?)");
  }
  if (count > max_entries) fail({}, fmt::format("the archive has {} entries, more than {}", count, max_entries));

  uint64_t reached = directory_;
  const uint64_t limit = directory_ + size;
  for (uint64_t i = 0; i < count; ++i) {
    const std::string place = fmt::format("offset {}", reached);
    if (!lies_in(reached, central_bytes, limit) || !file_.substr(reached).starts_with(central_signature)) {
      fail(place, fmt::format("entry {} of {} of the archive's directory is missing", i + 1, count));
    }
    const std::string_view header = file_.substr(reached, central_bytes);
    const uint64_t name = number<2>(header, 28), extra = number<2>(header, 30), comment = number<2>(header, 32);
    if (!lies_in(reached + central_bytes, name + extra + comment, limit)) {
      fail(place, "an entry's name lies outside the archive's directory");
    }
    add_entry(header, file_.substr(reached + central_bytes, name), file_.substr(reached + central_bytes + name, extra));
    reached += central_bytes + name + extra + comment;
  }
}

void ZipArchive::add_entry(std::string_view header, std::string_view name, std::string_view extra) {
  const std::string key(name);
  if (climbs(name)) fail(key, "the entry's name leads out of the archive");
  ZipEntry entry{.header = number<4>(header, 42),
                 .packed = number<4>(header, 20),
                 .size = number<4>(header, 24),
                 .checksum = static_cast<uint32_t>(number<4>(header, 16)),
                 .method = static_cast<uint16_t>(number<2>(header, 10)),
                 .encrypted = (number<2>(header, 8) & 1) != 0};
  Zip64Numbers zip64(extra);
  if (!zip64.complete(entry.size) || !zip64.complete(entry.packed) || !zip64.complete(entry.header)) {
    fail(key, "the entry's size or place is missing");
  }
  if (!lies_in(entry.header, local_bytes, directory_) || !file_.substr(entry.header).starts_with(local_signature)) {
    fail(key, fmt::format("there is no entry at offset {}, where the directory places it", entry.header));
  }
  const uint64_t name_size = number<2>(file_, entry.header + 26), extra_size = number<2>(file_, entry.header + 28);
  entry.begin = entry.header + local_bytes + name_size + extra_size;
  if (!lies_in(entry.begin, entry.packed, directory_)) {
    fail(key, fmt::format("its {} bytes at offset {} reach beyond the {} that the archive has room for", entry.packed,
                          entry.begin, directory_));
  }
  if (file_.substr(entry.header + local_bytes, name_size) != name) {
    fail(key, fmt::format("the entry at offset {} has another name", entry.header));
  }
  if (entry.method == method_stored && entry.packed != entry.size) {
    fail(key, fmt::format("the entry is stored in {} bytes and has {}", entry.packed, entry.size));
  }
  if (entry.method == method_deflated && entry.size / deflate_ratio > entry.packed) {
    fail(key, fmt::format("{} bytes cannot unpack to {}", entry.packed, entry.size));
  }
  if (!entries_.emplace(key, entry).second) fail(key, "the archive has two entries of this name");
}

void ZipArchive::check_overlap() const {
  std::vector<std::pair<const ZipEntry*, const std::string*>> sorted;
  for (const auto& [name, entry] : entries_) sorted.emplace_back(&entry, &name);
  std::sort(sorted.begin(), sorted.end(),
            [](const auto& a, const auto& b) { return a.first->header < b.first->header; });
  for (size_t i = 1; i < sorted.size(); ++i) {
    const ZipEntry& before = *sorted[i - 1].first;
    if (before.begin + before.packed > sorted[i].first->header) {
      fail(*sorted[i].second, fmt::format("the entry overlaps {:?}", shortened(*sorted[i - 1].second, 100)));
    }
  }
}

const ZipEntry& ZipArchive::at(const std::string& entry) const {
  const ZipEntry* found = find(entry);
  if (!found) fail(entry, "this entry is missing in the archive");
  if (found->encrypted) fail(entry, "the entry is encrypted");
  if (found->method != method_stored && found->method != method_deflated) {
    fail(entry, fmt::format("the entry is packed by method {}; only stored and deflated ones are read", found->method));
  }
  return *found;
}

bool ZipArchive::is_stored(const std::string& entry) const { return at(entry).method == method_stored; }

std::span<const std::byte> ZipArchive::stored(const std::string& entry) const {
  const ZipEntry& found = at(entry);
  if (found.method != method_stored) throw Error(ErrorKind::bug, {.file = name_, .place = entry, .reason = "deflated"});
  return std::as_bytes(std::span(file_)).subspan(found.begin, found.packed);
}

std::vector<std::byte> ZipArchive::inflated(const std::string& entry) const {
  const ZipEntry& found = at(entry);
  std::vector<std::byte> unpacked(found.size);
  z_stream stream{};
  if (inflateInit2(&stream, -MAX_WBITS) != Z_OK) throw std::bad_alloc();
  const std::unique_ptr<z_stream, decltype(&inflateEnd)> guard(&stream, &inflateEnd);

  // zlib counts in 32 bits: both sides are handed over in pieces.
  constexpr uint64_t piece = uint64_t{1} << 30;
  uint64_t read = 0, written = 0;
  std::byte beyond{};  // shows data that go on behind the promised size
  int result = Z_OK;
  while (result == Z_OK) {
    const auto in = static_cast<uInt>(std::min(piece, found.packed - read));
    const auto out = static_cast<uInt>(std::min(piece, found.size - written));
    stream.next_in = reinterpret_cast<Bytef*>(const_cast<char*>(file_.data())) + found.begin + read;
    stream.avail_in = in;
    stream.next_out = reinterpret_cast<Bytef*>(out > 0 ? unpacked.data() + written : &beyond);
    stream.avail_out = out > 0 ? out : 1;
    result = inflate(&stream, Z_NO_FLUSH);
    read += in - stream.avail_in;
    if (out == 0 && stream.avail_out == 0) fail(entry, fmt::format("it unpacks to more than its {} bytes", found.size));
    if (out > 0) written += out - stream.avail_out;
  }
  if (result != Z_STREAM_END || read != found.packed || written != found.size) {
    fail(entry, fmt::format("the packed data are damaged: {} of {} bytes unpacked", written, found.size));
  }
  return unpacked;
}

void ZipArchive::verify(const std::string& entry, std::span<const std::byte> unpacked) const {
  const uint32_t wanted = at(entry).checksum;
  if (wanted == 0) return;  // torch.serialization.set_crc32_options(False)
  const auto found = crc32_z(0, reinterpret_cast<const Bytef*>(unpacked.data()), unpacked.size());
  if (found != wanted) {
    fail(entry, fmt::format("the data are damaged: their CRC-32 is {:08x}, {:08x} was expected", found, wanted));
  }
}

}  // namespace sdtorch
