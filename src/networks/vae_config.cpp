#include <fmt/format.h>

#include "networks/config.hpp"
#include "networks/diffusers_names.hpp"

namespace sdtorch {
namespace {

void require_blocks(ConfigReader& reader, const char* key, const char* supported, size_t count) {
  const std::vector<std::string> types = reader.texts(key, {supported});
  for (const std::string& type : types) {
    if (block_type(type) != supported) reader.fail(key, fmt::format("only {}", supported));
  }
  if (types.size() != count) {
    reader.fail(key, fmt::format("{} blocks, as many as block_out_channels has", count));
  }
}

}  // namespace

int64_t VaeConfig::factor() const { return int64_t{1} << (block_out_channels.size() - 1); }

VaeConfig VaeConfig::from_json(const nlohmann::json& json, const std::string& file, const ReadOptions& options) {
  ConfigReader reader(json, file, options);
  VaeConfig config;
  config.in_channels = reader.integer("in_channels", config.in_channels);
  config.out_channels = reader.integer("out_channels", config.out_channels);
  config.latent_channels = reader.integer("latent_channels", config.latent_channels);
  config.block_out_channels = reader.integers("block_out_channels", {64});
  config.layers_per_block = reader.integer("layers_per_block", config.layers_per_block, {.max = 64});
  config.norm_num_groups = reader.integer("norm_num_groups", config.norm_num_groups);
  config.act_fn = read_activation(reader, "act_fn", "silu", diffusers_activations);
  config.scaling_factor = reader.positive_number("scaling_factor", config.scaling_factor);
  if (reader.given("shift_factor")) config.shift_factor = reader.number("shift_factor", 0);
  if (reader.given("force_upcast")) config.force_upcast = reader.boolean("force_upcast", false);
  config.use_quant_conv = reader.boolean("use_quant_conv", config.use_quant_conv);
  config.use_post_quant_conv = reader.boolean("use_post_quant_conv", config.use_post_quant_conv);
  config.mid_block_add_attention = reader.boolean("mid_block_add_attention", config.mid_block_add_attention);

  if (reader.given("sample_size")) {
    config.sample_size = reader.value("sample_size")->is_array() ? reader.integers("sample_size", {}).front()
                                                                 : reader.integer("sample_size", config.sample_size);
  }

  const size_t blocks = config.block_out_channels.size();
  require_blocks(reader, "down_block_types", "DownEncoderBlock2D", blocks);
  require_blocks(reader, "up_block_types", "UpDecoderBlock2D", blocks);
  for (const int64_t channels : config.block_out_channels) {
    if (channels % config.norm_num_groups != 0) {
      reader.fail("block_out_channels", fmt::format("multiples of norm_num_groups, {}", config.norm_num_groups));
    }
  }

  reader.only_null({"latents_mean", "latents_std", "quantization_config"});
  reader.ignore({"dropout", "dtype", "torch_dtype"});
  reader.finish();
  return config;
}

}  // namespace sdtorch
