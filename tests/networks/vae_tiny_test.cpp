// The tiny autoencoder against diffusers' (scripts/goldens/vae.py).
#include "networks/vae_tiny.hpp"

#include "networks/golden_network.hpp"
#include "support/catch.hpp"
#include "support/errors.hpp"
#include "support/golden.hpp"
#include "support/tolerance.hpp"
#include "weights/bind.hpp"

using namespace sdtorch;

namespace {

GoldenNetwork load_tiny(const std::string& name) { return load_golden_network(golden_path("vae"), name); }

Outputs run_tiny_vae(const GoldenNetwork& golden, at::ScalarType type, at::Device device) {
  AutoencoderTiny model(TinyVaeConfig::from_json(golden.config, golden.config_file));
  sdtorch::bind_weights(model, golden.weights, type, device, "vae");
  return {{"picture", model.decode(golden.inputs.at("latent").to(device, type))},
          {"mean", model.encode(golden.inputs.at("picture").to(device, type))}};
}

}  // namespace

TEST_CASE("the tiny autoencoder equals diffusers'", "[networks]") {
  for (const char* name : {"tiny_sd", "tiny_other"}) {
    const GoldenNetwork golden = load_tiny(name);
    check_exact(golden, run_tiny_vae, tolerance::tensor_relative);
    check_half_types(golden, run_tiny_vae);
  }
}

TEST_CASE("a tiny autoencoder in tiles gives the numbers of the whole", "[networks]") {
  const at::NoGradGuard no_grad;
  for (const char* name : {"tiny_sd", "tiny_other"}) {
    const GoldenNetwork golden = load_tiny(name);
    const TinyVaeConfig config = TinyVaeConfig::from_json(golden.config, golden.config_file);
    AutoencoderTiny model(config);
    sdtorch::bind_weights(model, golden.weights, at::kFloat, at::kCPU, "vae");
    const int64_t factor = config.factor(), overlap = exact_tile_overlap(config);
    const TileSize tiles{.size = overlap + 2 * factor, .overlap = overlap};
    const at::Tensor latent = at::randn({1, config.latent_channels, 17, 22});
    CHECK(relative_error(model.decode(latent, tiles), model.decode(latent)) <= 1e-5);
    const at::Tensor picture = at::rand({1, 3, 17 * factor, 22 * factor}) * 2 - 1;
    CHECK(relative_error(model.encode(picture, tiles), model.encode(picture)) <= 1e-5);
  }
}

TEST_CASE("a tiny autoencoder's config is read strictly", "[networks]") {
  const auto golden = load_tiny("tiny_sd");
  const auto refused = [&](const char* key, const nlohmann::json& value, const std::string& message) {
    nlohmann::json config = golden.config;
    config[key] = value;
    check_error(ErrorKind::model, message, [&] { static_cast<void>(TinyVaeConfig::from_json(config, "config.json")); });
  };
  refused("upsample_fn", "bilinear", "config.json: upsample_fn");
  refused("act_fn", "step", "act_fn: expected one of");
  refused("num_decoder_blocks", {3, 3, 3}, "decoder_block_out_channels: expected 3 integers");
  refused("decoder_block_out_channels", {8, 8, 16, 8}, "the same number for every stage");
  refused("scaling_factor", 0, "scaling_factor: expected a number above 0");
  refused("out_channels", 4, "out_channels");
  refused("new_key", 1, "new_key: unknown key");
  CHECK(TinyVaeConfig::from_json(nlohmann::json::object(), "config.json").factor() == 8);
}
