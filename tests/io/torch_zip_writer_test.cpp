#include "io/torch_zip_writer.hpp"

#include <ATen/ATen.h>

#include <array>

#include "support/catch.hpp"
#include "support/errors.hpp"
#include "support/temp_dir.hpp"
#include "weights/weights_file.hpp"

using namespace sdtorch;

TEST_CASE("what is written as a checkpoint is read back", "[io]") {
  const TempDir folder;
  const std::array<float, 6> numbers{0, 1, 2, 3, 4, 5};
  const std::array<int64_t, 1> count{-7};
  TorchZipWriter writer(folder / "m.ckpt",
                        {{.name = "a.weight", .type = at::kFloat, .shape = {2, 3}},
                         {.name = "n", .type = at::kLong, .shape = {}},
                         {.name = "nothing", .type = at::kHalf, .shape = {0, 4}}},
                        "state_dict");
  writer.write(std::as_bytes(std::span(numbers)));
  writer.write(std::as_bytes(std::span(count)));
  writer.write({});
  writer.commit();
  const WeightsFile file = load_weights(folder / "m.ckpt");
  CHECK(file.format == WeightsFormat::torch_zip);
  CHECK(file.found_under == "state_dict");
  REQUIRE(file.tensors.size() == 3);
  CHECK(at::equal(file.tensors.at("a.weight").tensor, at::arange(6, at::kFloat).reshape({2, 3})));
  CHECK(file.tensors.at("n").tensor.item<int64_t>() == -7);
  CHECK(file.tensors.at("nothing").tensor.sizes() == at::IntArrayRef({0, 4}));
}

TEST_CASE("a type without a storage in PyTorch is refused by name", "[io]") {
  check_error(ErrorKind::output, "x: PyTorch has no storage for F8_E4M3",
              [] { pickle_state_dict({{.name = "x", .type = at::kFloat8_e4m3fn, .shape = {1}}}, ""); });
}
