#include <algorithm>
#include <string_view>

#include "sdtorch/weights/recognition.hpp"

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
    {Where::start, "lora_unet_", "a LoRA (kohya's names)"},
    {Where::start, "lora_te", "a LoRA of the text encoder (kohya's names)"},
    {Where::inside, ".lora_down.", "a LoRA"},
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
    {Where::start, "adapter.body.", "a T2I-Adapter"},
    {Where::start, "image_proj.", "an IP-Adapter"},
    {Where::inside, "motion_modules.", "an AnimateDiff motion module"},
    {Where::inside, "joint_blocks.", "a Stable Diffusion 3 transformer"},
    {Where::inside, "double_blocks.", "a FLUX transformer"},
    {Where::inside, "clip_txt_mapper", "a Stable Cascade model"},
    {Where::start, "down_blocks.", "a U-Net component (diffusers' names)"},
    {Where::start, "encoder.down_blocks.", "a VAE component (diffusers' names)"},
    {Where::start, "decoder.up_blocks.", "a VAE component (diffusers' names)"},
    {Where::start, "text_model.", "a CLIP text encoder component (transformers' names)"},
    {Where::start, "encoder.layers.0.self_attn.", "a CLIP text encoder component (transformers' names)"},
    {Where::start, "roberta.", "an XLM-R text encoder component (transformers' names)"},
    {Where::start, "transformer.resblocks.", "an OpenCLIP text encoder"},
    {Where::start, "visual.", "a whole CLIP"},
    {Where::start, "vision_model.", "a CLIP image encoder"},
    {Where::start, "concept_embeds", "a safety checker"},
    {Where::start, "linear.0.", "a hypernetwork"},
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
