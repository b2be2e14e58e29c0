// Every layout that scripts/goldens/torch_files.py writes, against what torch itself says is in it.
#include <algorithm>
#include <cstring>
#include <nlohmann/json.hpp>

#include "sdtorch/weights/weights_file.hpp"
#include "support/catch.hpp"
#include "support/files.hpp"
#include "support/golden.hpp"

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
      CHECK(type_name(tensor.scalar_type()) == description[0]);
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
