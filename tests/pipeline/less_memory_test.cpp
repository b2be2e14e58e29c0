// The VAE where memory runs out: in tiles, which is said.
#include "pipeline/decode.hpp"
#include "pipeline/encode.hpp"
#include "pipeline/memory_need.hpp"
#include "pipeline/tiling.hpp"
#include "support/catch.hpp"
#include "support/errors.hpp"
#include "support/families.hpp"
#include "support/picture_tensors.hpp"
#include "support/short_of_memory.hpp"

using namespace sdtorch;

namespace {

/// The most bytes of one tensor that `work` asks for.
template <typename Work>
size_t largest_of(const Work& work) {
  const ShortOfMemory all(SIZE_MAX);
  work();
  return all.largest();
}

at::Tensor some_latent(int64_t side) {
  at::manual_seed(1);
  return at::randn({2, 4, side, side});
}

}  // namespace

TEST_CASE("a picture that does not fit into memory is decoded in tiles, as exactly", "[pipeline]") {
  const PipelineNetworks networks = networks_of(describe_family("sd1"));
  const Components& model = networks.model;
  const c10::InferenceMode no_gradients;
  const int64_t factor = model.description.vae.factor(), side = 512 / factor;
  const at::Tensor latent = some_latent(side);
  const auto smaller = smaller_tiles(model.description, 512, 512, std::nullopt);
  REQUIRE(smaller);
  CHECK(smaller->size == 256);
  CHECK_FALSE(smaller_tiles(model.description, 32, 32, std::nullopt));
  CHECK(smaller_tiles(model.description, 2048, 1024, std::nullopt)->size == usual_tile_size);
  CHECK(smaller_tiles(model.description, 2048, 1024, TileSize{.size = 512, .overlap = 64})->size == 256);

  DecodedPictures whole, tiled, given;
  const size_t most = largest_of([&] { whole = decode(model, latent); });
  const size_t in_tiles = largest_of([&] { given = decode(model, latent, smaller); });
  REQUIRE(in_tiles < most);
  CHECK(whole.in_tiles == std::vector<bool>{false, false});
  CHECK(given.in_tiles == std::vector<bool>{false, false});
  {
    const ShortOfMemory memory(in_tiles);
    tiled = decode(model, latent);
    CHECK(memory.refused() == 1);  // the second picture needs no trying
  }
  CHECK(tiled.in_tiles == std::vector<bool>{true, true});
  CHECK(at::equal(tiled.pictures, given.pictures));
  CHECK((tiled.pictures - whole.pictures).abs().max().item<double>() < 0.5 / 255);

  const ShortOfMemory none(in_tiles / 64);
  CHECK_THROWS_AS(decode(model, latent), c10::OutOfMemoryError);
}

TEST_CASE("a picture that does not fit into memory is encoded in tiles", "[pipeline]") {
  const PipelineNetworks networks = networks_of(describe_family("sd1"));
  const c10::InferenceMode no_gradients;
  at::manual_seed(1);
  const std::vector<at::Tensor> pictures = {at::rand({1, 3, 512, 512}) * 2 - 1};
  at::Tensor whole, tiled;
  const size_t most = largest_of([&] { whole = encode_modes(networks.model, pictures); });
  const auto tiles = smaller_tiles(networks.model.description, 512, 512, std::nullopt);
  const size_t in_tiles = largest_of([&] { encode_modes(networks.model, pictures, tiles); });
  REQUIRE(in_tiles < most);
  const ShortOfMemory memory(in_tiles);
  tiled = encode_modes(networks.model, pictures);
  CHECK(memory.refused() == 1);
  CHECK(relative_error(tiled, whole) < 1e-4);
}

TEST_CASE("weights need the memory that they take beside their files", "[pipeline]") {
  const at::Tensor matrix = at::zeros({64, 32}), filters = at::zeros({64, 8, 3, 3}), few = at::zeros({4, 8, 3, 3});
  const StateDict weights = {{"matrix", {.tensor = matrix, .file = "f"}},
                             {"filters", {.tensor = filters, .file = "f"}},
                             {"few", {.tensor = few, .file = "f"}},
                             {"ids", {.tensor = at::zeros({77}, at::kLong), .file = "f"}}};
  const auto numbers = static_cast<uint64_t>(matrix.numel() + filters.numel() + few.numel());
  CHECK(bytes_needed(weights, {.dtype = at::kFloat}) == 4 * static_cast<uint64_t>(filters.numel()));
  CHECK(bytes_needed(weights, {.dtype = at::kBFloat16}) == 2 * numbers);
  CHECK(bytes_needed(weights, {.dtype = at::kFloat, .device = at::Device(at::kCUDA, 0)}) == 4 * numbers);
  CHECK(bytes_needed(weights, {.dtype = at::kFloat}, Quantization::int8) == numbers);
  const auto rounded = static_cast<uint64_t>(matrix.numel()), others = numbers - rounded;
  CHECK(bytes_needed(weights, {.dtype = at::kBFloat16}, Quantization::fp8) == rounded + 2 * others);

  const ModelDescription model = describe_family("sd1");
  const at::Tensor huge = at::zeros({1}).expand({int64_t{1} << 30, 64, 64});
  check_error(ErrorKind::memory, "in bf16, and ", [&] {
    require_memory(model, {{"unet", {{"huge", {.tensor = huge, .file = "f"}}}}}, {.dtype = at::kBFloat16},
                   Quantization::none);
  });
  CHECK_NOTHROW(require_memory(model, {{"unet", weights}}, {.dtype = at::kFloat}, Quantization::none));
}
