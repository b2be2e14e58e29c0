#include "io/torch_file.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <string_view>
#include <utility>

#include "core/error.hpp"
#include "io/pickle.hpp"

namespace sdtorch {
namespace {

using namespace std::string_view_literals;

constexpr std::string_view pickle_record = "data.pkl", storage_folder = "data/", byte_order_record = "byteorder";

/// 0x1950a86a20f9469cfc6c, which every old file begins with, as a pickle; the version is the next one.
constexpr std::string_view legacy_magic = "\x6c\xfc\x9c\x46\xf9\x20\x6a\xa8\x50\x19"sv;
constexpr int64_t legacy_version = 1001;

// torch.save packs nothing. Who packs a checkpoint again wins little: numbers look like noise.
constexpr uint64_t unpacked_allowance = uint64_t{256} << 20, unpacked_ratio = 16;
constexpr uint64_t max_packed_pickle = uint64_t{64} << 20;
constexpr uint64_t max_byte_order = 16;  // "little" or "big"

/// Archives that hold something else, told by an entry's name or its end.
struct OtherArchive {
  std::string_view entry_end;
  std::string_view what;
};

constexpr OtherArchive other_archives[] = {
    {"constants.pkl", "is a TorchScript archive, which holds a program"},
    {".npy", "is NumPy's archive of arrays (.npz), which is not read"},
    {"model_index.json", "is a zipped diffusers folder"},
    {"model.weights.h5", "is a Keras model, which is not read"},
    {".safetensors", "is a zip archive with a model in it"},
    {".ckpt", "is a zip archive with a model in it"},
    {".bin", "is a zip archive with a model in it"},
};

}  // namespace

TorchFile::TorchFile(std::span<const std::byte> file, std::string name, WeightsFormat format)
    : file_(file), name_(std::move(name)) {
  if (format == WeightsFormat::torch_zip) {
    read_zip();
  } else {
    read_legacy();
  }
}

void TorchFile::fail(std::string place, std::string reason, std::string hint) const {
  throw Error(ErrorKind::model,
              {.file = name_, .place = std::move(place), .reason = std::move(reason), .hint = std::move(hint)});
}

TorchBytes TorchFile::bytes(size_t storage) const {
  if (!archive_) return {.bytes = in_place_.at(storage)};
  const std::string& record = records_.at(storage);
  if (record.empty()) return {};
  return read_record(record);
}

bool TorchFile::has_checksum(size_t storage) const {
  return archive_ && !records_.at(storage).empty() && archive_->find(records_.at(storage))->checksum != 0;
}

void TorchFile::verify(size_t storage, const TorchBytes& bytes) const {
  if (has_checksum(storage)) archive_->verify(records_.at(storage), bytes.bytes);
}

TorchBytes TorchFile::read_record(const std::string& record) const {
  if (archive_->is_stored(record)) return {.bytes = archive_->stored(record)};
  const auto unpacked = std::make_shared<const std::vector<std::byte>>(archive_->inflated(record));
  return {.bytes = *unpacked, .unpacked = unpacked};
}

/// The folder in the archive that everything lies in, with its slash: torch.save calls it after the file.
std::string TorchFile::find_archive() const {
  std::string folder;
  size_t found = 0;
  for (const auto& [name, entry] : archive_->entries()) {
    const size_t slash = name.find('/');
    const size_t end = slash == std::string::npos ? 0 : slash + 1;
    if (std::string_view(name).substr(end) != pickle_record) continue;
    folder = name.substr(0, end);
    ++found;
  }
  if (found > 1) fail(std::string(pickle_record), "the archive has several");
  for (const OtherArchive& other : other_archives) {
    const bool always = other.entry_end == other_archives[0].entry_end;
    if (found > 0 && !always) break;
    for (const auto& [name, entry] : archive_->entries()) {
      if (name.ends_with(other.entry_end)) fail({}, std::string(other.what), "unpack it, or use the model's weights");
    }
  }
  if (found == 0) fail({}, fmt::format("is a zip archive, but none of PyTorch's: it has no {}", pickle_record));
  return folder;
}

void TorchFile::read_zip() {
  archive_.emplace(file_, name_);
  const std::string folder = find_archive();
  const std::string record = folder + std::string(pickle_record);
  const ZipEntry& entry = *archive_->find(record);
  if (entry.packed != entry.size && entry.size > max_packed_pickle) {
    fail(record, fmt::format("unpacks to {} bytes, more than the {} that are read", entry.size, max_packed_pickle));
  }
  const std::string byte_order = folder + std::string(byte_order_record);
  if (const ZipEntry* order_entry = archive_->find(byte_order)) {
    if (order_entry->size > max_byte_order) {
      fail(byte_order, fmt::format("{} bytes are no byte order", order_entry->size));
    }
    const TorchBytes bytes = read_record(byte_order);
    archive_->verify(byte_order, bytes.bytes);
    const std::string_view order(reinterpret_cast<const char*>(bytes.bytes.data()), bytes.bytes.size());
    if (order != "little" && order != "big") fail(byte_order, fmt::format("{:?} is no byte order", order));
    big_endian_ = order == "big";
  }
  const TorchBytes bytes = read_record(record);
  archive_->verify(record, bytes.bytes);
  const Pickle pickle(bytes.bytes, name_, record);
  contents_ = find_torch_tensors(pickle, name_);
  place_records(folder);
}

/// Storages lie in data/KEY; one of no bytes may be missing.
void TorchFile::place_records(const std::string& folder) {
  uint64_t unpacked = 0;
  for (const TorchStorage& storage : contents_.storages) {
    std::string record = folder + std::string(storage_folder) + storage.key;
    const ZipEntry* entry = archive_->find(record);
    if (!entry && storage.bytes() == 0) record.clear();
    if (!entry && storage.bytes() > 0) fail(record, "this storage is missing in the archive");
    if (entry && entry->size != storage.bytes()) {
      fail(record, fmt::format("the storage has {} bytes, {} elements of type {} need {}", entry->size,
                               storage.elements, storage.type->torch, storage.bytes()));
    }
    if (entry && !archive_->is_stored(record)) unpacked += entry->size;
    records_.push_back(std::move(record));
  }
  if (unpacked > std::max(unpacked_allowance, unpacked_ratio * file_.size())) {
    fail({}, fmt::format("{} bytes would unpack to {}, as no weights do", file_.size(), unpacked));
  }
}

void TorchFile::read_legacy() {
  uint64_t at = 0;
  const auto next = [&](const char* what) {
    Pickle pickle(file_.subspan(at), name_, at == 0 ? std::string() : fmt::format("{} from offset {}", what, at));
    at += pickle.length();
    return pickle;
  };
  {
    const Pickle magic = next("magic number");
    const PickleNode& number = magic[magic.root()];
    if (number.kind != PickleKind::big_integer || number.text != legacy_magic) {
      fail({}, "is a Python pickle, but none that torch.save has written", "a model's weights were expected");
    }
  }
  {
    const Pickle version = next("version");
    const PickleNode& number = version[version.root()];
    if (number.kind != PickleKind::integer || number.integer != legacy_version) {
      fail({}, fmt::format("is of a version of PyTorch's old format that is not {}", legacy_version));
    }
  }
  next("system");  // its byte order is that of whoever wrote it; the storages are little-endian all the same
  {
    const Pickle object = next("object");
    // The file holds the storages of all that was saved, one after the other.
    contents_ = find_torch_tensors(object, name_, {.all_storages = true});
  }
  const uint64_t keys_at = at;
  const Pickle list = next("storage keys");
  const PickleNode& keys_node = list[list.root()];
  const std::string place = fmt::format("offset {}", keys_at);
  if (keys_node.kind != PickleKind::list) fail(place, "a list of storages was expected");
  std::vector<std::string> keys;
  for (const PickleRef ref : keys_node.items) {
    if (list[ref].kind != PickleKind::text) fail(place, "a storage's key that is no string");
    keys.emplace_back(list[ref].text);
  }
  place_storages(at, keys);
}

/// In the order of the keys: the number of elements, 8 bytes, and then they.
void TorchFile::place_storages(uint64_t begin, const std::vector<std::string>& keys) {
  std::map<std::string_view, size_t> by_key;
  for (size_t i = 0; i < contents_.storages.size(); ++i) by_key[contents_.storages[i].key] = i;
  in_place_.resize(contents_.storages.size());
  std::vector<bool> placed(contents_.storages.size());
  constexpr size_t count_bytes = 8;
  for (const std::string& key : keys) {
    const std::string place = fmt::format("storage {}", key);
    const auto found = by_key.find(key);
    if (found == by_key.end()) fail(place, "no tensor has this storage");
    if (placed[found->second]) fail(place, "the storage is there twice");
    const TorchStorage& storage = contents_.storages[found->second];
    const uint64_t left = file_.size() - begin;
    if (left < count_bytes || left - count_bytes < storage.bytes()) {
      fail(place, fmt::format("{} bytes are needed from offset {} on, {} are left (is it truncated?)",
                              storage.bytes() + count_bytes, begin, left));
    }
    uint64_t count = 0;
    for (size_t i = count_bytes; i-- > 0;) count = count << 8 | std::to_integer<uint64_t>(file_[begin + i]);
    if (count != storage.elements) {
      fail(place, fmt::format("the storage has {} elements, its tensors count {}", count, storage.elements));
    }
    in_place_[found->second] = file_.subspan(begin + count_bytes, storage.bytes());
    placed[found->second] = true;
    begin += count_bytes + storage.bytes();
  }
  for (size_t i = 0; i < placed.size(); ++i) {
    if (!placed[i]) fail(fmt::format("storage {}", contents_.storages[i].key), "the storage is missing in the file");
  }
}

}  // namespace sdtorch
