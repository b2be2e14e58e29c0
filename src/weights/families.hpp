// The known families of models, and their configuration files as they were published.
#pragma once

#include <cstdint>
#include <nlohmann/json.hpp>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace sdtorch {

enum class Family {
  sd1,          ///< Stable Diffusion 1.x
  sd2,          ///< Stable Diffusion 2.x
  sdxl,         ///< Stable Diffusion XL, base
  sdxl_refiner  ///< Stable Diffusion XL, refiner
};

/// What a model draws from besides a text.
enum class Task { text_to_image, inpainting, depth, instruct_pix2pix };

/// "Stable Diffusion 1.x"; "text to image"
std::string_view name_of(Family family);
std::string_view name_of(Task task);

/// Channels that the U-Net takes beside the latent's own: a mask and what it leaves of the picture, a depth, a picture.
int64_t extra_channels(Task task, int64_t latent_channels);

struct ModelKind {
  Family family = Family::sd1;
  Task task = Task::text_to_image;
  std::string prediction = "epsilon";  ///< or v_prediction: SD 2.x was published in two sizes, one with each
  bool consistency = false;            ///< a latent consistency model, which takes the guidance scale as an input
};

/// One of the published files: `model_index`, `scheduler`, `unet`, `vae`, `text_encoder`, `text_encoder_2`,
/// `tokenizer` (tokenizer_config.json), `tokenizer_2`; an empty object for a component that the family does not have.
nlohmann::json published_config(const ModelKind& kind, std::string_view component);

/// The family's text encoders, in order.
std::vector<std::string> text_encoders_of(Family family);

/// What names and shapes cannot tell of a U-Net: attention heads of SD 1.x, or 0 where it is channels a head.
int64_t unet_heads(Family family);
inline constexpr int64_t channels_a_head = 64;  ///< in all other U-Nets and in all text encoders

}  // namespace sdtorch
