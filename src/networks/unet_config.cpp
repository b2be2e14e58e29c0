#include <fmt/format.h>

#include <algorithm>

#include "networks/config.hpp"
#include "networks/diffusers_names.hpp"

namespace sdtorch {
namespace {

constexpr IntegerRange layer_counts{.max = 64};
constexpr IntegerRange depths{.min = 0, .max = 64};

/// True for each block with attention, in the config's order.
std::vector<bool> block_kinds(ConfigReader& reader, const char* key, std::initializer_list<const char*> fallback,
                              const std::string& plain, const std::string& with_attention, size_t count) {
  std::vector<bool> kinds;
  for (const std::string& type : reader.texts(key, fallback)) {
    const std::string name = block_type(type);
    if (name != plain && name != with_attention) reader.fail(key, fmt::format("only {}, {}", plain, with_attention));
    kinds.push_back(name == with_attention);
  }
  if (kinds.size() != count) {
    reader.fail(key, fmt::format("{} blocks, as many as block_out_channels has", count));
  }
  return kinds;
}

/// The transformers' depths of one block with `count` of them: one number for all, or a list that is long enough.
std::vector<int64_t> depths_of_block(const ConfigReader& reader, const char* key, const nlohmann::json& found,
                                     size_t count) {
  if (!found.is_array()) return std::vector<int64_t>(count, reader.as_integer(key, found, depths));
  if (found.size() < count) reader.fail_because(key, fmt::format("a block's list needs {} integers", count));
  std::vector<int64_t> list;
  for (size_t i = 0; i < count; ++i) list.push_back(reader.as_integer(key, found[i], depths));
  return list;
}

/// `transformer_layers_per_block` and its reversed sibling: an integer, or a list of integers or lists, one a block.
std::vector<nlohmann::json> depth_for_each(ConfigReader& reader, const char* key, size_t count) {
  const nlohmann::json* found = reader.value(key);
  if (!found) return std::vector<nlohmann::json>(count, 1);
  if (!found->is_array()) return std::vector<nlohmann::json>(count, reader.integer(key, 1, depths));
  if (found->size() != count) reader.fail(key, fmt::format("an integer or a list of {}, one a block", count));
  return found->get_ref<const nlohmann::json::array_t&>();
}

void read_transformers(ConfigReader& reader, UNetConfig& config, const std::vector<bool>& down,
                       const std::vector<bool>& up) {
  constexpr auto key = "transformer_layers_per_block";
  constexpr auto up_key = "reverse_transformer_layers_per_block";
  const size_t count = config.levels.size();
  const auto down_depths = depth_for_each(reader, key, count);
  std::vector<nlohmann::json> up_depths(down_depths.rbegin(), down_depths.rend());
  if (reader.given(up_key)) {
    up_depths = depth_for_each(reader, up_key, count);
  } else if (std::ranges::any_of(down_depths, [](const auto& depth) { return depth.is_array(); })) {
    reader.fail_because(key, fmt::format("lists of lists need {}", up_key));
  }
  for (size_t i = 0; i < count; ++i) {
    UNetLevel& level = config.levels[i];
    const auto layers = static_cast<size_t>(level.layers);
    const size_t up_index = count - 1 - i;
    const auto of_down = depths_of_block(reader, key, down_depths[i], layers);
    const auto of_up = depths_of_block(reader, up_key, up_depths[up_index], layers + 1);
    if (down[i]) level.down_transformers = of_down;
    if (up[up_index]) level.up_transformers = of_up;
  }
  config.mid_transformer = depths_of_block(reader, key, down_depths.back(), 1).front();
}

void read_levels(ConfigReader& reader, UNetConfig& config) {
  const auto channels = reader.integers("block_out_channels", {320, 640, 1280, 1280});
  const size_t count = channels.size();
  const auto layers = reader.integer_for_each("layers_per_block", count, 2, layer_counts);
  // The key says "head dim" and means the number of heads, ever since the first models were published with it;
  // diffusers refuses `num_attention_heads`, which was meant to replace it.
  const auto heads = reader.integer_for_each("attention_head_dim", count, 8);
  const auto context = reader.integer_for_each("cross_attention_dim", count, 1280);
  const auto only_cross = reader.boolean_for_each("only_cross_attention", count, false);
  const auto down = block_kinds(reader, "down_block_types",
                                {"CrossAttnDownBlock2D", "CrossAttnDownBlock2D", "CrossAttnDownBlock2D", "DownBlock2D"},
                                "DownBlock2D", "CrossAttnDownBlock2D", count);
  const auto up = block_kinds(reader, "up_block_types",
                              {"UpBlock2D", "CrossAttnUpBlock2D", "CrossAttnUpBlock2D", "CrossAttnUpBlock2D"},
                              "UpBlock2D", "CrossAttnUpBlock2D", count);
  for (size_t i = 0; i < count; ++i) {
    if (channels[i] % config.norm_num_groups != 0) {
      reader.fail("block_out_channels", fmt::format("multiples of norm_num_groups, {}", config.norm_num_groups));
    }
    if (heads[i] > channels[i]) reader.fail("attention_head_dim", "no more heads than channels in a block");
    if (context[i] != context[0]) reader.fail("cross_attention_dim", "one width for all blocks");
    config.levels.push_back({.channels = channels[i],
                             .layers = layers[i],
                             .heads = heads[i],
                             .context_width = context[i],
                             .only_cross_attention = only_cross[i]});
  }
  config.cross_attention_dim = context[0];
  read_transformers(reader, config, down, up);
}

void read_mid_block(ConfigReader& reader, UNetConfig& config) {
  constexpr auto key = "mid_block_type";
  const nlohmann::json* found = reader.value(key);
  if (!found || *found == "UNetMidBlock2DCrossAttn") {
    config.mid_block = MidBlock::cross_attention;
  } else if (*found == "UNetMidBlock2D") {
    config.mid_block = MidBlock::residual;
  } else if (found->is_null()) {
    config.mid_block = MidBlock::none;
  } else {
    reader.fail(key, "only UNetMidBlock2DCrossAttn, UNetMidBlock2D or null");
  }
  config.mid_scale = reader.positive_number("mid_block_scale_factor", config.mid_scale);
}

void read_timestep(ConfigReader& reader, UNetConfig& config) {
  const int64_t width = config.levels.front().channels;
  config.flip_sin_to_cos = reader.boolean("flip_sin_to_cos", config.flip_sin_to_cos);
  config.freq_shift = reader.number("freq_shift", config.freq_shift);
  if (config.freq_shift >= static_cast<double>(width / 2)) {
    reader.fail("freq_shift", "less than half the first block's channels");
  }
  constexpr int64_t usual_widening = 4;  // of the embedding, over the first block's channels
  config.time_embedding_dim = reader.given("time_embedding_dim")
                                  ? reader.integer("time_embedding_dim", 0, {.max = 1 << 18})
                                  : usual_widening * width;
  config.timestep_post_act = read_optional_activation(reader, "timestep_post_act", diffusers_activations);
  config.time_embedding_act_fn = read_optional_activation(reader, "time_embedding_act_fn", diffusers_activations);
  reader.only("time_embedding_type", "positional");

  const std::string scale_shift = reader.text("resnet_time_scale_shift", "default");
  if (scale_shift != "default" && scale_shift != "scale_shift") {
    reader.fail("resnet_time_scale_shift", "default or scale_shift");
  }
  config.scale_shift = scale_shift == "scale_shift";
}

/// SDXL's pooled text and sizes, and the guidance scale of models distilled to need no second evaluation.
void read_added_embeddings(ConfigReader& reader, UNetConfig& config) {
  constexpr auto time_key = "addition_time_embed_dim", input_key = "projection_class_embeddings_input_dim";
  constexpr IntegerRange widths{.max = 1 << 18};
  reader.only("addition_embed_type", "text_time");
  if (!reader.given("addition_embed_type")) {
    reader.ignore({time_key, input_key});
  } else {
    config.added = AddedEmbedding{.time_width = reader.integer(time_key, 0, widths),
                                  .input_width = reader.integer(input_key, 0, widths)};
    if (config.added->time_width == 0) reader.fail(time_key, "a width, which addition_embed_type text_time needs");
    if (config.added->input_width == 0) reader.fail(input_key, "a width, which addition_embed_type text_time needs");
    if (config.freq_shift >= static_cast<double>(config.added->time_width / 2)) {
      reader.fail("freq_shift", fmt::format("less than half of {}", time_key));
    }
  }
  constexpr auto guidance_key = "time_cond_proj_dim";
  constexpr int64_t two_frequencies = 4;  // sines and cosines of at least two, or their spacing is no number
  if (reader.given(guidance_key)) {
    config.time_cond_proj_dim = reader.integer(guidance_key, 0, {.min = two_frequencies, .max = 1 << 18});
  }
}

int64_t read_kernel(ConfigReader& reader, const char* key) {
  const int64_t kernel = reader.integer(key, 3, {.max = 31});
  if (kernel % 2 == 0) reader.fail(key, "an odd size, which keeps the latent's own");
  return kernel;
}

/// The latent's side: a number, a square, or null for the default.
int64_t read_sample_size(ConfigReader& reader, int64_t fallback) {
  constexpr auto key = "sample_size";
  if (!reader.given(key)) return fallback;
  if (!reader.value(key)->is_array()) return reader.integer(key, fallback);
  const auto sides = reader.integers(key, {});
  if (sides.size() != 2 || sides[0] != sides[1]) reader.fail(key, "one integer, or two equal ones");
  return sides[0];
}

void refuse_what_is_not_implemented(ConfigReader& reader) {
  reader.only_null({"num_attention_heads", "class_embed_type", "num_class_embeds", "encoder_hid_dim",
                    "encoder_hid_dim_type", "quantization_config"});
  reader.only("attention_type", "default");
  reader.only("dual_cross_attention", false);
  reader.only("class_embeddings_concat", false);
}

void ignore_unet_keys_without_effect(ConfigReader& reader) {
  // Read only by embeddings and block types that are refused above.
  reader.ignore({"addition_embed_type_num_heads", "cross_attention_norm", "mid_block_only_cross_attention",
                 "resnet_skip_time_act", "resnet_out_scale_factor"});
  // Every attention kernel works in fp32 inside.
  if (reader.given("upcast_attention")) reader.boolean("upcast_attention", false);
  reader.ignore({"dropout", "dtype", "torch_dtype"});
  // The moving average that the weights were taken from.
  reader.ignore(
      {"decay", "inv_gamma", "min_decay", "optimization_step", "power", "update_after_step", "use_ema_warmup"});
}

}  // namespace

UNetConfig UNetConfig::from_json(const nlohmann::json& json, const std::string& file, const ReadOptions& options) {
  ConfigReader reader(json, file, options);
  UNetConfig config;
  config.sample_size = read_sample_size(reader, config.sample_size);
  config.in_channels = reader.integer("in_channels", config.in_channels);
  config.out_channels = reader.integer("out_channels", config.out_channels);
  config.norm_num_groups = reader.integer("norm_num_groups", config.norm_num_groups);
  config.norm_eps = reader.positive_number("norm_eps", config.norm_eps);
  config.act_fn = read_activation(reader, "act_fn", "silu", diffusers_activations);
  config.conv_in_kernel = read_kernel(reader, "conv_in_kernel");
  config.conv_out_kernel = read_kernel(reader, "conv_out_kernel");
  config.downsample_padding = reader.integer("downsample_padding", config.downsample_padding, {.min = 0, .max = 1});
  config.center_input_sample = reader.boolean("center_input_sample", config.center_input_sample);
  config.use_linear_projection = reader.boolean("use_linear_projection", config.use_linear_projection);
  read_levels(reader, config);
  read_mid_block(reader, config);
  read_timestep(reader, config);
  read_added_embeddings(reader, config);
  refuse_what_is_not_implemented(reader);
  ignore_unet_keys_without_effect(reader);
  reader.finish();
  return config;
}

}  // namespace sdtorch
