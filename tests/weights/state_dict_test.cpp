#include "weights/state_dict.hpp"

#include "support/catch.hpp"
#include "support/errors.hpp"
#include "support/files.hpp"
#include "support/golden.hpp"
#include "support/temp_dir.hpp"

TEST_CASE("every element type that the safetensors library writes is read back", "[weights]") {
  const std::map<std::string, at::Tensor> tensors = load_golden("weights/types");
  const at::Tensor numbers = at::arange(6, at::kDouble).reshape({2, 3});
  const std::map<std::string, at::ScalarType> types = {{"F64", at::kDouble},
                                                       {"F32", at::kFloat},
                                                       {"F16", at::kHalf},
                                                       {"BF16", at::kBFloat16},
                                                       {"F8_E4M3", at::kFloat8_e4m3fn},
                                                       {"F8_E5M2", at::kFloat8_e5m2},
                                                       {"C64", at::kComplexFloat},
                                                       {"I64", at::kLong},
                                                       {"I32", at::kInt},
                                                       {"I16", at::kShort},
                                                       {"I8", at::kChar},
                                                       {"U64", at::kUInt64},
                                                       {"U32", at::kUInt32},
                                                       {"U16", at::kUInt16},
                                                       {"U8", at::kByte},
                                                       {"BOOL", at::kBool}};
  REQUIRE(tensors.size() == types.size() + 2);
  for (const auto& [name, type] : types) {
    INFO(name);
    const at::Tensor& tensor = tensors.at(name);
    CHECK(tensor.scalar_type() == type);
    const at::Tensor real = tensor.is_complex() ? at::real(tensor) : tensor;
    CHECK(at::equal(real.to(at::kDouble), type == at::kBool ? numbers.ne(0).to(at::kDouble) : numbers));
  }
  CHECK(tensors.at("scalar").sizes().empty());
  CHECK(tensors.at("scalar").item<float>() == 0.1f);
  CHECK(tensors.at("empty").sizes() == at::IntArrayRef({0, 4}));
  CHECK(golden_metadata("weights/types").at("note") == "0…5 in every type");
}

TEST_CASE("what is written is what the safetensors library writes, and reads back", "[weights]") {
  const TempDir folder;
  const std::map<std::string, at::Tensor> tensors = load_golden("weights/types");
  sdtorch::save_safetensors(folder / "copy.safetensors", tensors, {{"note", "copied"}});
  const sdtorch::StateDict copy = sdtorch::load_safetensors(folder / "copy.safetensors");
  REQUIRE(copy.size() == tensors.size());
  for (const auto& [name, tensor] : tensors) {
    INFO(name);
    const at::Tensor& copied = copy.at(name).tensor;
    CHECK(copied.scalar_type() == tensor.scalar_type());
    REQUIRE(copied.sizes() == tensor.sizes());
    CHECK(std::string_view(static_cast<const char*>(copied.contiguous().const_data_ptr()), copied.nbytes()) ==
          std::string_view(static_cast<const char*>(tensor.contiguous().const_data_ptr()), tensor.nbytes()));
  }
}

TEST_CASE("tensors of another layout are written as what they are", "[weights]") {
  const TempDir folder;
  const at::Tensor transposed = at::arange(6).reshape({2, 3}).t();
  sdtorch::save_safetensors(folder / "t.safetensors", {{"t", transposed}});
  CHECK(at::equal(sdtorch::load_safetensors(folder / "t.safetensors").at("t").tensor, transposed));
  CHECK(file_contents(folder / "t.safetensors").size() % 8 == 0);
}

TEST_CASE("mapped tensors outlive the state dict and the file's name", "[weights]") {
  const TempDir folder;
  sdtorch::save_safetensors(folder / "x.safetensors", {{"x", at::arange(1000)}});
  const at::Tensor x = sdtorch::load_safetensors(folder / "x.safetensors").at("x").tensor;
  std::filesystem::remove(folder / "x.safetensors");
  CHECK(at::equal(x, at::arange(1000)));
}

TEST_CASE("unaligned data is copied into its place", "[weights]") {
  const TempDir folder;
  const std::string header =
      R"({"a":{"dtype":"U8","shape":[1],"data_offsets":[0,1]},"b":{"dtype":"F32","shape":[1],"data_offsets":[1,5]}})";
  const float number = 1.5f;
  std::string file(8, '\0');
  file[0] = static_cast<char>(header.size());
  file += header + '\7' + std::string(reinterpret_cast<const char*>(&number), sizeof number);
  write_file(folder / "x.safetensors", file);
  const sdtorch::StateDict tensors = sdtorch::load_safetensors(folder / "x.safetensors");
  CHECK(tensors.at("a").tensor.item<uint8_t>() == 7);
  CHECK(tensors.at("b").tensor.item<float>() == 1.5f);
}

TEST_CASE("saving where nothing can be saved is an output error", "[weights]") {
  const TempDir folder;
  check_error(sdtorch::ErrorKind::output, "x.safetensors: cannot be written", [&] {
    sdtorch::save_safetensors(folder / "none" / "x.safetensors", {{"x", at::zeros(1)}});
  });
  check_error(sdtorch::ErrorKind::output, "x: safetensors have no type for", [&] {
    sdtorch::save_safetensors(folder / "x.safetensors", {{"x", at::zeros(1, at::kComplexDouble)}});
  });
  CHECK(entries_in(folder.path()) == 0);
}
