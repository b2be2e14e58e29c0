#include "support/checkpoints.hpp"

std::string little_endian(uint64_t number, size_t bytes) {
  std::string text;
  for (size_t i = 0; i < bytes; ++i, number >>= 8) text += static_cast<char>(number & 0xff);
  return text;
}

std::string safetensors_file(const std::string& header, size_t data) {
  return little_endian(header.size(), 8) + header + std::string(data, '\0');
}

std::string zip_file(const std::vector<ZipPart>& parts) {
  std::string file, directory;
  for (const ZipPart& part : parts) {
    // Method, time and date, CRC-32, sizes: the same in both headers.
    const std::string common = little_endian(part.flags, 2) + little_endian(part.method, 2) + little_endian(0, 4) +
                               little_endian(part.checksum, 4) + little_endian(part.data.size(), 4) +
                               little_endian(part.size.value_or(static_cast<uint32_t>(part.data.size())), 4);
    const std::string local_name = part.local_name.value_or(part.name);
    const auto header = part.header.value_or(static_cast<uint32_t>(file.size()));
    file += "PK\3\4" + little_endian(20, 2) + common + little_endian(local_name.size(), 2) + little_endian(0, 2) +
            local_name + part.data;
    directory += "PK\1\2" + little_endian(20, 2) + little_endian(20, 2) + common + little_endian(part.name.size(), 2) +
                 little_endian(0, 12) + little_endian(header, 4) + part.name;
  }
  const std::string count = little_endian(parts.size(), 2);
  return file + directory + "PK\5\6" + little_endian(0, 4) + count + count + little_endian(directory.size(), 4) +
         little_endian(file.size(), 4) + little_endian(0, 2);
}

namespace pickled {

std::string text(const std::string& value) { return "X" + little_endian(value.size(), 4) + value; }

std::string integer(int64_t value) { return "\x8a\x08" + little_endian(static_cast<uint64_t>(value), 8); }

std::string global(const std::string& module, const std::string& name) { return "c" + module + "\n" + name + "\n"; }

std::string tuple(const std::vector<std::string>& items) {
  std::string all = "(";
  for (const std::string& item : items) all += item;
  return all + "t";
}

std::string integers(const std::vector<int64_t>& values) {
  std::vector<std::string> items;
  for (const int64_t value : values) items.push_back(integer(value));
  return tuple(items);
}

std::string dict(const std::vector<std::string>& keys_and_values) {
  std::string all = "}(";
  for (const std::string& item : keys_and_values) all += item;
  return all + "u";
}

std::string call(const std::string& function, const std::vector<std::string>& arguments) {
  return function + tuple(arguments) + "R";
}

std::string whole(const std::string& value) { return "\x80\2" + value + "."; }

std::string storage(const Storage& storage) {
  return tuple({text("storage"), global("torch", storage.kind), text(storage.key), text("cpu"),
                integer(storage.elements)}) +
         "Q";
}

std::string tensor(const TensorParts& tensor) {
  return call(global("torch._utils", "_rebuild_tensor_v2"),
              {storage(tensor.storage), integer(tensor.offset), integers(tensor.shape), integers(tensor.strides),
               "\x89", dict({})});
}

}  // namespace pickled

std::string torch_zip(const std::string& value, size_t bytes) {
  return torch_zip_with(value, {{.name = "archive/data/0", .data = std::string(bytes, '\0')}});
}

std::string torch_zip_with(const std::string& value, const std::vector<ZipPart>& more) {
  std::vector<ZipPart> parts = {{.name = "archive/data.pkl", .data = pickled::whole(value)}};
  parts.insert(parts.end(), more.begin(), more.end());
  return zip_file(parts);
}

std::string torch_legacy(const std::string& value, const std::string& keys, const std::string& data) {
  const std::string magic =
      "\x8a\nl\xfc\x9c"
      "F\xf9 j\xa8P\x19";
  return pickled::whole(magic) + pickled::whole(pickled::integer(1001)) + pickled::whole("}") + pickled::whole(value) +
         pickled::whole(keys) + data;
}
