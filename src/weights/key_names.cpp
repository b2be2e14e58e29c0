#include "weights/key_names.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "core/error.hpp"

namespace sdtorch {
namespace {

/// Keys that begin with `scope` have `from` replaced by `to`, once.
struct RenameRule {
  std::string_view scope, from, to;
};

constexpr RenameRule rename_rules[] = {
    {"text_model.", "text_model.", ""},
    {"encoder.mid_block.attentions.", ".query.", ".to_q."},
    {"encoder.mid_block.attentions.", ".key.", ".to_k."},
    {"encoder.mid_block.attentions.", ".value.", ".to_v."},
    {"encoder.mid_block.attentions.", ".proj_attn.", ".to_out.0."},
    {"decoder.mid_block.attentions.", ".query.", ".to_q."},
    {"decoder.mid_block.attentions.", ".key.", ".to_k."},
    {"decoder.mid_block.attentions.", ".value.", ".to_v."},
    {"decoder.mid_block.attentions.", ".proj_attn.", ".to_out.0."},
};

/// Where attention projections may be stored as 1×1 convolutions.
constexpr std::string_view attention_scopes[] = {"encoder.mid_block.attentions.", "decoder.mid_block.attentions."};

/// Ends of keys, behind whatever prefix.
constexpr std::string_view no_weight_ends[] = {
    "position_ids",          "token_type_ids",      "rotary_emb.inv_freq", "rotary.inv_freq", "attn_mask",
    "causal_attention_mask", "num_batches_tracked", "logit_scale",         "logit_bias",
};

constexpr std::string_view no_weights[] = {
    // What XLM-RoBERTa was trained with, and AltDiffusion's text encoder does not use.
    "roberta.pooler.dense.weight",
    "roberta.pooler.dense.bias",
    // Of an encoder that projects the state before its last layer; others have the layer and need it.
    "transformation.weight",
    "transformation.bias",
};

/// Beginnings of keys that tell another layout of the same networks.
struct ForeignLayout {
  std::string_view start, name;
};

constexpr ForeignLayout foreign_layouts[] = {
    {"model.diffusion_model.", "the original latent-diffusion code's whole model"},
    {"first_stage_model.", "the original latent-diffusion code's whole model"},
    {"encoder.down.", "the original latent-diffusion code's autoencoder"},
    {"decoder.up.", "the original latent-diffusion code's autoencoder"},
    {"input_blocks.", "the original latent-diffusion code's U-Net"},
    {"lora_unet_", "a LoRA"},
    {"unet.", "a LoRA or several components"},
};

bool is_attention_projection(std::string_view key) {
  for (const std::string_view scope : attention_scopes) {
    if (key.starts_with(scope) && key.find(".to_") != std::string_view::npos && key.ends_with(".weight")) return true;
  }
  return false;
}

}  // namespace

bool is_no_weight(std::string_view key) {
  const auto is_end = [&](std::string_view end) {
    return key.ends_with(end) && (key.size() == end.size() || key[key.size() - end.size() - 1] == '.');
  };
  return std::ranges::any_of(no_weight_ends, is_end) || std::ranges::count(no_weights, key) > 0;
}

std::string canonical_key(std::string_view key) {
  std::string name(key);
  for (const auto& [scope, from, to] : rename_rules) {
    if (!name.starts_with(scope)) continue;
    if (const size_t at = name.find(from); at != std::string::npos) name.replace(at, from.size(), to);
  }
  return name;
}

StateDict with_canonical_keys(StateDict weights) {
  StateDict renamed;
  for (auto& [key, value] : weights) {
    for (const auto& [start, layout] : foreign_layouts) {
      if (key.starts_with(start)) {
        throw Error(ErrorKind::model,
                    {.file = value.file,
                     .place = key,
                     .reason = fmt::format("this is a key of {}; diffusers' names were expected", layout),
                     .hint = "convert the model to a diffusers folder"});
      }
    }
    std::string name = canonical_key(key);
    if (is_attention_projection(name) && value.tensor.dim() == 4 && value.tensor.size(2) == 1 &&
        value.tensor.size(3) == 1) {
      value.tensor = value.tensor.flatten(1);
    }
    const std::string file = value.file;
    const bool added = renamed.emplace(name, std::move(value)).second;
    if (!added) {
      throw Error(ErrorKind::model,
                  {.file = file, .place = key, .reason = fmt::format("the weights of {} occur twice", name)});
    }
  }
  return renamed;
}

bool keeps_vae_encoder(StateDict& weights) {
  const auto first = weights.lower_bound("encoder.");
  if (first != weights.end() && first->first.starts_with("encoder.")) return true;
  std::erase_if(weights, [](const auto& item) { return item.first.starts_with("quant_conv."); });
  return false;
}

}  // namespace sdtorch
