// What to draw: everything that decides the pixels, and nothing that does not.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace sdtorch {

/// The choices of the flags that name one; samplers and schedules have a registry of their own (sampler.hpp).
inline constexpr std::array<std::string_view, 3> spacing_names = {"leading", "trailing", "linspace"};
inline constexpr std::array<std::string_view, 4> dtype_names = {"auto", "fp32", "fp16", "bf16"};

/// A size or a place in a picture, in pixels, as SDXL's U-Net is told it.
struct PixelPair {
  int64_t vertical = 0;    ///< height, or pixels from the top
  int64_t horizontal = 0;  ///< width, or pixels from the left

  bool operator==(const PixelPair&) const = default;
};

/// One picture or one batch of them. Field names are the long flags' names with `_` for `-`.
struct Request {
  std::string model{};                      ///< model folder or file; empty is the built-in model
  std::string vae{};                        ///< folder or file of another VAE; empty is the model's own
  std::string refiner{};                    ///< SDXL model that draws the last steps; empty is none
  std::optional<double> refiner_start{};    ///< share of the denoising before it, 0…1; none is 0.8 with a refiner
  std::optional<std::string> prediction{};  ///< a name of find_prediction; none is the model's own
  std::string prompt{};                     ///< UTF-8, any length
  std::optional<std::string> negative_prompt{};  ///< UTF-8, any length; none is "", but for SDXL (XlSettings)
  int64_t steps = 20;                            ///< denoising steps, 1…num_train_timesteps of the model
  double cfg_scale = 7.5;                        ///< s in eps_u + s (eps_c - eps_u) (Ho & Salimans 2022, eq. 6), >= 0
  double guidance_rescale = 0;                   ///< phi of Lin et al. 2023, section 3.4, 0…1
  uint64_t seed = 42;                            ///< of image 0; image i of a batch uses seed + i (mod 2^64)
  std::optional<int64_t> width{};            ///< pixels, a multiple of the VAE's factor; none is the model's own size
  std::optional<int64_t> height{};           ///< pixels, likewise
  std::optional<PixelPair> original_size{};  ///< SDXL: of the picture before it was cropped; none is width and height
  std::optional<PixelPair> crop{};           ///< SDXL: what was cropped away at the top and the left; none is 0 and 0
  std::optional<PixelPair> target_size{};    ///< SDXL: of the picture afterwards; none is width and height
  int64_t batch_count = 1;                   ///< images in all
  int64_t batch_size = 1;                    ///< images that share a U-Net call
  std::optional<std::string> sampler{};      ///< canonical name in the sampler registry; none is the model's own
  std::string scheduler = "model";           ///< sigma schedule: a name of sigma_schedules()
  std::vector<double> sigmas{};              ///< noise levels, one a step and the last; empty: by the scheduler
  std::optional<std::string> spacing{};      ///< leading, trailing, linspace; none is the model's own
  std::optional<double> eta{};               ///< DDIM's eta, TCD's gamma, 0…1; none is 0
  std::string device = "auto";               ///< auto, cpu, cuda, cuda:N
  std::string dtype = "auto";                ///< auto, fp32, fp16, bf16
  bool deterministic = false;                ///< same build, device and request give the same bytes

  /// Throws ErrorKind::usage naming the flag whose value is out of range, ErrorKind::input for a prompt that is not
  /// UTF-8. Checks what needs no model.
  void validate() const;

  /// What is allowed but may not be what was meant, each a line for the log.
  std::vector<std::string> warnings() const;

  /// Image `index` of this batch as a request of its own, with its own seed: what repeats that picture alone.
  Request image(int64_t index) const;

  bool operator==(const Request&) const = default;
};

/// SDXL's own share of the denoising before its refiner (Podell et al. 2023: the refiner knows the last 200 of 1000
/// noise levels).
inline constexpr double usual_refiner_start = 0.8;

}  // namespace sdtorch
