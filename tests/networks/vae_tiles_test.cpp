// The autoencoder tile by tile, against diffusers' on the whole picture (scripts/goldens/vae.py).
#include "networks/vae_tiles.hpp"

#include <algorithm>
#include <nlohmann/json.hpp>

#include "networks/golden_network.hpp"
#include "networks/vae.hpp"
#include "support/catch.hpp"
#include "support/golden.hpp"
#include "support/tolerance.hpp"
#include "weights/bind.hpp"

using namespace sdtorch;

namespace {

struct TiledVae {
  explicit TiledVae(at::ScalarType type = at::kFloat)
      : golden(load_golden_network(golden_path("vae"), "tiled")),
        config(VaeConfig::from_json(golden.config, golden.config_file)),
        model(config) {
    sdtorch::bind_weights(model, golden.weights, type, at::kCPU, "vae");
  }
  GoldenNetwork golden;
  VaeConfig config;
  AutoencoderKL model;
};

}  // namespace

TEST_CASE("tiles cover each place once and share what they are asked to", "[networks]") {
  for (const auto& [height, width, size, overlap] : std::vector<std::array<int64_t, 4>>{
           {10, 7, 100, 5}, {100, 37, 20, 6}, {65, 64, 64, 8}, {5, 5, 1, 0}, {33, 17, 9, 8}}) {
    at::Tensor covered = at::zeros({height, width});
    for (const Tile& tile : tiles_of(height, width, size, overlap)) {
      CHECK(tile.rows.length() <= std::min(size, height));
      CHECK(tile.columns.length() <= std::min(size, width));
      for (const auto& [all, own, length] :
           {std::tuple(tile.rows, tile.own_rows, height), std::tuple(tile.columns, tile.own_columns, width)}) {
        CHECK((own.begin == 0 || own.begin - all.begin >= overlap / 2));
        CHECK((own.end == length || all.end - own.end >= overlap / 2));
        CHECK((all.begin >= 0 && all.end <= length && own.length() > 0));
      }
      covered.narrow(0, tile.own_rows.begin, tile.own_rows.length())
          .narrow(1, tile.own_columns.begin, tile.own_columns.length())
          .add_(1);
    }
    CHECK((covered == 1).all().item<bool>());
  }
}

TEST_CASE("in tiles the autoencoder gives the whole picture's numbers", "[networks]") {
  const at::NoGradGuard no_grad;
  TiledVae vae;
  const Outputs& whole = vae.golden.outputs.at("fp32");
  const int64_t exact = exact_tile_overlap(vae.config);
  CHECK(exact == 48);
  const auto decoded = [&](const TileSize& tiles) { return vae.model.decode(vae.golden.inputs.at("latent"), tiles); };
  const auto encoded = [&](const TileSize& tiles) { return vae.model.encode(vae.golden.inputs.at("picture"), tiles); };
  for (const TileSize tiles : {TileSize{64, exact}, TileSize{104, exact}, TileSize{1024, 64}}) {
    INFO(tiles.size);
    CHECK(relative_error(decoded(tiles), whole.at("picture")) <= tolerance::tensor_relative);
    CHECK(relative_error(encoded(tiles).mean, whole.at("mean")) <= tolerance::tensor_relative);
    CHECK(relative_error(encoded(tiles).logvar, whole.at("logvar")) <= tolerance::tensor_relative);
  }
  // Less than the convolutions see shows at the seams, and nowhere as in diffusers' tiles, which know themselves alone.
  const auto theirs = nlohmann::json::parse(golden_metadata("vae/tiled").at("diffusers_tiles"));
  const at::Tensor difference = (decoded({64, 16}) - whole.at("picture")).abs() / whole.at("picture").abs().max();
  CHECK(difference.max().item<double>() > tolerance::tensor_relative);
  CHECK(difference.max().item<double>() < theirs.at("max").get<double>() / 2);
  CHECK(difference.mean().item<double>() < theirs.at("mean").get<double>() / 4);
}

TEST_CASE("in tiles in half precision the autoencoder loses no more than whole", "[networks]") {
  const at::NoGradGuard no_grad;
  for (const at::ScalarType type : {at::kBFloat16, at::kHalf}) {
    TiledVae vae(type);
    const at::Tensor latent = vae.golden.inputs.at("latent").to(type);
    const at::Tensor& exact = vae.golden.outputs.at("fp32").at("picture");
    const auto loss = [&](const at::Tensor& picture) {
      return (picture.to(at::kFloat) - exact).square().mean().sqrt().item<double>();
    };
    CHECK(loss(vae.model.decode(latent, TileSize{64, 48})) <=
          tolerance::half_type_factor * loss(vae.model.decode(latent)));
  }
}
