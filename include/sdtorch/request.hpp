// What to load, and what to draw: everything that decides the pixels, and nothing that does not.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

namespace sdtorch {

/// What a pipeline is made of. Field names are the long flags' names with `_` for `-`.
struct ModelChoice {
  std::string model{};                      ///< model folder or file; empty is the built-in model
  std::string vae{};                        ///< folder or file of another VAE; empty is the model's own
  std::string refiner{};                    ///< SDXL model that draws the last steps; empty is none
  std::vector<std::string> control_net{};   ///< ControlNets and T2I-Adapters that steer the model: folders or files
  std::string classifier{};                 ///< folder of a classifier over noisy latents that guides; empty is none
  std::string depth_estimator{};            ///< folder of what estimates depth; empty is the model's own, if any
  std::string taesd{};                      ///< folder or file of a tiny decoder in the VAE's place; empty is none
  std::vector<std::string> ip_adapter{};    ///< IP-Adapters: files; pictures prompt the model through them
  std::string ip_encoder{};                 ///< folder of their CLIP vision encoder; empty: image_encoder/ beside them
  std::string lora_dir{};                   ///< where `<lora:name:w>` looks for files; empty: nowhere
  std::string embd_dir{};                   ///< folder whose files' names are words of prompts; empty: none
  std::string hypernetwork_dir{};           ///< where `<hypernet:name:w>` looks for files; empty: nowhere
  bool lora_lenient = false;                ///< keys of a LoRA that find no place are warnings, not errors
  std::optional<std::string> prediction{};  ///< epsilon, v, x0 and other spellings; none is the model's own
  std::string device = "auto";              ///< auto, cpu, cuda, cuda:N
  std::string dtype = "auto";               ///< auto, fp32, fp16, bf16: what the networks compute in
  std::string quantize{};                   ///< int8: the U-Net's products are those of 8-bit integers; empty: of dtype
  bool deterministic = false;               ///< same build, device and request give the same bytes
  bool ignore_unknown = false;              ///< unknown keys in the model's configs are warnings, not errors

  /// Throws ErrorKind::usage naming the flag whose value is not a choice. Opens no file.
  void validate() const;

  bool operator==(const ModelChoice&) const = default;
};

/// A size or a place in a picture, in pixels, as SDXL's U-Net is told it.
struct PixelPair {
  int64_t vertical = 0;    ///< height, or pixels from the top
  int64_t horizontal = 0;  ///< width, or pixels from the left

  bool operator==(const PixelPair&) const = default;
};

/// How far a picture grows on each side, in pixels.
struct PixelMargins {
  int64_t left = 0, top = 0, right = 0, bottom = 0;

  bool operator==(const PixelMargins&) const = default;
};

/// A file that a picture was drawn from.
struct InputFile {
  std::string path{};    ///< as the request names it
  std::string sha256{};  ///< of its bytes, 64 hexadecimal digits

  bool operator==(const InputFile&) const = default;
};

/// One picture. Field names are the long flags' names with `_` for `-`.
struct Request {
  std::string prompt{};                          ///< UTF-8, any length
  std::optional<std::string> negative_prompt{};  ///< UTF-8, any length; none is "", but for SDXL (XlSettings)
  int64_t steps = 20;                            ///< denoising steps, 1…num_train_timesteps of the model
  double cfg_scale = 7.5;                        ///< s in eps_u + s (eps_c - eps_u) (Ho & Salimans 2022, eq. 6), >= 0
  double guidance_rescale = 0;                   ///< phi of Lin et al. 2023, section 3.4, 0…1
  uint64_t seed = 42;                            ///< any value; 0 is a seed
  std::optional<int64_t> width{};            ///< pixels, a multiple of the VAE's factor; none is the model's own size
  std::optional<int64_t> height{};           ///< pixels, likewise
  std::optional<PixelPair> original_size{};  ///< SDXL: of the picture before it was cropped; none is width and height
  std::optional<PixelPair> crop{};           ///< SDXL: what was cropped away at the top and the left; none is 0 and 0
  std::optional<PixelPair> target_size{};    ///< SDXL: of the picture afterwards; none is width and height
  std::optional<std::string> sampler{};      ///< a name in the sampler registry; none is the model's own
  std::string scheduler = "model";           ///< sigma schedule: a name of sigma_schedules()
  std::vector<double> sigmas{};              ///< noise levels, one a step and the last; empty: by the scheduler
  std::optional<std::string> spacing{};      ///< leading, trailing, linspace; none is the model's own
  std::optional<double> eta{};               ///< DDIM's eta, TCD's gamma, 0…1; none is 0
  std::optional<double> refiner_start{};     ///< share of the denoising before the refiner, 0…1; none is 0.8 with one

  // Guidance beyond the scale; all of these go together, but where a comment says otherwise.
  double pag_scale = 0;            ///< perturbed-attention guidance (Ahn et al. 2024), any finite number; 0 is none
  std::string pag_layers = "mid";  ///< its self-attention layers: parts of their keys, or regular expressions, by commas
  double sag_scale = 0;            ///< self-attention guidance (Hong et al. 2023), any finite number; 0 is none
  std::vector<double> freeu{};     ///< FreeU's b1, b2, s1, s2 (Si et al. 2024), above 0; empty is none
  std::string cfg_interval{};      ///< where cfg_scale applies: LO,HI noise levels, or LO%,HI% of the steps; empty: all
  bool cfg_plus_plus = false;      ///< CFG++ (Chung et al. 2024): cfg_scale is its lambda, 0…1 there
  std::vector<double> dynamic_threshold{};   ///< a guidance scale whose range is kept, and a percentile; empty is none
  std::optional<double> classifier_scale{};  ///< of ModelChoice::classifier's gradient; none is 1
  std::string class_label{};                 ///< the class it leads to, its name or number (`--class`)

  // What is put on the model for this picture.
  std::vector<std::string> lora{};          ///< LoRAs and their kin, as FILE[:W[:TE_W]]
  std::vector<std::string> embedding{};     ///< textual inversions, as FILE[=TOKEN]
  std::vector<std::string> hypernetwork{};  ///< hypernetworks, as FILE[:W]
  std::vector<std::string> ip_image{};      ///< pictures for ModelChoice::ip_adapter, in its order: files
  std::vector<double> ip_scale{};           ///< a weight for each of ip_adapter, or one for all; 1
  bool vae_tiling = false;                  ///< the VAE works tile by tile
  std::optional<int64_t> vae_tile_size{};   ///< pixels on a tile's side; none is 512
  std::optional<int64_t> vae_tile_overlap{};  ///< pixels that neighbouring tiles share; none is 64

  // How the prompts are read, and whose rules the same seed follows.
  std::optional<std::string> compat{};            ///< a1111, comfy, diffusers, sdcpp; none: sdtorch's own
  std::optional<std::string> prompt_syntax{};     ///< a1111, comfy, compel, plain; none is compat's
  std::optional<std::string> prompt_weighting{};  ///< a1111, comfy, compel, none; none is compat's
  std::optional<std::string> prompt_chunks{};     ///< how long prompts are cut: a1111, comfy, plain; none is compat's
  std::string styles{};                           ///< a CSV file of prompt styles, as A1111 writes it
  std::vector<std::string> style{};               ///< names of styles in it, applied in order
  std::optional<int64_t> clip_skip{};             ///< 1: the text encoder's last layer, 2: the one before; none: its own
  std::optional<std::string> rng{};               ///< cpu, cuda: whose noise; none is compat's
  std::optional<uint64_t> ensd{};                 ///< what is added to the seed for a sampler's later draws (A1111)
  std::optional<uint64_t> variation_seed{};       ///< of the noise that is mixed in; none: a drawn one
  double variation_strength = 0;                  ///< how much of it, 0…1, by slerp
  std::optional<PixelPair> seed_resize{};         ///< the size whose noise is taken to the middle of this one
  std::optional<std::string> sampler_rng{};    ///< cpu, cuda: whose noise the sampler's steps add; none is compat's
  std::optional<std::string> sde_noise{};      ///< fresh, brownian: what dpm++2m_sde adds; none is compat's
  std::optional<std::string> batch_noise{};    ///< each, whole: drawn picture by picture, or at once; none is compat's
  std::string noise_slice{};                   ///< K/N: the picture's noise is the K-th (0…) of N drawn at once
  std::optional<std::string> encode_noise{};   ///< first, apart, none: what samples input latents; none is compat's
  std::optional<std::string> noise_scaling{};  ///< sigma, sgm: what the start noise is scaled by; none is compat's
  std::optional<std::string> schedule_rules{};        ///< a tool of compat's: whose levels schedules have; none: compat
  std::optional<std::string> discard_next_to_last{};  ///< yes, no: the level before the last; none is compat's
  std::optional<std::string> strength_steps{};        ///< share, extra, all: steps of a strength; none is compat's
  std::optional<std::string> timesteps_rounding{};    ///< none, nearest: timesteps of levels; none is compat's
  std::optional<std::string> pixel_rounding{};        ///< nearest, truncate: to 8 bits; none is compat's

  // What is spared of the network's work; the picture is then another one.
  std::vector<double> deep_cache{};  ///< DeepCache (Ma et al. 2023): whole each so many calls, and a branch, 0; or none
  std::vector<double> tome{};  ///< ToMe (Bolya & Hoffman 2023): ratio, 0…0.75, and how coarse, 1, 2, 4, 8; or none
  std::optional<int64_t> tgate{};  ///< T-GATE (Zhang et al. 2024): the first step without the text; none: all have it

  std::optional<double> hires_scale{};    ///< 1…16: the picture is drawn once more, so much larger; none is not
  std::optional<int64_t> hires_steps{};   ///< of that second pass; none and 0 are `steps`
  std::optional<double> hires_strength{}; ///< its steps' share of those from pure noise, above 0…1; none is 0.7
  std::optional<std::string> hires_upscaler{};  ///< latent (none), latent-bicubic, lanczos: what enlarges

  std::string init_img{};             ///< picture to start from: a file, `-` for standard input; empty is noise
  std::optional<double> strength{};   ///< share of the steps that change it, 0…1; none is 0.75, and 1 with a mask
  std::string mask{};                 ///< picture whose white is repainted: a file; empty is none
  bool mask_from_alpha = false;       ///< what is transparent in init_img is repainted, in place of a mask
  bool mask_invert = false;           ///< the mask's black is repainted instead
  double mask_blur = 0;               ///< standard deviation of a blur of the mask, in its pixels, 0…1000
  std::string inpaint_area = "whole"; ///< whole, or masked: what is around the mask is drawn alone, and pasted back
  int64_t mask_padding = 32;          ///< pixels of the picture around the mask that are drawn with it
  std::optional<PixelMargins> expand{};     ///< init_img grows so far, and what is new is repainted as by a mask
  std::optional<double> image_cfg_scale{};  ///< how strongly init_img guides a model for instructions, >= 0; none is 1.5
  bool keep_unmasked = false;         ///< outside the mask the pixels of init_img, byte for byte
  std::string depth_img{};            ///< picture of init_img's depth, bright is near: a file; empty: it is estimated
  std::string resize = "stretch";     ///< input pictures of another shape: stretch, crop, pad
  int64_t max_pixels = 178'956'970;   ///< input pictures that have more are refused
  std::vector<InputFile> inputs{};    ///< what files named above must be; of others nothing is asked

  // Each of these lists has a value for each of ModelChoice::control_net, in their order, or one for all of them, or
  // none, which is the default; the pictures alone must be as many.
  std::vector<std::string> control_image{};       ///< pictures that steer: files, `-` for standard input
  std::vector<double> control_strength{};         ///< 0…10; 1, the default, is as trained
  std::vector<double> control_start{};            ///< share of the steps before it steers, 0…1; 0
  std::vector<double> control_end{};              ///< share of the steps after which it no longer does, 0…1; 1
  std::vector<std::string> control_mode{};        ///< balanced (the default), prompt, control
  std::vector<std::string> control_preprocess{};  ///< canny[:LOW,HIGH], depth, invert, inpaint, none

  /// Throws ErrorKind::usage naming the flag whose value is out of range, ErrorKind::input for a prompt that is not
  /// UTF-8. Checks what needs no model.
  void validate() const;

  /// What is allowed but may not be what was meant, each a line for the log.
  std::vector<std::string> warnings() const;

  bool operator==(const Request&) const = default;
};

/// Whether two pictures can share a batch: they agree in all but prompts, seed, what SDXL is told of sizes, and, where
/// width and height are given, the pictures that they start from and are steered by.
bool can_share_batch(const Request& a, const Request& b);

}  // namespace sdtorch
