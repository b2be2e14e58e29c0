"""Tiny random networks of every shape that the configs can describe, with what diffusers and transformers make of them.

A golden is NAME.json, the network's config, and NAME.safetensors: its weights under `weight.`, its inputs under
`input.`, and under `output.fp32.`, `output.bf16.` and `output.fp16.` what the reference computes in these types.
"""

import json
import pathlib

import torch
from diffusers import AutoencoderKL, ControlNetModel, UNet2DConditionModel, logging
from safetensors.torch import save_file
from transformers import CLIPTextConfig, CLIPTextModel

logging.set_verbosity_error()

TYPES = {"fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}

CLIP = {
    "clip_quick_gelu": dict(
        vocab_size=99, hidden_size=32, intermediate_size=64, num_hidden_layers=2, num_attention_heads=4,
        max_position_embeddings=77, hidden_act="quick_gelu", bos_token_id=97, eos_token_id=98, projection_dim=32,
    ),
    "clip_gelu": dict(
        vocab_size=120, hidden_size=48, intermediate_size=192, num_hidden_layers=3, num_attention_heads=2,
        max_position_embeddings=77, hidden_act="gelu", layer_norm_eps=1e-3, pad_token_id=0, projection_dim=24,
    ),
    "clip_deep": dict(
        vocab_size=64, hidden_size=40, intermediate_size=56, num_hidden_layers=7, num_attention_heads=5,
        max_position_embeddings=33, hidden_act="gelu_new", attention_dropout=0.1, projection_dim=16,
    ),
}  # fmt: skip

CROSS_DOWN, DOWN, CROSS_UP, UP = "CrossAttnDownBlock2D", "DownBlock2D", "CrossAttnUpBlock2D", "UpBlock2D"

# The config's keys, and under `latent` and `tokens` the shape of the inputs.
UNET = {
    "unet_sd1": dict(
        block_out_channels=[16, 32, 32], layers_per_block=2, attention_head_dim=8, norm_num_groups=8, cross_attention_dim=24,
        down_block_types=[CROSS_DOWN, CROSS_DOWN, DOWN], up_block_types=[UP, CROSS_UP, CROSS_UP],
        sample_size=8, latent=[2, 8, 8], tokens=7,
    ),
    "unet_sd2": dict(
        block_out_channels=[16, 48], layers_per_block=1, attention_head_dim=[2, 6], cross_attention_dim=40,
        down_block_types=[CROSS_DOWN, CROSS_DOWN], up_block_types=[CROSS_UP, CROSS_UP], norm_num_groups=16,
        use_linear_projection=True, upcast_attention=True, only_cross_attention=[True, False], act_fn="gelu",
        sample_size=12, latent=[1, 12, 8], tokens=5,
    ),
    "unet_odd_size": dict(
        block_out_channels=[12, 24, 18, 30], layers_per_block=[1, 2, 1, 2], attention_head_dim=[3, 2, 5, 4],
        cross_attention_dim=20, down_block_types=[DOWN, CROSS_DOWN, CROSS_DOWN, CROSS_DOWN],
        up_block_types=[UP, CROSS_UP, UP, CROSS_UP], transformer_layers_per_block=[1, 2, 1, 3], norm_num_groups=6,
        resnet_time_scale_shift="scale_shift", mid_block_scale_factor=1.4, norm_eps=1e-3, in_channels=9,
        flip_sin_to_cos=False, freq_shift=1, time_embedding_act_fn="mish", time_embedding_dim=50,
        timestep_post_act="silu", conv_in_kernel=5, conv_out_kernel=1, sample_size=8, latent=[2, 9, 7], tokens=3,
    ),
    "unet_plain_mid": dict(
        block_out_channels=[16, 24], layers_per_block=1, attention_head_dim=4, cross_attention_dim=16,
        down_block_types=[CROSS_DOWN, DOWN], up_block_types=[CROSS_UP, CROSS_UP], norm_num_groups=4,
        mid_block_type="UNetMidBlock2D", downsample_padding=0, center_input_sample=True, act_fn="relu",
        only_cross_attention=True, in_channels=5, out_channels=8, sample_size=8, latent=[1, 7, 10], tokens=4,
    ),
    "unet_asymmetric": dict(
        block_out_channels=[20, 32], layers_per_block=2, attention_head_dim=[4, 3], cross_attention_dim=[12, 12],
        down_block_types=["UNetRes" + CROSS_DOWN, CROSS_DOWN], up_block_types=[CROSS_UP, CROSS_UP], norm_num_groups=4,
        transformer_layers_per_block=[[1, 2], [0, 1]], reverse_transformer_layers_per_block=[[1, 0, 1], [2, 1, 1]],
        mid_block_type=None, sample_size=8, latent=[1, 6, 5], tokens=4,
    ),
}  # fmt: skip

# With channels besides the latent's, and with what a ControlNet adds. Made in fp32 alone.
UNET_RESIDUALS = {
    "unet_residuals": dict(
        block_out_channels=[8, 12], layers_per_block=2, attention_head_dim=[2, 3], cross_attention_dim=10,
        down_block_types=[CROSS_DOWN, DOWN], up_block_types=[UP, CROSS_UP], norm_num_groups=4, in_channels=9,
        sample_size=8, latent=[2, 9, 6], tokens=3,
    ),
    "unet_residuals_no_mid": dict(
        block_out_channels=[8, 8], layers_per_block=1, attention_head_dim=2, cross_attention_dim=6,
        down_block_types=[DOWN, CROSS_DOWN], up_block_types=[CROSS_UP, UP], norm_num_groups=4, in_channels=5,
        center_input_sample=True, mid_block_type=None, sample_size=8, latent=[1, 6, 6], tokens=3,
    ),
}  # fmt: skip

# Likewise, with the latent's shape.
VAE = {
    "vae_sd": dict(
        block_out_channels=[16, 32, 32], layers_per_block=1, norm_num_groups=8, sample_size=32, latent=[2, 6, 4],
    ),
    "vae_no_quant": dict(
        block_out_channels=[12, 24], layers_per_block=2, norm_num_groups=6, latent_channels=6, act_fn="gelu",
        use_quant_conv=False, use_post_quant_conv=False, shift_factor=0.1159, scaling_factor=0.3611,
        force_upcast=False, sample_size=16, latent=[1, 5, 7],
    ),
    "vae_no_attention": dict(
        block_out_channels=[8, 16, 8, 24], layers_per_block=1, norm_num_groups=4, latent_channels=4,
        mid_block_add_attention=False, sample_size=32, latent=[1, 3, 2],
    ),
}  # fmt: skip


def randomise(module: torch.nn.Module) -> torch.nn.Module:
    """Weights that keep a signal's size, and biases and norms that are not their trivial selves."""
    for name, parameter in module.named_parameters():
        if parameter.dim() > 1:
            fan_in = parameter[0].numel() if "embedding" not in name or "time" in name else 1
            parameter.data = torch.randn_like(parameter) / fan_in**0.5
        else:
            centre = 1.0 if "norm" in name and name.endswith("weight") else 0.0
            parameter.data = centre + 0.2 * torch.randn_like(parameter)
    return module.eval()


def clip(config: dict):
    model = randomise(CLIPTextModel(CLIPTextConfig(**config)))
    inputs = {"tokens": torch.randint(0, config["vocab_size"], (2, config["max_position_embeddings"]))}
    return model, inputs, lambda tokens: {"hidden": model(tokens).last_hidden_state}


def unet(config: dict):
    batch, height, width = config.pop("latent")
    tokens = config.pop("tokens")
    blocks = {"down_block_types", "up_block_types"}
    model = randomise(UNet2DConditionModel(**{k: tuple(v) if k in blocks else v for k, v in config.items()}))
    context_width = model.config.cross_attention_dim
    inputs = {
        "sample": torch.randn(batch, model.config.in_channels, height, width),
        "timestep": torch.tensor([981.0, 17.25][:batch]),
        "context": torch.randn(batch, tokens, context_width if isinstance(context_width, int) else context_width[0]),
    }
    return model, inputs, lambda sample, timestep, context: {
        "sample": model(sample, timestep, encoder_hidden_states=context).sample
    }


def controlnet_of(model: UNet2DConditionModel) -> ControlNetModel:
    """The U-Net's way down as a ControlNet that gives its layers' outputs as they are, and takes a picture embedded."""
    net = ControlNetModel.from_unet(model)
    net.controlnet_cond_embedding = torch.nn.Identity()
    for conv in [*net.controlnet_down_blocks, net.controlnet_mid_block]:
        conv.weight.copy_(torch.eye(conv.weight.shape[0])[:, :, None, None])
        torch.nn.init.zeros_(conv.bias)
    return net.eval()


def unet_with_residuals(config: dict):
    model, inputs, _ = unet(config)
    latent, inputs["extra_channels"] = inputs["sample"][:, :4], inputs["sample"][:, 4:].contiguous()
    inputs["sample"] = latent.contiguous()
    has_mid = model.mid_block is not None

    def down(sample, extra, timestep, context, hint):
        return controlnet_of(model)(torch.cat([sample, extra], 1), timestep, encoder_hidden_states=context,
                                    controlnet_cond=hint, return_dict=False)

    width = model.config.block_out_channels[0]
    inputs["hint"] = torch.randn(latent.shape[0], width, *latent.shape[2:])
    shapes = [width] + [c for i, c in enumerate(model.config.block_out_channels) for _ in
              range(model.config.layers_per_block + (i + 1 < len(model.config.block_out_channels)))]
    halvings, height, breadth = model.config.layers_per_block, *latent.shape[2:]
    for i, channels in enumerate(shapes):
        if i > 0 and i % (halvings + 1) == 0 and i < len(shapes) - 1:
            height, breadth = -(-height // 2), -(-breadth // 2)
        inputs[f"down_residual.{i}"] = torch.randn(latent.shape[0], channels, height, breadth)
    inputs["mid_residual"] = torch.randn(latent.shape[0], shapes[-1], height, breadth)

    def forward(sample, timestep, context, extra_channels, hint, mid_residual, **down_residuals):
        whole = torch.cat([sample, extra_channels], 1)
        residuals = [down_residuals[f"down_residual.{i}"] for i in range(len(down_residuals))]
        drawn = model(whole, timestep, encoder_hidden_states=context, down_block_additional_residuals=residuals,
                      mid_block_additional_residual=mid_residual).sample
        if not has_mid:  # no ControlNet of the reference goes without one
            return {"sample": drawn}
        skips, middle = down(sample, extra_channels, timestep, context, hint)
        return {"sample": drawn, "middle": middle, **{f"skip.{i}": skip for i, skip in enumerate(skips)}}

    return model, inputs, forward


def vae(config: dict):
    batch, height, width = config.pop("latent")
    types = dict(
        down_block_types=["DownEncoderBlock2D"] * len(config["block_out_channels"]),
        up_block_types=["UpDecoderBlock2D"] * len(config["block_out_channels"]),
    )
    config.update(types)
    model = randomise(AutoencoderKL(**config))
    factor = 2 ** (len(config["block_out_channels"]) - 1)
    inputs = {
        "latent": torch.randn(batch, model.config.latent_channels, height, width),
        "picture": torch.rand(batch, 3, factor * height, factor * width) * 2 - 1,
    }

    def forward(latent, picture):
        encoded = model.encode(picture).latent_dist
        return {"picture": model.decode(latent).sample, "mean": encoded.mean, "logvar": encoded.logvar}

    return model, inputs, forward


def in_type(inputs: dict, kind: torch.dtype) -> dict:
    """Timesteps stay fp32, as schedulers give them."""
    return {k: v.to(kind) if v.is_floating_point() and k != "timestep" else v for k, v in inputs.items()}


def make_one(name: str, build, config: dict, out: pathlib.Path, types=TYPES) -> None:
    torch.manual_seed(sum(name.encode()))
    config = json.loads(json.dumps(config))
    model, inputs, forward = build(config)
    # In half of fp32's bytes; the reference computes with the weights as stored.
    weights = {f"weight.{k}": v.bfloat16() for k, v in model.state_dict().items()}
    tensors = {**weights, **{f"input.{k}": v for k, v in inputs.items()}}
    for kind_name, kind in types.items():
        model.to(kind).load_state_dict({k.removeprefix("weight."): v for k, v in weights.items()})
        outputs = forward(**in_type(inputs, kind))
        tensors |= {f"output.{kind_name}.{k}": v.contiguous() for k, v in outputs.items()}
        assert all(v.isfinite().all() for v in outputs.values()), (name, kind_name)
    save_file(tensors, out / f"{name}.safetensors")
    # The configs as the libraries save them: every key, the defaults too.
    from_transformers = hasattr(model.config, "to_json_string")
    saved = json.loads(model.config.to_json_string(use_diff=False) if from_transformers else model.to_json_string())
    (out / f"{name}.json").write_text(json.dumps(saved, indent=1) + "\n")


# Stable Diffusion 1.5: what its configs say beyond the defaults.
FULL_CLIP = dict(
    vocab_size=49408, hidden_size=768, intermediate_size=3072, num_hidden_layers=12, num_attention_heads=12,
    max_position_embeddings=77, projection_dim=768,
)  # fmt: skip
FULL_UNET = dict(cross_attention_dim=768, sample_size=64, latent=[1, 16, 16], tokens=77)
FULL_VAE = dict(block_out_channels=[128, 256, 512, 512], layers_per_block=2, sample_size=512, latent=[1, 16, 16])


def make_full(out: pathlib.Path) -> None:
    fp32 = {"fp32": torch.float32}
    make_one("full_clip", clip, FULL_CLIP, out, fp32)
    make_one("full_unet", unet, FULL_UNET, out, fp32)
    make_one("full_vae", vae, FULL_VAE, out, fp32)


def make(out: pathlib.Path) -> None:
    for configs, build in ((CLIP, clip), (UNET, unet), (VAE, vae)):
        for name, config in configs.items():
            make_one(name, build, config, out)
    for name, config in UNET_RESIDUALS.items():
        make_one(name, unet_with_residuals, config, out, {"fp32": torch.float32})
