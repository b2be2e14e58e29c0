// What the networks are built from: config.json of each component, read strictly.
#pragma once

#include <cstdint>
#include <nlohmann/json_fwd.hpp>
#include <optional>
#include <string>
#include <vector>

#include "core/read_options.hpp"
#include "nn/activation.hpp"

namespace sdtorch {

// Each from_json takes the parsed config.json and its path, for messages. A missing key takes the default of the
// reference's class. Throws ErrorKind::model naming file, key and value where a key is unknown, has a wrong type or
// size, does not fit the others, or asks for something that would change the numbers and is not implemented.

/// Which of transformers' classes reads a text encoder's config; the file itself does not decide it.
struct ClipTextHead {
  bool projection = false;  ///< CLIPTextModelWithProjection, else CLIPTextModel
};

/// transformers' CLIPTextConfig.
struct ClipTextConfig {
  int64_t vocab_size = 49408;
  int64_t hidden_size = 512;  ///< C of the context
  int64_t intermediate_size = 2048;
  int64_t num_hidden_layers = 12;
  int64_t num_attention_heads = 8;  ///< divides hidden_size
  int64_t max_position_embeddings = 77;
  Activation hidden_act = Activation::quick_gelu;
  double layer_norm_eps = 1e-5;
  int64_t projection_dim = 0;    ///< width of the pooled text; 0: the model has no projection
  int64_t eos_token_id = 49407;  ///< where the text is pooled; 2: see ClipTextModel::encode

  static ClipTextConfig from_json(const nlohmann::json& json, const std::string& file, ClipTextHead head = {},
                                  const ReadOptions& options = {});
};

/// diffusers' RobertaSeriesConfig: AltDiffusion's text encoder.
struct XlmRobertaConfig {
  int64_t vocab_size = 30522;
  int64_t hidden_size = 768;
  int64_t intermediate_size = 3072;
  int64_t num_hidden_layers = 12;
  int64_t num_attention_heads = 12;  ///< divides hidden_size
  int64_t max_position_embeddings = 512;
  int64_t type_vocab_size = 2;
  int64_t project_dim = 512;  ///< C of the context
  int64_t pad_token_id = 1;   ///< its position, too: those of a text begin one above it
  Activation hidden_act = Activation::gelu;
  double layer_norm_eps = 1e-12;
  bool has_pre_transformation = false;  ///< AltDiffusion-m18: the state before the last layer is projected
  bool use_attention_mask = true;       ///< padding is not seen

  /// How many tokens have a position.
  int64_t longest_text() const { return max_position_embeddings - pad_token_id - 1; }

  static XlmRobertaConfig from_json(const nlohmann::json& json, const std::string& file,
                                    const ReadOptions& options = {});
};

/// One resolution of the U-Net: what its down block and its up block are made of.
struct UNetLevel {
  int64_t channels = 0;
  int64_t layers = 0;  ///< residual blocks of the down block; the up block has one more
  int64_t heads = 0;   ///< of its attentions
  int64_t context_width = 0;
  bool only_cross_attention = false;         ///< the first attention of a pair looks at the context, too
  std::vector<int64_t> down_transformers{};  ///< depth of the transformer after each residual block; empty: none
  std::vector<int64_t> up_transformers{};
};

enum class MidBlock { none, residual, cross_attention };

/// What SDXL adds to the timestep's embedding (diffusers' addition_embed_type `text_time`).
struct AddedEmbedding {
  int64_t time_width = 0;   ///< of each number's sinusoidal embedding (addition_time_embed_dim)
  int64_t input_width = 0;  ///< pooled text and all numbers together (projection_class_embeddings_input_dim)
};

/// diffusers' UNet2DConditionModel.
struct UNetConfig {
  int64_t sample_size = 64;  ///< latent pixels of the model's own size
  int64_t in_channels = 4;
  int64_t out_channels = 4;
  int64_t cross_attention_dim = 0;  ///< C of the context
  std::vector<UNetLevel> levels{};  ///< from the finest resolution to the coarsest

  MidBlock mid_block = MidBlock::cross_attention;
  int64_t mid_transformer = 1;  ///< depth
  double mid_scale = 1;         ///< the mid block's residual blocks divide their output by it

  int64_t norm_num_groups = 32;
  double norm_eps = 1e-5;
  Activation act_fn = Activation::silu;
  int64_t conv_in_kernel = 3;
  int64_t conv_out_kernel = 3;
  int64_t downsample_padding = 1;  ///< 0: one row and column of zeros at the end only
  bool center_input_sample = false;
  bool use_linear_projection = false;
  bool scale_shift = false;  ///< the timestep scales and shifts the second norm (Dhariwal & Nichol 2021, eq. 8)

  bool flip_sin_to_cos = true;
  double freq_shift = 0;
  int64_t time_embedding_dim = 0;
  std::optional<Activation> timestep_post_act{};      ///< after the embedding's second layer
  std::optional<Activation> time_embedding_act_fn{};  ///< once more, before the blocks
  int64_t time_cond_proj_dim = 0;                     ///< width of the guidance scale's embedding; 0: none
  std::optional<AddedEmbedding> added{};              ///< SDXL's

  static UNetConfig from_json(const nlohmann::json& json, const std::string& file, const ReadOptions& options = {});
};

/// diffusers' ControlNetModel: a U-Net's way down, and the picture's way to it.
struct ControlNetConfig {
  UNetConfig unet{};                  ///< of the copied way down; what it says of the way up is nobody's
  int64_t conditioning_channels = 3;  ///< of the picture
  std::vector<int64_t> conditioning_embedding_out_channels{};  ///< each but the last halves the picture once
  bool bgr = false;                                            ///< the picture's channels come in reverse order
  bool global_pool_conditions = false;                         ///< each residual is its average over the picture

  /// Pixels of the picture that a latent pixel stands for along each axis.
  int64_t factor() const;

  static ControlNetConfig from_json(const nlohmann::json& json, const std::string& file,
                                    const ReadOptions& options = {});
};

/// diffusers' AutoencoderKL.
struct VaeConfig {
  int64_t in_channels = 3;
  int64_t out_channels = 3;
  int64_t latent_channels = 4;
  std::vector<int64_t> block_out_channels{};
  int64_t layers_per_block = 1;
  int64_t norm_num_groups = 32;
  Activation act_fn = Activation::silu;
  int64_t sample_size = 32;  ///< pixels
  double scaling_factor = 0.18215;
  double shift_factor = 0;
  std::optional<bool> force_upcast{};  ///< fp16 overflows: decode in fp32; none: as the family does
  bool use_quant_conv = true;
  bool use_post_quant_conv = true;
  bool mid_block_add_attention = true;
  bool encoder = true;  ///< no config says it: of files that only decode the weights hold none, and then no quant_conv

  /// Pixels a latent pixel stands for along each axis: 2^(blocks - 1).
  int64_t factor() const;

  static VaeConfig from_json(const nlohmann::json& json, const std::string& file, const ReadOptions& options = {});
};

}  // namespace sdtorch
