"""The tensors of the published models at full size, by name and shape, without their weights.

models.json: by model, what the repository on the Hub has for each network (`config`, which file of NAME.keys lists its
tensors, `buffers` that its weights file has beside them), and what the one-file checkpoint has: `prefix` before each
network's own names there, `more` that no network of diffusers' has, by name and shape.

NAME.keys: a line for each tensor: its name and shape in the folder; the checkpoint's tensor that diffusers' converter
makes it of, and that one's shape; which third of its rows, or - for the whole. Shapes are written 320x4x3x3.

The names and shapes in folders are those of the networks that diffusers and transformers build from the configs on the
meta device. Theirs in checkpoints are held to by diffusers' converters: what layouts/ldm.py calls the tensors must
become exactly the network's. The tensors are single numbers, expanded to their shapes, so that each tells where it
comes from.
"""

import json
import pathlib

import torch
from diffusers import AutoencoderKL, UNet2DConditionModel
from diffusers.loaders import single_file_utils
from layouts import ldm
from transformers import CLIPTextConfig, CLIPTextModel, CLIPTextModelWithProjection

CLIP_L = {
    "architectures": ["CLIPTextModel"], "attention_dropout": 0.0, "bos_token_id": 0, "dropout": 0.0, "eos_token_id": 2,
    "hidden_act": "quick_gelu", "hidden_size": 768, "initializer_factor": 1.0, "initializer_range": 0.02,
    "intermediate_size": 3072, "layer_norm_eps": 1e-05, "max_position_embeddings": 77, "model_type": "clip_text_model",
    "num_attention_heads": 12, "num_hidden_layers": 12, "pad_token_id": 1, "projection_dim": 768,
    "torch_dtype": "float32", "transformers_version": "4.22.0.dev0", "vocab_size": 49408,
}
SDXL_CLIP_L = {**CLIP_L, "torch_dtype": "float16", "transformers_version": "4.32.0.dev0"}
CLIP_H = {
    **CLIP_L, "_name_or_path": "hf-models/stable-diffusion-v2-768x768/text_encoder", "hidden_act": "gelu",
    "hidden_size": 1024, "intermediate_size": 4096, "num_attention_heads": 16, "num_hidden_layers": 23,
    "projection_dim": 512, "transformers_version": "4.25.0.dev0",
}
CLIP_G = {
    **SDXL_CLIP_L, "architectures": ["CLIPTextModelWithProjection"], "hidden_act": "gelu", "hidden_size": 1280,
    "intermediate_size": 5120, "num_attention_heads": 20, "num_hidden_layers": 32, "projection_dim": 1280,
}
SD1_UNET = {
    "_class_name": "UNet2DConditionModel", "_diffusers_version": "0.6.0", "act_fn": "silu", "attention_head_dim": 8,
    "block_out_channels": [320, 640, 1280, 1280], "center_input_sample": False, "cross_attention_dim": 768,
    "down_block_types": ["CrossAttnDownBlock2D"] * 3 + ["DownBlock2D"], "downsample_padding": 1,
    "flip_sin_to_cos": True, "freq_shift": 0, "in_channels": 4, "layers_per_block": 2, "mid_block_scale_factor": 1,
    "norm_eps": 1e-05, "norm_num_groups": 32, "out_channels": 4, "sample_size": 64,
    "up_block_types": ["UpBlock2D"] + ["CrossAttnUpBlock2D"] * 3,
}
SD2_UNET = {
    **SD1_UNET, "_diffusers_version": "0.10.0.dev0", "attention_head_dim": [5, 10, 20, 20],
    "cross_attention_dim": 1024, "dual_cross_attention": False, "num_class_embeds": None,
    "only_cross_attention": False, "sample_size": 96, "upcast_attention": True, "use_linear_projection": True,
}
SDXL_UNET = {
    **SD1_UNET, "_diffusers_version": "0.19.0.dev0", "addition_embed_type": "text_time",
    "addition_embed_type_num_heads": 64, "addition_time_embed_dim": 256, "attention_head_dim": [5, 10, 20],
    "block_out_channels": [320, 640, 1280], "class_embed_type": None, "class_embeddings_concat": False,
    "conv_in_kernel": 3, "conv_out_kernel": 3, "cross_attention_dim": 2048, "cross_attention_norm": None,
    "down_block_types": ["DownBlock2D", "CrossAttnDownBlock2D", "CrossAttnDownBlock2D"], "dual_cross_attention": False,
    "encoder_hid_dim": None, "encoder_hid_dim_type": None, "mid_block_only_cross_attention": None,
    "mid_block_type": "UNetMidBlock2DCrossAttn", "num_attention_heads": None, "num_class_embeds": None,
    "only_cross_attention": False, "projection_class_embeddings_input_dim": 2816, "resnet_out_scale_factor": 1.0,
    "resnet_skip_time_act": False, "resnet_time_scale_shift": "default", "sample_size": 128,
    "time_cond_proj_dim": None, "time_embedding_act_fn": None, "time_embedding_dim": None,
    "time_embedding_type": "positional", "timestep_post_act": None, "transformer_layers_per_block": [1, 2, 10],
    "up_block_types": ["CrossAttnUpBlock2D", "CrossAttnUpBlock2D", "UpBlock2D"], "upcast_attention": None,
    "use_linear_projection": True,
}
REFINER_UNET = {
    **SDXL_UNET, "attention_head_dim": [6, 12, 24, 24], "block_out_channels": [384, 768, 1536, 1536],
    "cross_attention_dim": 1280,
    "down_block_types": ["DownBlock2D", "CrossAttnDownBlock2D", "CrossAttnDownBlock2D", "DownBlock2D"],
    "projection_class_embeddings_input_dim": 2560, "transformer_layers_per_block": 4,
    "up_block_types": ["UpBlock2D", "CrossAttnUpBlock2D", "CrossAttnUpBlock2D", "UpBlock2D"],
}
SD1_VAE = {
    "_class_name": "AutoencoderKL", "_diffusers_version": "0.6.0", "act_fn": "silu",
    "block_out_channels": [128, 256, 512, 512], "down_block_types": ["DownEncoderBlock2D"] * 4, "in_channels": 3,
    "latent_channels": 4, "layers_per_block": 2, "norm_num_groups": 32, "out_channels": 3, "sample_size": 512,
    "up_block_types": ["UpDecoderBlock2D"] * 4,
}
SD2_VAE = {
    **SD1_VAE, "_diffusers_version": "0.8.0", "_name_or_path": "hf-models/stable-diffusion-v2-768x768/vae",
    "sample_size": 768,
}
SDXL_VAE = {
    **SD1_VAE, "_diffusers_version": "0.20.0.dev0", "_name_or_path": "../sdxl-vae/", "force_upcast": True,
    "sample_size": 1024, "scaling_factor": 0.13025,
}

POSITIONS = {"text_model.embeddings.position_ids": [1, 77]}  # which transformers saved until 4.31
# What LatentDiffusion, with its averages left out, saves of itself.
TRAINING = {
    **{name: [1000] for name in (
        "alphas_cumprod", "alphas_cumprod_prev", "betas", "log_one_minus_alphas_cumprod",
        "posterior_log_variance_clipped", "posterior_mean_coef1", "posterior_mean_coef2", "posterior_variance",
        "sqrt_alphas_cumprod", "sqrt_one_minus_alphas_cumprod", "sqrt_recip_alphas_cumprod",
        "sqrt_recipm1_alphas_cumprod")},
    "model_ema.decay": [], "model_ema.num_updates": [],
}  # fmt: skip


def network(tensors: str, config: dict, prefix: str, buffers: dict | None = None) -> dict:
    return {"tensors": tensors, "config": config, "prefix": prefix, "buffers": buffers or {}}


def unet(name: str, config: dict) -> dict:
    return network(name, config, "model.diffusion_model.")


def vae(config: dict) -> dict:
    return network("vae", config, "first_stage_model.")


MODELS = {
    "sd1": {
        "networks": {
            "text_encoder": network(
                "clip_l", {**CLIP_L, "_name_or_path": "openai/clip-vit-large-patch14"}, "cond_stage_model.", POSITIONS),
            "unet": unet("unet_sd1", SD1_UNET), "vae": vae(SD1_VAE),
        },
        "more": {"cond_stage_model.transformer.text_model.embeddings.position_ids": [1, 77], **TRAINING},
    },
    "sd2": {
        "networks": {
            "text_encoder": network("clip_h", CLIP_H, "cond_stage_model.model.", POSITIONS),
            "unet": unet("unet_sd2", SD2_UNET), "vae": vae(SD2_VAE),
        },
        "more": TRAINING,
    },
    "sdxl": {
        "networks": {
            "text_encoder": network("clip_l", SDXL_CLIP_L, "conditioner.embedders.0."),
            "text_encoder_2": network("clip_g", CLIP_G, "conditioner.embedders.1.model."),
            "unet": unet("unet_sdxl", SDXL_UNET), "vae": vae(SDXL_VAE),
        },
        "more": {"conditioner.embedders.0.transformer.text_model.embeddings.position_ids": [1, 77]},
    },
    "sdxl_refiner": {
        "networks": {
            "text_encoder_2": network("clip_g", CLIP_G, "conditioner.embedders.0.model."),
            "unet": unet("unet_sdxl_refiner", REFINER_UNET), "vae": vae(SDXL_VAE),
        },
        "more": {},
    },
}  # fmt: skip


def built(config: dict):
    """The network that the config's own library makes of it, without memory."""
    with torch.device("meta"):
        if config.get("_class_name") == "UNet2DConditionModel":
            return UNet2DConditionModel.from_config(config)
        if config.get("_class_name") == "AutoencoderKL":
            return AutoencoderKL.from_config(config)
        kind = {"CLIPTextModel": CLIPTextModel, "CLIPTextModelWithProjection": CLIPTextModelWithProjection}
        return kind[config["architectures"][0]](CLIPTextConfig(**config))


def published(module) -> dict[str, torch.Tensor]:
    """Its tensors by the names that the published files have.

    Transformers 5 dropped `text_model.` from CLIPTextModel's names, and keeps it in CLIPTextModelWithProjection's;
    when the models were published both had it.
    """
    tensors = module.state_dict()
    if isinstance(module, CLIPTextModel):
        return {f"text_model.{key}": tensor for key, tensor in tensors.items()}
    return tensors


THIRDS = 3


def stand_ins(tensors: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """Each tensor as THIRDS times its number in the list, plus the third of its rows where it is three in one."""
    stands = {}
    for number, (key, tensor) in enumerate(tensors.items()):
        value = torch.full((1,) * tensor.dim(), THIRDS * number, dtype=torch.int16)
        if ".in_proj_" in key:
            value = value.repeat(tensor.shape[0], *(1,) * (tensor.dim() - 1))
            value += torch.arange(THIRDS, dtype=torch.int16).repeat_interleave(tensor.shape[0] // THIRDS).reshape(
                value.shape)
        stands[key] = value.expand(tensor.shape)
    return stands


def original(module, prefix: str) -> dict[str, torch.Tensor]:
    """The network's tensors as its checkpoint has them, those that no network takes included."""
    if isinstance(module, UNet2DConditionModel):
        tensors = ldm.unet(module)
    elif isinstance(module, AutoencoderKL):
        tensors = ldm.vae(module)
    elif module.config.hidden_act == "quick_gelu":
        tensors = ldm.clip(module)
    else:
        # SD 2's encoder leaves out a last layer and a projection that its checkpoint has.
        width = module.config.hidden_size
        cut = isinstance(module, CLIPTextModel)
        tensors = ldm.open_clip(module, cut, torch.empty(width, width, device="meta") if cut else None)
    return {prefix + key: tensor for key, tensor in tensors.items()}


def converted(module, prefix: str, tensors: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    if isinstance(module, UNet2DConditionModel):
        return single_file_utils.convert_ldm_unet_checkpoint(dict(tensors), dict(module.config))
    if isinstance(module, AutoencoderKL):
        return single_file_utils.convert_ldm_vae_checkpoint(dict(tensors), dict(module.config))
    if module.config.hidden_act == "quick_gelu":
        return single_file_utils.convert_ldm_clip_checkpoint(dict(tensors))
    return single_file_utils.convert_open_clip_checkpoint(module, dict(tensors), prefix=prefix)


def written(shape) -> str:
    return "x".join(str(extent) for extent in shape) or "scalar"


def key_table(module, prefix: str) -> tuple[list[str], dict[str, list[int]]]:
    """The lines of NAME.keys, and what of the checkpoint none of them is made of."""
    ours, theirs = published(module), original(module, prefix)
    made = converted(module, prefix, stand_ins(theirs))
    assert {key: tensor.shape for key, tensor in made.items()} == {key: tensor.shape for key, tensor in ours.items()}
    names, lines = list(theirs), []
    rest = {key: list(tensor.shape) for key, tensor in theirs.items()}
    for key in sorted(made):
        values = made[key].unique().tolist()
        assert len(values) == 1
        number, third = divmod(values[0], THIRDS)
        name = names[number]
        rest.pop(name, None)
        lines.append(f"{key} {written(ours[key].shape)} {name.removeprefix(prefix)} {written(theirs[name].shape)} "
                     f"{third if '.in_proj_' in name else '-'}")
    return lines, rest


def make(out: pathlib.Path) -> None:
    for model in MODELS.values():
        for one in model["networks"].values():
            lines, rest = key_table(built(one["config"]), one["prefix"])
            (out / f"{one['tensors']}.keys").write_text("\n".join(lines) + "\n")
            model["more"] = model["more"] | rest
    (out / "models.json").write_text(json.dumps(MODELS, indent=1, sort_keys=True) + "\n")
