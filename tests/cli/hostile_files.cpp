#include "cli/hostile_files.hpp"

#include "support/checkpoints.hpp"

using namespace std::string_literals;

std::vector<HostileFile> files_of_other_kinds() {
  return {
      {"empty.safetensors", "", "is empty"},
      {"pointer.safetensors", "version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 4265380512\n",
       "is a Git LFS pointer, not the weights themselves; fetch them with `git lfs pull`"},
      {"page.safetensors", "<!DOCTYPE html>\n<html><body>Log in</body></html>\n", "is a web page"},
      {"page.ckpt", "\n\n  <html>\n", "is a web page"},
      {"denied.bin", "<?xml version=\"1.0\"?><Error><Code>AccessDenied</Code></Error>", "is XML"},
      {"error.safetensors", "{\"error\":\"Repository not found\"}", "is JSON, not weights"},
      {"text.ckpt", "Entry not found", "is text, not weights; it begins with `Entry not found`"},
      {"escape.ckpt", "wrong \x1b]0;title\x07", "is none of the formats"},
      {"model.gguf", "GGUF\3\0\0\0"s, "is a GGUF model"},
      {"model.onnx", "\x08\x07\x12\x07pytorch\x1a\x05", "is an ONNX model"},
      {"model.tflite", "\x1c\0\0\0TFL3"s, "is a TensorFlow Lite model"},
      {"model.ckpt.gz", "\x1f\x8b\x08\0\0\0\0\0"s, "is compressed with gzip; unpack it"},
      {"model.7z", "7z\xbc\xaf\x27\x1c\0\4"s, "is a 7z archive"},
      {"model.rar", "Rar!\x1a\x07\1\0"s, "is a RAR archive"},
      {"model.xz",
       "\xfd"
       "7zXZ\0\0\4"s,
       "is compressed with xz"},
      {"model.zst", "\x28\xb5\x2f\xfd\x24\0"s, "is compressed with zstd"},
      {"model.bz2", "BZh91AY&SY", "is compressed with bzip2"},
      {"model.tar", "x"s + std::string(256, '\0') + "ustar\0"s + std::string(250, '\0'), "is a tar archive"},
      {"array.npy", "\x93NUMPY\1\0v\0"s, "is a NumPy array"},
      {"flax_model.msgpack", "\x81\xa6params\x82", "is a msgpack file, such as Flax models"},
      {"model.h5", "\x89HDF\r\n\x1a\n\0\0"s, "is an HDF5 file"},
      {"picture.safetensors", "\xff\xd8\xff\xe0\0\x10JFIF"s, "is a JPEG picture"},
      {"paper.ckpt", "%PDF-1.5", "is a PDF document"},
      {"program.bin",
       "\x7f"
       "ELF\2\1\1",
       "is a program"},
      {"._model.safetensors", "\0\5\x16\7\0\2\0\0"s, "holds a file's attributes as macOS keeps them"},
      {"sparse.safetensors", std::string(100000, '\0'), "begins with zeros alone, like a download"},
      {"noise.safetensors", "\x93\x11\xd0\x04\xe5\xfa\x80\x17\xa3\x9e", "is none of the formats that are read"},
  };
}

std::vector<HostileFile> hostile_safetensors() {
  const auto one = [](const std::string& type, const std::string& shape, const std::string& range, size_t data = 8) {
    return safetensors_file(
        R"({"t":{"dtype":")" + type + R"(","shape":)" + shape + R"(,"data_offsets":)" + range + "}}", data);
  };
  std::string axes = "[1", deep = R"({"t":)";
  for (int i = 0; i < 64; ++i) axes += ",1";
  for (int i = 0; i < 100000; ++i) deep += R"({"t":)";
  return {
      {"no-tensors.safetensors", safetensors_file("{}", 0), "holds no tensors"},
      {"long-header.safetensors", little_endian(1 << 20, 8) + "{\"t\":", "(is it truncated?)"},
      {"huge-header.safetensors", little_endian(~uint64_t{0} >> 1, 8) + "{}", "above the format's limit"},
      {"array.safetensors", safetensors_file("[]", 0), "the header must begin with '{'"},
      {"half-header.safetensors", safetensors_file("{\"t\":", 0), "header: line 1, column"},
      {"not-utf8.safetensors", safetensors_file("{\"\xff\":1}", 0), "header: line 1, column"},
      {"deep.safetensors", safetensors_file(deep, 0), "nested more than 4 deep"},
      {"twice.safetensors", safetensors_file(R"({"t":{},"t":{}})", 0), "the key \"t\" occurs twice"},
      {"no-object.safetensors", safetensors_file(R"({"t":1})", 0), "t: an object was expected"},
      {"no-shape.safetensors", safetensors_file(R"({"t":{"dtype":"F32"}})", 0), "t: shape is missing"},
      {"metadata.safetensors", safetensors_file(R"({"__metadata__":{"a":1}})", 0), "a: a string was expected"},
      {"type.safetensors", one("Q4_0", "[2]", "[0,8]"), "dtype \"Q4_0\" is none that can be read"},
      {"negative.safetensors", one("F32", "[-2]", "[0,8]"), "whole numbers from 0 were expected, found -2"},
      {"overflow.safetensors", one("F32", "[4294967296,4294967296]", "[0,8]"), "more elements than can be counted"},
      {"hidden-overflow.safetensors", one("F32", "[4294967296,4294967296,0]", "[0,0]", 0),
       "more elements than can be counted"},
      {"axes.safetensors", one("U8", axes + "]", "[0,1]", 1), "the shape has 65 axes"},
      {"size.safetensors", one("F32", "[3]", "[0,8]"), "hold 8 bytes, the F32 shape needs 12"},
      {"cut.safetensors", one("F32", "[200]", "[0,800]"), "lie outside the file's 8 bytes of data (is it truncated?)"},
      {"backwards.safetensors", one("F32", "[2]", "[8,0]"), "lie outside"},
      {"hole.safetensors", one("F32", "[1]", "[4,8]"), "the ranges leave a hole"},
      {"overlap.safetensors",
       safetensors_file(R"({"a":{"dtype":"U8","shape":[6],"data_offsets":[0,6]},)"
                        R"("b":{"dtype":"U8","shape":[6],"data_offsets":[2,8]}})",
                        8),
       "the ranges overlap"},
      {"rest.safetensors", one("F32", "[2]", "[0,8]", 9), "1 bytes follow the last tensor"},
  };
}

std::vector<HostileFile> hostile_archives() {
  const std::string value = pickled::dict({pickled::text("t"), pickled::tensor()});
  const std::string pickle = pickled::whole(value);
  const std::string good = torch_zip(value);
  const auto with = [&](ZipPart part) { return torch_zip_with(value, {std::move(part)}); };
  const std::string zeros(16, '\0');
  std::string misplaced = good;
  misplaced.replace(good.size() - 6, 4, little_endian(0x7fffffff, 4));
  std::string counted = good;
  counted.replace(good.size() - 12, 2, little_endian(7, 2));
  // One block of deflate's that stores 32 bytes.
  const std::string deflated = "\1" + little_endian(32, 2) + little_endian(~uint64_t{32}, 2) + std::string(32, '\0');
  return {
      {"cut.ckpt", good.substr(0, good.size() / 2), "the archive has no directory at its end (is it truncated?)"},
      {"cut-end.ckpt", good.substr(0, good.size() - 10), "no directory at its end"},
      {"nothing.ckpt", zip_file({}), "is a zip archive with nothing in it"},
      {"misplaced.ckpt", misplaced, "the archive's directory lies outside the file"},
      {"counted.ckpt", counted, "entry 3 of 7 of the archive's directory is missing"},
      {"overlap.ckpt",
       zip_file(
           {{.name = "archive/data.pkl", .data = pickle}, {.name = "archive/data.pkl2", .data = "x", .header = 0}}),
       "the entry at offset 0 has another name"},
      {"names.ckpt", with({.name = "archive/data/0", .data = zeros, .local_name = "archive/data/1"}),
       "has another name"},
      {"slip.ckpt", with({.name = "../../etc/passwd", .data = "x"}), "the entry's name leads out of the archive"},
      {"root.ckpt", with({.name = "/etc/passwd", .data = "x"}), "the entry's name leads out of the archive"},
      {"twice.ckpt", with({.name = "archive/data.pkl", .data = pickle}), "the archive has two entries of this name"},
      {"stored.ckpt", with({.name = "archive/data/0", .data = zeros, .size = 32}), "is stored in 16 bytes and has 32"},
      {"encrypted.ckpt", with({.name = "archive/data/0", .data = zeros, .flags = 1}), "the entry is encrypted"},
      {"method.ckpt", with({.name = "archive/data/0", .data = zeros, .method = 12}), "is packed by method 12"},
      {"bomb.ckpt", with({.name = "archive/data/0", .data = deflated, .method = 8, .size = 0x7fffffff}),
       "37 bytes cannot unpack to 2147483647"},
      {"deflated.ckpt", with({.name = "archive/data/0", .data = "\xff\xff\xff\xff", .method = 8, .size = 16}),
       "the packed data are damaged"},
      {"short.ckpt", with({.name = "archive/data/0", .data = deflated, .method = 8, .size = 16}),
       "it unpacks to more than its 16 bytes"},
      {"checksum.ckpt", with({.name = "archive/data/0", .data = zeros, .checksum = 1}),
       "the data are damaged: their CRC-32 is ecbb4b55, 00000001 was expected"},
      {"pickle-checksum.ckpt", zip_file({{.name = "archive/data.pkl", .data = pickle, .checksum = 1}}),
       "archive/data.pkl: the data are damaged"},
      {"plain.zip", zip_file({{.name = "readme.txt", .data = "x"}}), "is a zip archive, but none of PyTorch's"},
      {"arrays.npz", zip_file({{.name = "a.npy", .data = "x"}}), "is NumPy's archive of arrays"},
      {"folder.zip", zip_file({{.name = "sd15/model_index.json", .data = "{}"}}), "is a zipped diffusers folder"},
      {"model.zip", zip_file({{.name = "v1-5.ckpt", .data = "x"}}), "is a zip archive with a model in it"},
      {"program.pt", with({.name = "archive/constants.pkl", .data = "x"}), "is a TorchScript archive"},
      {"two.ckpt", with({.name = "other/data.pkl", .data = pickle}), "data.pkl: the archive has several"},
      {"order.ckpt", with({.name = "archive/byteorder", .data = "middle"}), "\"middle\" is no byte order"},
      {"long-order.ckpt", with({.name = "archive/byteorder", .data = deflated, .method = 8, .size = 32}),
       "archive/byteorder: 32 bytes are no byte order"},
      {"packed-order.ckpt", with({.name = "archive/byteorder", .data = deflated, .method = 8, .size = 6}),
       "it unpacks to more than its 6 bytes"},
      {"order-checksum.ckpt", with({.name = "archive/byteorder", .data = "little", .checksum = 1}),
       "archive/byteorder: the data are damaged"},
      {"missing.ckpt", torch_zip_with(value, {}), "archive/data/0: this storage is missing in the archive"},
      {"larger.ckpt", torch_zip(value, 12), "the storage has 12 bytes, 4 elements of type float32 need 16"},
      {"smaller.ckpt", torch_zip(value, 20), "the storage has 20 bytes"},
  };
}

namespace {

std::string times(size_t count, const std::string& text) {
  std::string all;
  for (size_t i = 0; i < count; ++i) all += text;
  return all;
}

/// A megabyte of text that `h\0` refers to, and a tensor that `h\1` does.
const std::string& long_text() {
  static const std::string text = pickled::text(std::string(1'000'000, 'a')) + "q\0"s + "0";
  return text;
}
std::string kept_tensor() { return pickled::tensor() + "q\1" + "0"; }

}  // namespace

/// Little that stands for much: what is referred to in two bytes may be looked at, or copied, as often as that.
std::vector<HostileFile> hostile_shares() {
  using pickled::text;
  const std::string long_key = "h\0"s, shared = "h\1", bar = pickled::global("foo", "Bar");
  const std::string metadata = "}(" + times(100, text("a") + "K\1") + "u";
  const auto pair = [](const std::string& key, const std::string& value) { return "(" + text(key) + value + "t"; };
  return {
      {"modules.ckpt",
       torch_zip(text("_modules") + "q\0"s + "0" + times(30'000, "}h\0"s) + pickled::tensor() + times(30'000, "s")),
       "nested more than 200 deep"},
      {"states.ckpt",
       torch_zip(bar + "q\1" + "0" + times(400'000, "h\1)\x81") + pickled::tensor() + times(400'000, "b")),
       "nested more than 200 deep"},
      {"global.ckpt", torch_zip(long_text() + "(" + times(200'000, "h\0h\0\x93"s) + "t"),
       "a global's name of 2000001 bytes"},
      {"globals.ckpt", torch_zip(text(std::string(400, 'a')) + "q\0"s + "0(" + times(200'000, "h\0h\0\x93"s) + "t"),
       "refers to more globals than any checkpoint"},
      {"name.ckpt", torch_zip(long_text() + "}h\0("s + kept_tensor() + times(60'000, shared) + "ls"),
       "a tensor's name of 1000001 bytes, more than 4096"},
      {"names.ckpt",
       torch_zip(text(std::string(4000, 'a')) + "q\0"s + "0}h\0("s + kept_tensor() + times(60'000, shared) + "ls"),
       "the tensors' names take up more memory"},
      {"deep-names.ckpt", torch_zip("(" + kept_tensor() + times(60'000, shared) + "l" + times(190, "\x85")),
       "the tensors' names take up more memory"},
      {"long-keys.ckpt",
       torch_zip(long_text() + "}(" + times(400'000, "h\0K\1"s) + text("t") + pickled::tensor({.offset = -1}) + "u"),
       "t: its offset -1 is negative"},
      {"state-items.ckpt",
       torch_zip("(" + kept_tensor() + bar + ")\x81}(" + text("a") + shared + text("b") + "q\7K\1" +
                 times(500'000, "h\7K\1") + "ubq\5" + times(60'000, "h\5") + "l"),
       "objects are shared more often than any checkpoint does"},
      {"ordered.ckpt",
       torch_zip("(" + kept_tensor() + pickled::global("collections", "OrderedDict") + "((" + pair("a", shared) +
                 pair("b", "K\1") + "q\4" + times(500'000, "h\4") + "ltRq\5" + times(60'000, "h\5") + "l"),
       "objects are shared more often than any checkpoint does"},
      {"storage-key.ckpt",
       torch_zip("}(" + text("t") + pickled::tensor({.storage = {.key = std::string(5000, 'k')}}) + "u"),
       "t: its storage's key has more than 1000 bytes"},
      {"metadata.ckpt",
       torch_zip("}(" + text("t") +
                 pickled::call(pickled::global("torch._utils", "_rebuild_tensor_v2"),
                               {pickled::storage(), "K\0"s, pickled::integers({4}), pickled::integers({1}), "\x89", "}",
                                metadata}) +
                 "u"),
       "t: its metadata have more than 64 keys"},
  };
}

std::vector<HostileFile> hostile_pickles() {
  using pickled::text;
  const auto archive = [](const std::string& pickle) {
    return zip_file({{.name = "archive/data.pkl", .data = pickle}});
  };
  const auto value = [](const std::string& instructions) { return torch_zip(instructions); };
  // A list in a list …, each built around the one before.
  std::string nested = "]", doubled = pickled::tensor();
  for (int i = 0; i < 100000; ++i) nested += "\x85";
  for (int i = 0; i < 64; ++i) doubled += "q\1" + std::string("h\1\x86");
  return {
      {"no-end.ckpt", archive("\x80\2}"), "offset 3: the pickle ends too early"},
      {"nothing.ckpt", archive(""), "offset 0: the pickle ends too early"},
      {"only-end.ckpt", archive("\x80\2."), "takes more from its stack than is there"},
      {"instruction.ckpt", value("\xff"), "0xff is no instruction of a pickle"},
      {"protocol.ckpt", archive("\x80\6}."), "pickle protocol 6 is newer than the 5"},
      {"mark.ckpt", value("t"), "looks for a mark that is not there"},
      {"below-mark.ckpt", value("}(s"), "takes more from its stack than is there"},
      {"memo.ckpt", value("h\7"), "refers to object 7, which it has not made yet"},
      {"frame.ckpt", value("\x95" + little_endian(~uint64_t{0}, 8) + "}"), "a frame of 18446744073709551615 bytes"},
      {"length.ckpt", value("X" + little_endian(0xffffffff, 4)), "4294967295 bytes were expected"},
      {"negative-length.ckpt", value("\x8b" + little_endian(0x80000000, 4)), "a number of negative length"},
      {"no-number.ckpt", value("I" + std::string(100000, 'x') + "\n"), std::string(100, 'x') + "…\" is no number"},
      {"line.ckpt", archive("\x80\2cos"), "ends in the middle of a line"},
      {"extension.ckpt", value("\x82\1"), "Python's registry of extensions"},
      {"buffer.ckpt", value("\x97"), "refers to buffers outside of it"},
      {"odd.ckpt", value("}(" + text("a") + "u"), "a key without a value"},
      {"container.ckpt", value(text("a") + text("b") + "a"), "items are put into what is no container"},
      {"objects.ckpt", value(std::string(3'000'000, ']')), "more than 2000000 objects"},
      {"marks.ckpt", value(std::string(3'000'000, '(')), "more than 2000000 objects"},
      {"copies.ckpt", value("N" + std::string(3'000'000, '2')), "more than 2000000 objects"},
      {"memos.ckpt", value("N" + std::string(3'000'000, '\x94')), "more than 2000000 objects"},
      {"deep.ckpt", value(nested), "nested more than 200 deep"},
      {"laughs.ckpt", value(doubled), "there are more than 65536 tensors"},
      {"cycle.ckpt", value("]q\1h\1a"), "holds no tensors"},
      {"exploit.ckpt", value(pickled::call(pickled::global("os", "system"), {text("touch exploited")})),
       "holds no tensors"},
  };
}

std::vector<HostileFile> hostile_tensors() {
  using namespace pickled;
  const auto file = [](const std::string& value) { return torch_zip(dict({pickled::text("t"), value})); };
  const auto built = [&](const std::string& function, const std::vector<std::string>& arguments) {
    return file(call(global("torch._utils", function), arguments));
  };
  const std::vector<int64_t> axes(65, 1);
  const int64_t huge = int64_t{1} << 40;
  return {
      {"offset.pt", file(tensor({.offset = -1})), "t: its offset -1 is negative"},
      {"far-offset.pt", file(tensor({.offset = INT64_MAX})), "t: its shape has more elements than can be counted"},
      {"stride.pt", file(tensor({.strides = {-2, 1}})), "t: its axis 0 has a stride of -2"},
      {"axis.pt", file(tensor({.shape = {-2, 2}})), "t: its axis 0 has a size of -2"},
      {"reach.pt", file(tensor({.shape = {2, 3}})), "t: it reaches to element 4 of a storage of 4"},
      {"overflow.pt", file(tensor({.shape = {huge, huge}})), "more elements than can be counted"},
      {"repeated.pt", file(tensor({.shape = {huge, huge}, .strides = {0, 0}})), "more elements than can be counted"},
      {"expanded.pt", file(tensor({.shape = {(int64_t{1} << 59) - 1}, .strides = {0}})),
       "t: its shape has 576460752303423487 elements, more than any model has"},
      {"zero-key.pt", file(tensor({.storage = {.key = "9\0\x1b"s}})), "archive/data/9??: this storage is missing"},
      {"long-place.pt", torch_zip(dict({pickled::text(std::string(300, 'k')), tensor({.offset = -1})})),
       std::string(200, 'k') + "…: its offset -1 is negative"},
      {"axes.pt", file(tensor({.shape = axes, .strides = axes})), "t: it has 65 axes"},
      {"strides.pt", file(tensor({.strides = {1}})), "t: it has 2 axes and 1 strides"},
      {"empty-far.pt", file(tensor({.offset = 9, .shape = {0}, .strides = {1}})), "it begins at element 9"},
      {"elements.pt", file(tensor({.storage = {.elements = -4}})), "t: a storage of -4 elements"},
      {"terabytes.pt", file(tensor({.storage = {.elements = huge}})), "the storage has 16 bytes"},
      {"overflown.pt", file(tensor({.storage = {.elements = INT64_MAX}})), "t: a storage of 9223372036854775807"},
      {"kind.pt", file(tensor({.storage = {.kind = "PickleStorage"}})), "t: torch.PickleStorage is no kind of storage"},
      {"climbing.pt", file(tensor({.storage = {.key = "../../data.pkl"}})), "this storage is missing"},
      {"types.pt",
       torch_zip(dict({pickled::text("a"), tensor(), pickled::text("b"), tensor({.storage = {.kind = "IntStorage"}})})),
       "b: storage \"0\" has 4 elements of type int32 here, and 4 of type float32 elsewhere"},
      {"names.pt",
       torch_zip(dict({pickled::text("a.b"), tensor(), pickled::text("a"), dict({pickled::text("b"), tensor()})})),
       "a.b: two tensors have this name"},
      {"quantised.pt", built("_rebuild_qtensor", {storage()}), "t: is a quantised tensor, which is not read"},
      {"quantised-storage.pt", torch_zip(dict({pickled::text("t"), tensor({.storage = {.kind = "QInt8Storage"}})}), 4),
       "t: is of type qint8, which is not read"},
      {"sparse.pt", built("_rebuild_sparse_tensor", {}), "t: is a sparse tensor"},
      {"meta.pt", built("_rebuild_meta_tensor_no_storage", {}), "t: is a meta tensor"},
      {"arguments.pt", built("_rebuild_tensor_v2", {storage()}), "has 1 arguments, 4 are needed"},
      {"no-storage.pt", built("_rebuild_tensor", {"N", "N", "N", "N"}), "t: it has no storage"},
      {"no-tensor.pt", built("_rebuild_parameter", {"N"}), "_rebuild_parameter is not given a tensor"},
      {"no-numbers.pt", built("_rebuild_tensor", {storage(), "N", "N", "N"}), "t: its offset is no whole number"},
      {"nothing-called.pt",
       file("N"
            ")R"),
       "holds no tensors"},
      {"persistent.pt", file(integers({1, 2, 3}) + "Q"), "t: its storage is not described as torch.save does"},
  };
}

std::vector<HostileFile> hostile_old_files() {
  const std::string value = pickled::dict({pickled::text("t"), pickled::tensor()});
  const std::string keys = "](" + pickled::text("0") + "e", data = little_endian(4, 8) + std::string(16, '\0');
  const std::string good = torch_legacy(value, keys, data);
  std::string version = good;
  version.replace(version.find(little_endian(1001, 8)), 2, little_endian(1002, 2));
  return {
      {"other.pkl", pickled::whole(pickled::dict({pickled::text("a"), pickled::text("b")})),
       "is a Python pickle, but none that torch.save has written"},
      {"command.pkl",
       pickled::whole(pickled::call(pickled::global("os", "system"), {pickled::text("touch exploited")})),
       "is a Python pickle, but none that torch.save has written"},
      {"version.pt", version, "is of a version of PyTorch's old format that is not 1001"},
      {"cut.pt", good.substr(0, good.size() - 1), "24 bytes are needed from offset"},
      {"cut-pickle.pt", good.substr(0, 60), "the pickle ends"},
      {"count.pt", torch_legacy(value, keys, little_endian(5, 8) + std::string(16, '\0')),
       "the storage has 5 elements, its tensors count 4"},
      {"unknown.pt", torch_legacy(value, "](" + pickled::text("9") + "e", data),
       "storage 9: no tensor has this storage"},
      {"absent.pt", torch_legacy(value, "]", data), "storage 0: the storage is missing in the file"},
      {"twice.pt", torch_legacy(value, "](" + pickled::text("0") + pickled::text("0") + "e", data + data),
       "storage 0: the storage is there twice"},
      {"no-list.pt", torch_legacy(value, "N", data), "a list of storages was expected"},
  };
}

std::vector<HostileFile> hostile_files() {
  std::vector<HostileFile> all;
  for (const auto& some : {files_of_other_kinds(), hostile_safetensors(), hostile_archives(), hostile_pickles(),
                           hostile_shares(), hostile_tensors(), hostile_old_files()}) {
    all.insert(all.end(), some.begin(), some.end());
  }
  return all;
}
