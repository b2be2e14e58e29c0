#include <fmt/format.h>

#include "networks/diffusers_names.hpp"
#include "networks/vae_tiny.hpp"

namespace sdtorch {
namespace {

/// The channels of all stages: where they differ, the reference itself has no network to build.
int64_t one_width(ConfigReader& reader, const char* key, const char* blocks_key, size_t stages) {
  const std::vector<int64_t> channels = reader.integers(key, {64, 64, 64, 64});
  if (channels.size() != stages) reader.fail(key, fmt::format("{} integers, as many as {} has", stages, blocks_key));
  for (const int64_t width : channels) {
    if (width != channels.front()) reader.fail(key, "the same number for every stage");
  }
  return channels.front();
}

}  // namespace

TinyVaeConfig TinyVaeConfig::from_json(const nlohmann::json& json, const std::string& file,
                                       const ReadOptions& options) {
  ConfigReader reader(json, file, options);
  TinyVaeConfig config;
  reader.only("in_channels", 3);
  reader.only("out_channels", 3);
  config.latent_channels = reader.integer("latent_channels", config.latent_channels);
  constexpr IntegerRange blocks{.min = 0, .max = 64};
  config.encoder_blocks = reader.integers("num_encoder_blocks", config.encoder_blocks, blocks);
  config.decoder_blocks = reader.integers("num_decoder_blocks", config.decoder_blocks, blocks);
  config.encoder_channels =
      one_width(reader, "encoder_block_out_channels", "num_encoder_blocks", config.encoder_blocks.size());
  config.decoder_channels =
      one_width(reader, "decoder_block_out_channels", "num_decoder_blocks", config.decoder_blocks.size());
  config.act_fn = read_activation(reader, "act_fn", "relu", diffusers_activations);
  reader.only("upsample_fn", "nearest");
  config.enlargement = reader.integer("upsampling_scaling_factor", config.enlargement, {.max = 8});
  config.scaling_factor = reader.positive_number("scaling_factor", config.scaling_factor);
  if (reader.given("shift_factor")) config.shift_factor = reader.number("shift_factor", 0);
  if (config.decoder_blocks.size() > 6) reader.fail("num_decoder_blocks", "6 stages at most");
  if (config.encoder_blocks.size() > 6) reader.fail("num_encoder_blocks", "6 stages at most");
  // The range of latents that are stored as bytes, a copy of another key, and a flag that the reference sets itself.
  reader.ignore({"latent_magnitude", "latent_shift", "block_out_channels", "force_upcast", "dtype", "torch_dtype"});
  reader.only_null({"quantization_config"});
  reader.finish();
  return config;
}

}  // namespace sdtorch
