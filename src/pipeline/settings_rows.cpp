// The rows of settings.hpp.
#include <fmt/format.h>
#include <fmt/ranges.h>

#include "diffusion/sampler.hpp"
#include "pipeline/settings.hpp"

namespace sdtorch {
namespace {

constexpr double most_steps = 1'000'000;         // the model's own limit, checked with the model, is lower
constexpr double largest_condition = 1'000'000;  // of what a model is told of sizes: fp32 holds it exactly
constexpr double most_images = 1'000'000;
constexpr double largest_control_strength = 10;
constexpr double most_pixels = 1LL << 40;
constexpr double largest_batch = 4'096;
constexpr SettingRange any_number{.least = -1e6, .most = 1e6};
constexpr double largest_hires_scale = 16;
constexpr SettingRange unit{.least = 0, .most = 1};
constexpr SettingRange condition{.least = 0, .most = largest_condition};

std::vector<Setting> make_settings() {
  using S = Settings;
  using enum SettingGroup;
  constexpr auto one = SettingScope::picture, run = SettingScope::run;
  return {
      {"prompt", "-p, --prompt", "TEXT", "what to draw; \"\" is a prompt too", "", picture, one, &S::prompt, {}, true},
      {"negative-prompt",
       "-n, --negative-prompt",
       "TEXT",
       "what to keep out of it; for SDXL, \"\" is a prompt too, unlike none",
       "",
       picture,
       one,
       &S::negative_prompt,
       {},
       true},
      {"sampler", "--sampler, --sampling-method", "NAME",
       fmt::format("{}; other tools' spellings work; default: what the model names", fmt::join(sampler_names(), ", ")),
       "Sampler", sampling, one, &S::sampler},
      {"scheduler", "--scheduler, --schedule", "NAME",
       fmt::format("sigma schedule: {} (model)", fmt::join(scheduler_names(), ", ")), "Schedule type", sampling, one,
       &S::scheduler},
      {"sigmas", "--sigmas", "LIST",
       "noise levels given outright, as 14.6,7.2,2,0: one a step, and the last; in place of --steps", "Sigmas",
       sampling, one, &S::sigmas},
      {"steps", "--steps, --num-inference-steps, --ddim_steps", "N", "denoising steps (20)", "Steps", picture, one,
       &S::steps, SettingRange{1, most_steps}},
      {"cfg-scale", "--cfg-scale, --guidance-scale, --cfg, --scale", "S",
       "how strongly the prompt guides (7.5); 1 is the conditional model alone, 0 ignores the prompt", "CFG scale",
       picture, one, &S::cfg_scale, SettingRange{}},
      {"seed", "-s, --seed", "N", "0…2^64-1 (42); -1 draws one and reports it; image i of a batch uses N + i mod 2^64",
       "Seed", picture, one, &S::seed},
      {"width", "-W, --width", "PIXELS", "default: the model's own size", "", picture, one, &S::width,
       SettingRange{1, largest_side}},
      {"height", "-H, --height", "PIXELS", "likewise", "", picture, one, &S::height, SettingRange{1, largest_side}},
      {"original-size", "--original-size", "WxH",
       "what SDXL is told of the picture: its size before cropping (that of -W and -H)", "Original size", picture, one,
       &S::original_size, condition},
      {"crop", "--crop", "LEFTxTOP", "likewise: what was cropped away (0x0); TOP,LEFT works too", "Crop", picture, one,
       &S::crop, condition},
      {"target-size", "--target-size", "WxH", "likewise: its size afterwards (that of -W and -H); H,W works too",
       "Target size", picture, one, &S::target_size, condition},
      {"batch-count", "-b, --batch-count", "N", "images in all (1)", "", picture, one, &S::batch_count,
       SettingRange{1, most_images}},
      {"batch-size", "--batch-size", "N", "how many of them share a U-Net call (1)", "", picture, one, &S::batch_size,
       SettingRange{1, largest_batch}},
      {"hires-scale", "--hires-scale", "F",
       "1…16: draw the picture at -W and -H, then enlarge it so many times and draw it once more (A1111's hires fix)",
       "Hires upscale", picture, one, &S::hires_scale, SettingRange{1, largest_hires_scale}},
      {"hires-steps", "--hires-steps", "N", "steps of that second pass (0: as many as --steps)", "Hires steps", picture,
       one, &S::hires_steps, SettingRange{0, most_steps}},
      {"hires-strength", "--hires-strength", "F",
       fmt::format("0…1: how much of it is drawn anew ({})", usual_hires_strength), "", picture, one,
       &S::hires_strength, unit},
      {"hires-upscaler", "--hires-upscaler", "NAME", "what enlarges: latent, latent-bicubic, lanczos (latent)",
       "Hires upscaler", picture, one, &S::hires_upscaler},
      {"init-img", "-i, --init-img, --image, --init-image", "FILE",
       "picture to start from, PNG, JPEG or WebP; - reads one from standard input", "", input, one, &S::init_img},
      {"strength", "--strength, --denoise, --denoising-strength", "F",
       fmt::format("0…1: the share of the steps that change it ({}; 1 with a mask)", usual_strength),
       "Denoising strength", input, one, &S::strength, unit},
      {"mask", "--mask, --mask-image", "FILE", "what to repaint of it: a picture's white", "", input, one, &S::mask},
      {"mask-from-alpha", "--mask-from-alpha", "", "repaint what is transparent in it", "", input, one,
       &S::mask_from_alpha},
      {"mask-invert", "--mask-invert", "", "repaint the mask's black instead", "", input, one, &S::mask_invert},
      {"mask-blur", "--mask-blur", "PIXELS", "blur the mask, by a Gaussian of that deviation (0)", "Mask blur", input,
       one, &S::mask_blur, SettingRange{0, 1000}},
      {"inpaint-area", "--inpaint-area", "NAME",
       "whole; masked: cut out what is around the mask, draw it at -W and -H or the model's own size, paste it back "
       "(whole)",
       "", input, one, &S::inpaint_area},
      {"mask-padding", "--mask-padding", "PIXELS", "how much around the mask is cut out with it (32)",
       "Masked area padding", input, one, &S::mask_padding, SettingRange{0, largest_side}},
      {"keep-unmasked", "--keep-unmasked", "", "outside the mask keep the picture's own pixels, byte for byte", "",
       input, one, &S::keep_unmasked},
      {"expand", "--expand", "L,T,R,B",
       "grow it by so many pixels at the left, the top, the right and the bottom, and paint what is new; a few more "
       "where the VAE needs them",
       "Expand", input, one, &S::expand, SettingRange{0, largest_side}},
      {"image-cfg-scale", "--image-cfg-scale, --img-cfg-scale, --image-guidance-scale", "S",
       fmt::format("InstructPix2Pix: how strongly the picture guides ({})", usual_image_cfg_scale), "Image CFG scale",
       input, one, &S::image_cfg_scale, SettingRange{}},
      {"depth-img", "--depth-img, --depth-image", "FILE",
       "models for depth to image: its depth, in place of what an estimator makes of it; a grey picture of the same "
       "view in which bright is near; its darkest and its brightest place become the farthest and the nearest",
       "", input, one, &S::depth_img},
      {"resize", "--resize", "NAME",
       fmt::format("input pictures of another shape than -W and -H: {} (stretch)", fmt::join(resize_names, ", ")), "",
       input, one, &S::resize},
      {"max-pixels", "--max-pixels", "N", "input pictures of more are refused (178956970)", "", input, one,
       &S::max_pixels, SettingRange{1, most_pixels}},
      {"control-image",
       "--control-image",
       "FILE",
       "picture that steers, one for each --control-net, in their order; without -W and -H the first one's size is "
       "drawn, rounded down, unless --init-img gives one; - reads one from standard input",
       "",
       input,
       one,
       &S::control_image,
       {},
       false,
       true},
      {"control-strength", "--control-strength", "F",
       "0…10: how strongly (1); this flag and the next four are given once for all nets, or once for each", "", input,
       one, &S::control_strength, SettingRange{0, largest_control_strength}, false, true},
      {"control-start", "--control-start", "F", "0…1: the share of the steps before it steers (0)", "", input, one,
       &S::control_start, unit, false, true},
      {"control-end", "--control-end", "F", "0…1: the share of the steps after which it no longer does (1)", "", input,
       one, &S::control_end, unit, false, true},
      {"control-mode",
       "--control-mode",
       "NAME",
       fmt::format("{}: what weighs more where prompt and picture disagree (balanced); with control only the prompt's "
                   "own evaluation is steered",
                   fmt::join(control_mode_names, ", ")),
       "",
       input,
       one,
       &S::control_mode,
       {},
       false,
       true},
      {"control-preprocess",
       "--control-preprocess",
       "NAME",
       "what is made of its picture, before it is resized: canny[:LOW,HIGH] finds edges (100,200), depth estimates it "
       "by the model's own estimator or --depth-estimator, invert, none (none); "
       "inpaint hides what --mask says, as ControlNets for inpainting want it",
       "",
       input,
       one,
       &S::control_preprocess,
       {},
       false,
       true},
      {"spacing", "--spacing", "NAME",
       fmt::format("timesteps: {}; default: what the model or the sampler says", fmt::join(spacing_names, ", ")),
       "Timestep spacing", sampling, one, &S::spacing},
      {"eta", "--eta", "X", "0…1: how much noise ddim and tcd add back at each step (0)", "Eta", sampling, one, &S::eta,
       unit},
      {"guidance-rescale", "--guidance-rescale", "X", "0…1: how far to undo guidance's overexposure (0)",
       "Guidance rescale", sampling, one, &S::guidance_rescale, unit},
      {"pag-scale", "--pag-scale", "S", "perturbed-attention guidance: away from what blind self-attention draws (0)",
       "PAG scale", guidance, one, &S::pag_scale, any_number},
      {"pag-layers", "--pag-layers", "LIST",
       "its layers: parts of their names or regular expressions, as down_blocks.2,mid,up_blocks.[01] (mid)",
       "PAG layers", guidance, one, &S::pag_layers},
      {"sag-scale", "--sag-scale", "S",
       "self-attention guidance: away from the picture blurred where self-attention looks (0); one more call a step",
       "SAG scale", guidance, one, &S::sag_scale, any_number},
      {"freeu", "--freeu", "B1,B2,S1,S2",
       "FreeU: factors of the coarsest up blocks' features and of their skips' low frequencies, as 1.5,1.6,0.9,0.2",
       "FreeU", guidance, one, &S::freeu},
      {"cfg-interval", "--cfg-interval", "LO,HI",
       "where --cfg-scale applies: noise levels with LO < sigma <= HI, or shares of the steps, as 40%,80%; elsewhere "
       "the prompt alone is followed",
       "CFG interval", guidance, one, &S::cfg_interval},
      {"cfg-plus-plus", "--cfg-plus-plus, --cfg-pp", "",
       "CFG++: noise renewed without guidance; --cfg-scale is then its lambda, 0…1; ddim, euler, euler_a", "CFG++",
       guidance, one, &S::cfg_plus_plus},
      {"dynamic-threshold", "--dynamic-threshold", "MIMIC[,PERCENTILE]",
       "keep the range of values that guidance at the scale MIMIC has; PERCENTILE of them, 100 (or 1) is all (100)",
       "Dynamic threshold", guidance, one, &S::dynamic_threshold},
      {"classifier", "--classifier", "DIR", "a classifier over noisy latents whose gradient guides to --class", "",
       guidance, one, &S::classifier},
      {"classifier-scale", "--classifier-scale", "S", "how strongly (1)", "Classifier scale", guidance, one,
       &S::classifier_scale, any_number},
      {"class", "--class, --class-label", "NAME", "one of the classifier's classes, or its number", "Class", guidance,
       one, &S::class_label},
      {"deep-cache", "--deep-cache, --cache-interval", "N[,BRANCH]",
       "DeepCache: every N-th call of the network is whole, the others compute the layers above skip connection BRANCH "
       "alone (0: the finest, the fastest)",
       "DeepCache", shortcuts, one, &S::deep_cache},
      {"tome", "--tome, --token-merging-ratio", "RATIO[,TIMES]",
       "token merging: that share of the tokens, 0.75 at most, joins others before self-attention, in layers whose "
       "picture is up to TIMES smaller than the latent: 1, 2, 4, 8 (1); for SDXL from 2 on",
       "Token merging ratio", shortcuts, one, &S::tome},
      {"tgate", "--tgate, --gate-step", "STEP",
       "T-GATE: after STEP steps the text is no longer looked at, and nothing guides; layers keep what it last said",
       "TGATE", shortcuts, one, &S::tgate, SettingRange{1, most_steps}},
      {"quantize", "--quantize", "NAME",
       "int8: the U-Net's convolutions and linear layers multiply 8-bit integers, but for the first, the last and "
       "those of timestep and text; on CPUs with AVX512-VNNI or AMX",
       "", shortcuts, run, &S::quantize},
      {"model", "-m, --model, --ckpt", "PATH",
       "a diffusers folder, a single file, or ORG/NAME in the Hugging Face cache; default: the built-in model", "",
       model, run, &S::model},
      {"refiner", "--refiner", "PATH", "an SDXL model that draws the last steps", "", model, run, &S::refiner},
      {"refiner-start", "--refiner-start", "F",
       fmt::format("the share of the denoising, above 0 and below 1, after which it takes over ({})",
                   usual_refiner_start),
       "", model, one, &S::refiner_start, SettingRange{0, 1, true}},
      {"control-net",
       "--control-net",
       "PATH[=FILE]",
       "a ControlNet or a T2I-Adapter that steers the model: a diffusers folder or a single file, and the picture that "
       "it is given, if no --control-image names it; several add up",
       "",
       model,
       one,
       &S::control_net,
       {},
       false,
       true},
      {"depth-estimator", "--depth-estimator", "DIR",
       "what estimates depth, for a model without an estimator of its own: a folder with config.json, weights and "
       "preprocessor_config.json of a DPTForDepthEstimation, or a model's folder that has one",
       "", model, one, &S::depth_estimator},
      {"lora",
       "--lora",
       "FILE[:W[:TE_W]]",
       "a LoRA or one of its kin, and its weight: one number for all (1), or the U-Net's and the text encoders'; "
       "numbers "
       "by shares of the steps, as 0.2@0,0.8@0.5, change on the way; several add up",
       "",
       model,
       one,
       &S::lora,
       {},
       false,
       true},
      {"lora-dir", "--lora-dir", "DIR",
       "where prompts' <lora:NAME:W> and <lora:NAME:TE_W:W> find their files: names without endings, in folders below "
       "it "
       "too",
       "", model, run, &S::lora_dir},
      {"lora-lenient", "--lora-lenient", "", "keys of a LoRA that find no place in the model are warnings, not errors",
       "", model, run, &S::lora_lenient},
      {"vae", "--vae", "PATH", "another VAE than the model's own: a folder or a file", "", model, run, &S::vae},
      {"prediction", "--prediction", "NAME", "what the network predicts: epsilon, v, x0; default: what the model says",
       "Prediction", model, run, &S::prediction},
      {"ignore-unknown", "--ignore-unknown", "", "unknown keys in a model's configs are warnings, not errors", "",
       model, run, &S::ignore_unknown},
      {"device", "--device", "NAME", "auto, cpu, cuda, cuda:N (auto)", "", machine, run, &S::device},
      {"dtype", "--dtype", "NAME", fmt::format("{} (auto)", fmt::join(dtype_names, ", ")), "", machine, run, &S::dtype},
      {"deterministic", "--deterministic", "", "same build, device and request: same bytes", "", machine, run,
       &S::deterministic},
  };
}

}  // namespace

std::span<const Setting> settings() {
  static const std::vector<Setting> rows = make_settings();
  return rows;
}

}  // namespace sdtorch
