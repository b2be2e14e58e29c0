#include <algorithm>
#include <string_view>

#include "weights/recognition.hpp"

namespace sdtorch {
namespace {

enum class Where { start, inside };

/// The first row that fits a key names the file.
struct KindRule {
  Where where;
  std::string_view text;
  const char* kind;
};

constexpr KindRule kinds[] = {
    {Where::inside, "hada_w1_", "a LoRA (LoHa)"},
    {Where::inside, "lokr_w", "a LoRA (LoKr)"},
    {Where::start, "lora_unet_double_blocks", "a LoRA of FLUX (kohya's names)"},
    {Where::start, "lora_te2_", "a LoRA of Stable Diffusion XL (kohya's names)"},
    {Where::start, "lora_unet_", "a LoRA (kohya's names)"},
    {Where::start, "lora_te", "a LoRA of the text encoder (kohya's names)"},
    {Where::inside, ".lora_down.", "a LoRA"},
    {Where::inside, "transformer_blocks.0.attn.to_q.lora_A.", "a LoRA of a transformer, such as FLUX (PEFT's names)"},
    {Where::inside, ".lora_A.", "a LoRA (PEFT's names)"},
    {Where::inside, ".lora.down.", "a LoRA (diffusers' names)"},
    {Where::inside, "_lora.down.", "a LoRA (diffusers' old names)"},
    {Where::inside, "string_to_param", "a textual-inversion embedding"},
    {Where::start, "emb_params", "a textual-inversion embedding"},
    {Where::start, "clip_g", "a textual-inversion embedding of SDXL"},
    {Where::start, "control_model.", "a ControlNet (the original code's names)"},
    {Where::start, "input_hint_block.", "a ControlNet (the original code's names)"},
    {Where::start, "controlnet_cond_embedding.", "a ControlNet (diffusers' names)"},
    {Where::start, "lora_controlnet", "a Control-LoRA"},
    {Where::start, "lllite_", "a ControlNet-LLLite (kohya's)"},
    {Where::start, "adapter.", "a T2I-Adapter"},
    {Where::start, "body.0.block1.", "a T2I-Adapter"},
    {Where::start, "image_proj.", "an IP-Adapter"},
    {Where::inside, "motion_modules.", "an AnimateDiff motion module"},
    {Where::inside, "joint_blocks.", "a Stable Diffusion 3 transformer"},
    {Where::inside, "double_blocks.", "a FLUX transformer"},
    {Where::inside, "clip_txt_mapper", "a Stable Cascade model"},
    {Where::start, "decoder_unet.", "a consistency decoder (diffusers' ConsistencyDecoderVAE)"},
    {Where::inside, "embed_image.conv.", "a consistency decoder"},
    {Where::start, "down_blocks.", "a U-Net component (diffusers' names)"},
    {Where::start, "encoder.down_blocks.", "a VAE component (diffusers' names)"},
    {Where::start, "decoder.up_blocks.", "a VAE component (diffusers' names)"},
    {Where::start, "first_stage_model.", "a VAE (the original code's names)"},
    {Where::start, "decoder.mid.", "a VAE (the original code's names)"},
    {Where::start, "text_model.", "a CLIP text encoder component (transformers' names)"},
    {Where::start, "encoder.layers.0.self_attn.", "a CLIP text encoder component (transformers' names)"},
    {Where::start, "roberta.", "an XLM-R text encoder component (transformers' names)"},
    {Where::start, "transformer.resblocks.", "an OpenCLIP text encoder"},
    {Where::start, "visual.", "a whole CLIP"},
    {Where::start, "concept_embeds", "a safety checker"},
    {Where::start, "vision_model.", "a CLIP image encoder"},
    {Where::start, "linear.0.", "a hypernetwork"},
    {Where::inside, ".0.linear.0.", "a hypernetwork"},
    {Where::inside, ".RDB1.", "an ESRGAN upscaler"},
    {Where::inside, ".rdb1.", "an ESRGAN upscaler"},
    {Where::start, "taesd_", "a tiny autoencoder (TAESD)"},
    {Where::start, "decoder.layers.", "a tiny autoencoder (TAESD)"},
    {Where::start, "decoder.3.conv.0.", "a tiny autoencoder (TAESD)"},
    {Where::start, "3.conv.0.", "a tiny autoencoder (TAESD)"},
    {Where::start, "depth_model.", "a depth estimator (MiDaS)"},
    {Where::start, "dpt.", "a depth estimator (DPT)"},
    {Where::start, "scratch.", "a depth estimator (MiDaS)"},
    {Where::start, "encoder.block.0.layer.0.", "a T5 text encoder"},
    {Where::start, "model.layers.0.", "a language model"},
    {Where::start, "model_ema.", "moving averages of a U-Net, without the model itself"},
    {Where::inside, "exp_avg", "the state of a training's optimiser, without a model"},
};

bool fits(const KindRule& rule, const KeySet& keys) {
  if (rule.where == Where::start) {
    const auto found = keys.lower_bound(rule.text);
    return found != keys.end() && found->starts_with(rule.text);
  }
  return std::ranges::any_of(keys, [&](const std::string& key) { return key.find(rule.text) != std::string::npos; });
}

}  // namespace

std::string kind_of_weights(const KeySet& keys) {
  for (const KindRule& rule : kinds) {
    if (fits(rule, keys)) return rule.kind;
  }
  const bool embedding = keys.size() == 1 && (keys.begin()->starts_with('<') || *keys.begin() == "*");
  return embedding ? "a textual-inversion embedding" : "";
}

}  // namespace sdtorch
