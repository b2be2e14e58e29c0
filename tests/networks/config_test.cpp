#include "networks/config.hpp"

#include <limits>
#include <nlohmann/json.hpp>

#include "core/error.hpp"
#include "networks/golden_network.hpp"
#include "support/captured_stderr.hpp"
#include "support/catch.hpp"

using namespace sdtorch;
using nlohmann::json;

namespace {

/// A config with one key changed, and what the message must say besides file and key.
struct BadValue {
  const char* key;
  json value;
  const char* message;
};

template <typename Config>
void check_refused(const json& good, const BadValue& bad) {
  json config = good;
  config[bad.key] = bad.value;
  INFO(bad.key << ": " << bad.value.dump().substr(0, 100));
  try {
    Config::from_json(config, "folder/config.json");
    FAIL("accepted");
  } catch (const Error& error) {
    CHECK(error.kind() == ErrorKind::model);
    CHECK(error.parts().file == "folder/config.json");
    CHECK(error.parts().place == bad.key);
    CHECK(error.parts().reason.find(bad.message) != std::string::npos);
  }
}

json golden_config(const char* name) { return load_golden_network(name).config; }

json deep(size_t levels) {
  json value = 1;
  for (size_t i = 0; i < levels; ++i) value = json::array({std::move(value)});
  return value;
}

}  // namespace

TEST_CASE("a config that is no object is refused", "[networks]") {
  for (const json& config : {json(), json(3), json::array({1, 2}), json("text")}) {
    CHECK_THROWS_AS(ClipTextConfig::from_json(config, "config.json"), Error);
    CHECK_THROWS_AS(UNetConfig::from_json(config, "config.json"), Error);
    CHECK_THROWS_AS(VaeConfig::from_json(config, "config.json"), Error);
  }
}

TEST_CASE("missing keys take the reference's defaults", "[networks]") {
  const auto clip = ClipTextConfig::from_json(json::object(), "config.json");
  CHECK(clip.hidden_size == 512);
  CHECK(clip.num_hidden_layers == 12);
  CHECK(clip.vocab_size == 49408);
  CHECK(clip.hidden_act == Activation::quick_gelu);

  const auto unet = UNetConfig::from_json(json::object(), "config.json");
  REQUIRE(unet.levels.size() == 4);
  CHECK(unet.levels[2].channels == 1280);
  CHECK(unet.levels[2].heads == 8);
  CHECK(unet.levels[2].down_transformers == std::vector<int64_t>{1, 1});
  CHECK(unet.levels[3].down_transformers.empty());
  CHECK(unet.levels[0].up_transformers == std::vector<int64_t>{1, 1, 1});
  CHECK(unet.levels[3].up_transformers.empty());
  CHECK(unet.cross_attention_dim == 1280);
  CHECK(unet.time_embedding_dim == 1280);
  CHECK(unet.sample_size == 64);

  const auto vae = VaeConfig::from_json(json::object(), "config.json");
  CHECK(vae.block_out_channels == std::vector<int64_t>{64});
  CHECK(vae.scaling_factor == 0.18215);
  CHECK(vae.factor() == 1);
}

TEST_CASE("what SD 1 and SD 2 publish is read as they mean it", "[networks]") {
  const auto sd1 = UNetConfig::from_json({{"attention_head_dim", 8}, {"cross_attention_dim", 768}}, "config.json");
  CHECK(sd1.levels[0].heads == 8);
  CHECK(sd1.levels[3].heads == 8);
  const auto sd2 = UNetConfig::from_json({{"attention_head_dim", {5, 10, 20, 20}},
                                          {"cross_attention_dim", 1024},
                                          {"use_linear_projection", true},
                                          {"num_class_embeds", nullptr},
                                          {"only_cross_attention", false},
                                          {"dual_cross_attention", false},
                                          {"sample_size", 96}},
                                         "config.json");
  CHECK(sd2.levels[1].heads == 10);
  CHECK(sd2.use_linear_projection);
  CHECK(sd2.sample_size == 96);

  const auto whole_clip = ClipTextConfig::from_json(
      {{"model_type", "clip"}, {"text_config", {{"hidden_size", 768}}}, {"vision_config", json::object()}}, "c.json");
  CHECK(whole_clip.hidden_size == 768);
}

TEST_CASE("keys that change no number may say what they like", "[networks]") {
  json unet = golden_config("unet_sd1");
  unet.update({{"_name_or_path", "x"}, {"dropout", 0.5}, {"decay", 0.9999}, {"resnet_out_scale_factor", 2.0}});
  CHECK_NOTHROW(UNetConfig::from_json(unet, "config.json"));
  json clip = golden_config("clip_gelu");
  clip.update({{"torch_dtype", "float16"}, {"transformers_version", "4.0"}, {"eos_token_id", 2}});
  CHECK_NOTHROW(ClipTextConfig::from_json(clip, "config.json"));
}

TEST_CASE("a text encoder's config is refused by key", "[networks]") {
  const json good = golden_config("clip_gelu");
  const BadValue table[] = {
      {"hidden_size", "48", "expected an integer from 1"},
      {"hidden_size", 0, "found 0"},
      {"hidden_size", -8, "found -8"},
      {"hidden_size", 48.0, "found 48.0"},
      {"hidden_size", nullptr, "found null"},
      {"hidden_size", true, "found true"},
      {"hidden_size", std::numeric_limits<uint64_t>::max(), "found 18446744073709551615"},
      {"num_attention_heads", 5, "a divisor of hidden_size, 48"},
      {"num_attention_heads", 96, "a divisor of hidden_size, 48"},
      {"num_hidden_layers", 1000000000, "an integer from 1 to 1024"},
      {"vocab_size", int64_t{1} << 40, "an integer from 1"},
      {"hidden_act", "tanh", "one of quick_gelu, gelu"},
      {"hidden_act", 3, "a string"},
      {"layer_norm_eps", "small", "a number"},
      {"layer_norm_eps", 0, "above 0"},
      {"layer_norm_eps", -1e-5, "above 0"},
      {"pruned_heads", {{"0", {1}}}, "not supported"},
      {"quantization_config", json::object(), "not supported"},
      {"is_decoder", true, "not supported"},
      {"rope_theta", 10000, "unknown key"},
  };
  for (const BadValue& bad : table) check_refused<ClipTextConfig>(good, bad);
}

TEST_CASE("a U-Net's config is refused by key", "[networks]") {
  const json good = golden_config("unet_sd1");
  const BadValue table[] = {
      {"in_channels", 0, "an integer from 1"},
      {"block_out_channels", 16, "a list of 1 to 16 integers"},
      {"block_out_channels", json::array(), "a list of 1 to 16 integers"},
      {"block_out_channels", std::vector<int>(100, 8), "a list of 1 to 16 integers"},
      {"block_out_channels", {16, -32, 32}, "an integer from 1"},
      {"block_out_channels", {16, "32", 32}, "an integer from 1"},
      {"block_out_channels", {16, 33, 32}, "multiples of norm_num_groups, 8"},
      {"norm_num_groups", nullptr, "an integer"},
      {"norm_num_groups", int64_t{1} << 62, "an integer from 1"},
      {"norm_eps", std::numeric_limits<double>::infinity(), "a finite number"},
      {"norm_eps", std::numeric_limits<double>::quiet_NaN(), "a finite number"},
      {"down_block_types", {"DownBlock2D"}, "3 blocks, as many as block_out_channels has"},
      {"down_block_types", {"AttnDownBlock2D", "DownBlock2D", "DownBlock2D"}, "only DownBlock2D, CrossAttnDownBlock2D"},
      {"up_block_types", {"UpBlock2D", "UpBlock2D", "SkipUpBlock2D"}, "only UpBlock2D, CrossAttnUpBlock2D"},
      {"up_block_types", "UpBlock2D", "a list of 1 to 16 strings"},
      {"up_block_types", {1, 2, 3}, "a list of 1 to 16 strings"},
      {"mid_block_type", "UNetMidBlock2DSimpleCrossAttn", "only UNetMidBlock2DCrossAttn"},
      {"mid_block_type", 5, "only UNetMidBlock2DCrossAttn"},
      {"mid_block_scale_factor", 0, "above 0"},
      {"layers_per_block", {1, 2}, "one integer or a list of 3"},
      {"layers_per_block", 0, "an integer from 1 to 64"},
      {"layers_per_block", 1000000, "an integer from 1 to 64"},
      {"attention_head_dim", {8, 8}, "one integer or a list of 3"},
      {"attention_head_dim", nullptr, "an integer"},
      {"attention_head_dim", 17, "no more heads than channels"},
      {"num_attention_heads", 8, "8 is not supported, only null"},
      {"transformer_layers_per_block", {1, 1}, "a list of 3"},
      {"transformer_layers_per_block", {{1, 1}, {1, 1}, {1, 1}}, "lists of lists need reverse"},
      {"transformer_layers_per_block", {1, -1, 1}, "an integer from 0 to 64"},
      {"transformer_layers_per_block", "2", "an integer"},
      {"transformer_layers_per_block", {deep(2000), 1, 1}, "lists of lists need reverse"},
      {"reverse_transformer_layers_per_block", {{1}, 1, 1}, "a block's list needs 3 integers"},
      {"cross_attention_dim", {24, 24, 48}, "one width for all blocks"},
      {"cross_attention_dim", nullptr, "an integer"},
      {"cross_attention_dim", deep(2000), "one integer or a list of 3"},
      {"only_cross_attention", {true, false}, "a list of 3"},
      {"only_cross_attention", 1, "true or false"},
      {"act_fn", "quick_gelu", "one of silu, swish, mish, gelu, relu"},
      {"conv_in_kernel", 2, "an odd size"},
      {"conv_out_kernel", 1001, "an integer from 1 to 31"},
      {"downsample_padding", 2, "an integer from 0 to 1"},
      {"freq_shift", 8, "less than half"},
      {"time_embedding_dim", 0, "an integer from 1"},
      {"time_embedding_type", "fourier", "\"fourier\" is not supported"},
      {"time_embedding_act_fn", "tanh", "one of silu"},
      {"timestep_post_act", 1, "a string"},
      {"time_cond_proj_dim", "wide", "expected an integer from"},
      {"resnet_time_scale_shift", "ada_group", "default or scale_shift"},
      {"class_embed_type", "projection", "not supported"},
      {"num_class_embeds", 1000, "1000 is not supported"},
      {"class_embeddings_concat", true, "not supported"},
      {"addition_embed_type", "text_image", "\"text_image\" is not supported"},
      {"encoder_hid_dim", 512, "not supported"},
      {"encoder_hid_dim_type", "text_proj", "not supported"},
      {"attention_type", "gated", "\"gated\" is not supported, only \"default\""},
      {"dual_cross_attention", true, "true is not supported, only false"},
      {"upcast_attention", "yes", "true or false"},
      {"sample_size", {8, 12}, "two equal ones"},
      {"sample_size", -8, "an integer from 1"},
      {"num_frames", 16, "unknown key"},
      {"quantization_config", {{"bits", 4}}, "not supported"},
  };
  for (const BadValue& bad : table) check_refused<UNetConfig>(good, bad);
}

TEST_CASE("an autoencoder's config is refused by key", "[networks]") {
  const json good = golden_config("vae_sd");
  const BadValue table[] = {
      {"down_block_types", {"DownEncoderBlock2D"}, "3 blocks"},
      {"down_block_types", {"AttnDownEncoderBlock2D", "x", "y"}, "only DownEncoderBlock2D"},
      {"up_block_types", std::vector<std::string>(17, "UpDecoderBlock2D"), "a list of 1 to 16 strings"},
      {"norm_num_groups", 0, "an integer from 1"},
      {"latent_channels", int64_t{1} << 33, "an integer from 1"},
      {"layers_per_block", {1, 1, 1}, "an integer from 1"},
      {"act_fn", "tanh", "one of silu"},
      {"scaling_factor", 0, "above 0"},
      {"scaling_factor", nullptr, "a number"},
      {"shift_factor", "0.1", "a number"},
      {"latents_mean", {0.0, 0.0}, "not supported, only null"},
      {"latents_std", {1.0, 1.0}, "not supported, only null"},
      {"force_upcast", 1, "true or false"},
      {"use_quant_conv", nullptr, "true or false"},
      {"mid_block_add_attention", "no", "true or false"},
      {"sample_size", json::array(), "a list"},
      {"temporal_compression_ratio", 4, "unknown key"},
  };
  for (const BadValue& bad : table) check_refused<VaeConfig>(good, bad);
}

namespace {

/// A key that nobody knows: absent as null, else refused by name, or passed over with a warning by name.
template <class Read>
void check_unknown_key(json config, const std::string& file, Read&& read) {
  INFO(file);
  config["key_to_come"] = nullptr;
  CHECK_NOTHROW(read(config, file, ReadOptions{}));
  for (const json& value : {json(1), json("x"), json(false), json::array(), json::object({{"a", 1}})}) {
    config["key_to_come"] = value;
    const std::string message = [&]() -> std::string {
      try {
        read(config, file, ReadOptions{});
      } catch (const Error& error) {
        return error.what();
      }
      return "accepted";
    }();
    CHECK(message.find(file + ": key_to_come: unknown key") == 0);
    CHECK(message.find("--ignore-unknown") != std::string::npos);
    const std::string told = stderr_of([&] { read(config, file, ReadOptions{.ignore_unknown = true}); });
    CHECK(told.find("warning: " + file + ": key_to_come: unknown key, with the value") == 0);
  }
  config["quantization_config"] = {{"bits", 4}};
  CHECK_THROWS_AS(read(config, file, ReadOptions{.ignore_unknown = true}), Error);
}

}  // namespace

TEST_CASE("a network's new key is absent as null, else refused by name or passed over", "[networks]") {
  check_unknown_key(golden_config("unet_sd1"), "unet/config.json",
                    [](auto&&... args) { UNetConfig::from_json(args...); });
  check_unknown_key(golden_config("vae_sd"), "vae/config.json", [](auto&&... args) { VaeConfig::from_json(args...); });
  const auto clip = [](const json& config, const std::string& file, const ReadOptions& options) {
    ClipTextConfig::from_json(config, file, {}, options);
  };
  check_unknown_key(golden_config("clip_gelu"), "text_encoder/config.json", clip);
  check_unknown_key(json::object(), "xlm/config.json", [](auto&&... args) { XlmRobertaConfig::from_json(args...); });
  check_unknown_key(json::object(), "whole_clip/config.json", [&](json config, const auto& file, const auto& options) {
    clip({{"model_type", "clip"}, {"text_config", config}}, file, options);
  });
}

TEST_CASE("null in a known key is what the reference takes it for", "[networks]") {
  const json unet = {{"mid_block_type", nullptr},       {"sample_size", nullptr},
                     {"center_input_sample", nullptr},  {"use_linear_projection", nullptr},
                     {"only_cross_attention", nullptr}, {"upcast_attention", nullptr},
                     {"dual_cross_attention", nullptr}, {"class_embed_type", nullptr},
                     {"addition_embed_type", nullptr},  {"time_embedding_dim", nullptr},
                     {"timestep_post_act", nullptr},    {"time_cond_proj_dim", nullptr},
                     {"cross_attention_norm", nullptr}, {"resnet_skip_time_act", nullptr},
                     {"num_attention_heads", nullptr},  {"reverse_transformer_layers_per_block", nullptr}};
  const UNetConfig read = UNetConfig::from_json(unet, "config.json");
  CHECK(read.mid_block == MidBlock::none);
  CHECK(read.sample_size == 64);
  CHECK_FALSE(read.use_linear_projection);
  CHECK(read.time_embedding_dim == 1280);
  CHECK(VaeConfig::from_json({{"sample_size", nullptr}, {"shift_factor", nullptr}}, "config.json").sample_size == 32);
  for (const char* key : {"flip_sin_to_cos", "layers_per_block", "act_fn", "conv_in_kernel"}) {
    INFO(key);
    CHECK_THROWS_AS(UNetConfig::from_json({{key, nullptr}}, "config.json"), Error);
  }
}
