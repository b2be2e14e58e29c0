// Every layout that scripts/goldens/torch_files.py writes, against what torch itself says is in it.
#include <fmt/format.h>

#include <algorithm>
#include <cstring>
#include <nlohmann/json.hpp>

#include "support/catch.hpp"
#include "support/checkpoints.hpp"
#include "support/files.hpp"
#include "support/golden.hpp"
#include "support/temp_dir.hpp"
#include "weights/weights_file.hpp"

using sdtorch::load_weights;
using sdtorch::WeightsFile;
using sdtorch::WeightsFormat;
namespace fs = std::filesystem;

namespace {

std::vector<std::string> layouts() {
  std::vector<std::string> names;
  for (const fs::directory_entry& entry : fs::directory_iterator(golden_path("torch_files"))) {
    if (entry.path().extension() == ".pt") names.push_back(entry.path().stem());
  }
  std::sort(names.begin(), names.end());
  return names;
}

WeightsFile load(const std::string& name) { return load_weights(golden_path("torch_files/" + name + ".pt")); }

/// Python's name of a type.
std::string type_name(at::ScalarType type) {
  const std::map<at::ScalarType, std::string> names = {{at::kDouble, "float64"},
                                                       {at::kFloat, "float32"},
                                                       {at::kHalf, "float16"},
                                                       {at::kBFloat16, "bfloat16"},
                                                       {at::kComplexDouble, "complex128"},
                                                       {at::kComplexFloat, "complex64"},
                                                       {at::kComplexHalf, "complex32"},
                                                       {at::kLong, "int64"},
                                                       {at::kInt, "int32"},
                                                       {at::kShort, "int16"},
                                                       {at::kChar, "int8"},
                                                       {at::kByte, "uint8"},
                                                       {at::kBool, "bool"},
                                                       {at::kUInt64, "uint64"},
                                                       {at::kUInt32, "uint32"},
                                                       {at::kUInt16, "uint16"},
                                                       {at::kFloat8_e4m3fn, "float8_e4m3fn"},
                                                       {at::kFloat8_e4m3fnuz, "float8_e4m3fnuz"},
                                                       {at::kFloat8_e5m2, "float8_e5m2"},
                                                       {at::kFloat8_e5m2fnuz, "float8_e5m2fnuz"},
                                                       {at::kFloat8_e8m0fnu, "float8_e8m0fnu"},
                                                       {at::kFloat4_e2m1fn_x2, "float4_e2m1fn_x2"}};
  return names.at(type);
}

std::string bytes_of(const at::Tensor& tensor) {
  const at::Tensor plain = tensor.contiguous();
  return {static_cast<const char*>(plain.const_data_ptr()), plain.nbytes()};
}

}  // namespace

TEST_CASE("every layout of torch.save is read bit for bit", "[weights]") {
  REQUIRE(layouts().size() >= 20);
  for (const std::string& name : layouts()) {
    INFO(name);
    const WeightsFile file = load(name);
    CHECK(file.format == (name.starts_with("legacy") ? WeightsFormat::torch_legacy : WeightsFormat::torch_zip));
    const std::map<std::string, at::Tensor> expected = load_golden("torch_files/" + name);
    const auto layout =
        nlohmann::json::parse(file_contents(golden_path("torch_files/" + name + ".json"))).at("tensors");
    REQUIRE(file.tensors.size() == layout.size());
    for (const auto& [key, description] : layout.items()) {
      INFO(key);
      REQUIRE(file.tensors.contains(key));
      const at::Tensor& tensor = file.tensors.at(key).tensor;
      CHECK(type_name(tensor.scalar_type()) == description[0].get<std::string>());
      CHECK(tensor.sizes().vec() == description[1].get<std::vector<int64_t>>());
      CHECK(bytes_of(tensor) == bytes_of(expected.at(key)));
    }
  }
}

TEST_CASE("what is stored as it is stays in the file, and what is shared stays shared", "[weights]") {
  for (const char* name : {"views", "legacy-views"}) {
    const auto tensors = load(name).tensors;
    const void* base = tensors.at("base").tensor.const_data_ptr();
    CHECK(tensors.at("tied").tensor.const_data_ptr() == base);
    CHECK(tensors.at("transposed").tensor.const_data_ptr() == base);
    CHECK(tensors.at("transposed").tensor.strides() == at::IntArrayRef({1, 6}));
    CHECK(tensors.at("scalar").tensor.storage_offset() == 15);
    CHECK(tensors.at("expanded").tensor.strides() == at::IntArrayRef({0, 0}));
  }
}

TEST_CASE("of a checkpoint the weights are taken, and the rest is reported", "[weights]") {
  const WeightsFile lightning = load("lightning");
  CHECK(lightning.found_under == "state_dict");
  CHECK(lightning.left_out == 3);  // step, exp_avg and exp_avg_sq of the one parameter
  CHECK(lightning.metadata.at("global_step") == "470000");
  CHECK(lightning.metadata.at("pytorch-lightning_version") == "1.4.2");
  CHECK(load("model").found_under == "model");
  CHECK(load("parallel").found_under == "state_dict.module");
  CHECK(load("components").found_under.empty());
  CHECK(load("components").metadata.at("note") == "two components");
}

TEST_CASE("what a pickle would call is not called", "[weights]") {
  for (const char* name : {"exploit", "legacy-exploit"}) {
    CHECK(load(name).tensors.size() == 2);
    CHECK_FALSE(fs::exists("sdtorch-was-exploited"));
  }
}

TEST_CASE("long texts beside the weights are left out", "[weights]") {
  using pickled::text;
  const TempDir folder;
  // Each of the texts is named in two bytes.
  std::string value = text(std::string(100'000, 'a')) + "q\1" + text(std::string(1000, 'b')) + "q\2" + "}(";
  for (int i = 0; i < 5000; ++i)
    value += text(fmt::format("long {}", i)) + "h\1" + text(fmt::format("short {}", i)) + "h\2";
  write_file(folder / "a.ckpt", torch_zip(value + text("t") + pickled::tensor() + "u"));
  const WeightsFile file = load_weights(folder / "a.ckpt");
  CHECK(file.tensors.contains("t"));
  CHECK(file.metadata.contains("short 0"));
  CHECK_FALSE(file.metadata.contains("long 0"));
  CHECK(file.metadata.size() < 2000);
}

TEST_CASE("what a checkpoint keeps beside its weights has its type", "[weights]") {
  using namespace pickled;
  const TempDir folder;
  const std::vector<std::string> values = {text("none"),   "N",
                                           text("truth"),  "\x88",
                                           text("number"), integer(7),
                                           text("text"),   text("x"),
                                           text("list"),   integers({1, 2}),
                                           text("empty"),  ")",
                                           text("mixed"),  tuple({integer(1), text("x")}),
                                           text("dict"),   dict({})};
  std::vector<std::string> all = {text("t"), tensor()};
  all.insert(all.end(), values.begin(), values.end());
  write_file(folder / "a.pt", torch_zip(dict(all)));
  const auto found = load_weights(folder / "a.pt").values;
  using sdtorch::TorchOther;
  using sdtorch::TorchValue;
  CHECK(found.at("none") == TorchValue());
  CHECK(found.at("truth") == TorchValue(true));
  CHECK(found.at("number") == TorchValue(7.0));
  CHECK(found.at("text") == TorchValue(std::string("x")));
  CHECK(found.at("list") == TorchValue(std::vector<double>{1, 2}));
  CHECK(found.at("empty") == TorchValue(std::vector<double>{}));
  CHECK(found.at("mixed") == TorchValue(TorchOther()));
  CHECK(found.at("dict") == TorchValue(TorchOther()));
}

TEST_CASE("a file of the old format loads whatever was saved beside the weights", "[weights]") {
  using namespace pickled;
  const TempDir folder;
  const auto number = [](int64_t count) { return little_endian(static_cast<uint64_t>(count), 8); };
  const std::string other =
      tensor({.storage = {.key = "1", .kind = "DoubleStorage", .elements = 2}, .shape = {2}, .strides = {1}});
  const std::string first(16, '\1'), second(16, '\2');
  const std::string keys = "](" + text("1") + text("0") + "e", data = number(2) + second + number(4) + first;
  for (const std::string& beside : {"\x8f(" + other + "\x90", call(global("functools", "partial"), {other}),
                                    call(global("torch._utils", "_rebuild_sparse_tensor"), {other})}) {
    const std::string value =
        dict({text("x"), beside, text("state_dict"), dict({text("t"), tensor(), text("u"), tensor()})});
    write_file(folder / "a.pt", torch_legacy(value, keys, data));
    const WeightsFile file = load_weights(folder / "a.pt");
    REQUIRE(file.tensors.size() == 2);
    CHECK(bytes_of(file.tensors.at("t").tensor) == first);
  }
}

TEST_CASE("tensors are taken however old code has made them", "[weights]") {
  using namespace pickled;
  const TempDir folder;
  const std::string made = call(global("torch", "FloatTensor"), {}) +
                           tuple({storage(), integer(0), integers({2, 2}), integers({2, 1})}) + "b";
  const std::string parameter = global("torch.nn.parameter", "Parameter");
  write_file(folder / "a.ckpt",
             torch_zip(dict({text("made"), made, text("parameter"), call(parameter, {tensor(), "\x89"}), text("new"),
                             parameter + tuple({made, "\x89"}) + "\x81"})));
  const WeightsFile file = load_weights(folder / "a.ckpt");
  REQUIRE(file.tensors.size() == 3);
  for (const auto& [name, tensor] : file.tensors) CHECK(tensor.tensor.sizes() == at::IntArrayRef({2, 2}));
}

TEST_CASE("the modules of Latent Diffusion keep their names in a module saved whole", "[weights]") {
  using namespace pickled;
  const TempDir folder;
  const auto module = [](const std::vector<std::string>& parts) {
    return call(global("ldm", "Module"), {}) + dict({text("_modules"), dict(parts)}) + "b";
  };
  const std::string unet = module({text("diffusion_model"), module({text("out"), tensor()})});
  const std::string whole = module({text("model"), unet, text("cond_stage_model"), module({text("w"), tensor()}),
                                    text("first_stage_model"), module({text("w"), tensor()})});
  for (const auto& [value, under] : {std::pair{whole, ""}, {dict({text("model"), whole}), "model"}}) {
    write_file(folder / "a.ckpt", torch_zip(value));
    const WeightsFile file = load_weights(folder / "a.ckpt");
    CHECK(file.found_under == under);
    CHECK(file.left_out == 0);
    for (const char* name : {"model.diffusion_model.out", "cond_stage_model.w", "first_stage_model.w"}) {
      INFO(name);
      CHECK(file.tensors.contains(name));
    }
  }
}
