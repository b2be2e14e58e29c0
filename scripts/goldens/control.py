"""Tiny random ControlNets and T2I-Adapters, and the U-Nets of other goldens steered by them.

A golden is as in networks.py, in fp32 alone. Its outputs are the residuals at SCALE, `down.0` … and `mid`, and what the
U-Net makes with them, `sample`; likewise `control.sample` in diffusers' guess mode and `prompt.sample` with the weights
of sd-webui-controlnet. An adapter's are its features, `feature.0` …, and with a U-Net `sample`, what that makes with
them at SCALE, and `both.sample`, with the residuals of the inputs, a ControlNet's, too. unets.json names each one's U-Net.
ldm_keys.json has a ControlNet's keys by the original code's.
"""

import json
import pathlib

import families
import networks
import torch
from diffusers import ControlNetModel, T2IAdapter, UNet2DConditionModel
from weights import numbered, small_unet

SCALE = 0.7
OF_UNET = [
    "in_channels", "flip_sin_to_cos", "freq_shift", "down_block_types", "mid_block_type", "only_cross_attention",
    "block_out_channels", "layers_per_block", "act_fn", "norm_num_groups", "norm_eps", "cross_attention_dim",
    "transformer_layers_per_block", "attention_head_dim", "use_linear_projection", "addition_embed_type",
    "addition_time_embed_dim", "upcast_attention", "projection_class_embeddings_input_dim",
]  # fmt: skip

# U-Net, what the ControlNet has of its own, and the latent's pixels that a pixel of the picture is.
CONTROLNET = {
    "controlnet_sd1": ("unet_sd1", dict(conditioning_embedding_out_channels=[4, 8, 8, 12])),
    "controlnet_sd2": ("unet_sd2", dict(
        conditioning_embedding_out_channels=[6, 4], controlnet_conditioning_channel_order="bgr",
        conditioning_channels=4, transformer_layers_per_block=[[2], 1],
    )),
    "controlnet_xl": ("unet_xl_refiner", dict(conditioning_embedding_out_channels=[4, 6, 4])),
    "controlnet_pooled": ("unet_xl_refiner", dict(
        conditioning_embedding_out_channels=[5], conditioning_channels=1, global_pool_conditions=True,
        mid_block_type="UNetMidBlock2D", num_attention_heads=[4, 1, 2], resnet_time_scale_shift="scale_shift",
        mid_block_scale_factor=1.3, addition_embed_type=None, down_block_types=["DownBlock2D"] * 3,
    )),
}  # fmt: skip

# U-Net, if one fits, the shape of the picture, and the config.
ADAPTER = {
    "adapter_sd1": ("unet_sd1", [2, 3, 32, 32], dict(channels=[16, 32, 32], downscale_factor=4)),
    "adapter_xl": ("unet_xl_refiner", [2, 1, 16, 16], dict(
        in_channels=1, channels=[8, 12, 8, 8], num_res_blocks=1, downscale_factor=4, adapter_type="full_adapter_xl",
    )),
    "adapter_light": ("unet_sd1", [2, 3, 32, 32], dict(
        channels=[16, 32], num_res_blocks=3, downscale_factor=4, adapter_type="light_adapter",
    )),
    "adapter_odd": (None, [1, 3, 20, 12], dict(channels=[8, 8, 12], num_res_blocks=1, downscale_factor=4)),
}  # fmt: skip


def unet_of_golden(name: str) -> tuple[UNet2DConditionModel, dict]:
    """As its own golden has it: the same seed, and weights as stored."""
    torch.manual_seed(sum(name.encode()))
    config = json.loads(json.dumps((networks.UNET | families.UNET)[name]))
    model, inputs, _ = (families.unet_with_extras if "extras" in config else networks.unet)(config)
    model.load_state_dict({key: weight.bfloat16().float() for key, weight in model.state_dict().items()})
    return model, inputs


def controlnet(config: dict):
    unet, inputs = unet_of_golden(config.pop("unet"))
    config = {key: unet.config[key] for key in OF_UNET} | config
    net = networks.randomise(ControlNetModel(**config))
    for name, weight in net.controlnet_cond_embedding.named_parameters():
        if weight.dim() > 1:  # which `randomise` takes for a table
            weight /= weight[0].numel() ** 0.5
    factor = 2 ** (len(config["conditioning_embedding_out_channels"]) - 1)
    size = [factor * side for side in inputs["sample"].shape[2:]]
    inputs["picture"] = torch.rand(1, net.config.conditioning_channels, *size)

    def forward(picture, sample, timestep, context, pooled=None, time_ids=None):
        added = {"text_embeds": pooled, "time_ids": time_ids} if pooled is not None else None

        def residuals(**how):
            return net(sample, timestep, encoder_hidden_states=context, controlnet_cond=picture,
                       added_cond_kwargs=added, return_dict=False, **how)

        def steered(down, mid):
            return unet(sample, timestep, encoder_hidden_states=context, added_cond_kwargs=added,
                        down_block_additional_residuals=down, mid_block_additional_residual=mid).sample

        down, mid = residuals(conditioning_scale=SCALE)
        plain, plain_mid = residuals(conditioning_scale=1.0)
        soft = [x * SCALE * 0.825 ** (12 - i) for i, x in enumerate([*plain, plain_mid])]
        return {
            **{f"down.{i}": x for i, x in enumerate(down)},
            "mid": mid,
            "sample": steered(down, mid),
            "control.sample": steered(*residuals(conditioning_scale=SCALE, guess_mode=True)),
            "prompt.sample": steered(soft[:-1], soft[-1]),
        }

    return net, inputs, forward


def adapter(config: dict):
    shape, of = config.pop("shape"), config.pop("unet")
    net = networks.randomise(T2IAdapter(**config))
    inputs = {"picture": torch.rand(shape)}
    if not of:
        return net, inputs, lambda picture: {f"feature.{i}": x for i, x in enumerate(net(picture))}
    unet, unet_inputs = unet_of_golden(of)
    inputs |= unet_inputs
    skips = skips_of(unet, unet_inputs)
    inputs |= {f"down_residual.{i}": 0.3 * torch.randn_like(x) for i, x in enumerate(skips[:-1])}
    inputs["mid_residual"] = 0.3 * torch.randn_like(skips[-1])

    def forward(picture, sample, timestep, context, mid_residual, pooled=None, time_ids=None, **down):
        added = {"text_embeds": pooled, "time_ids": time_ids} if pooled is not None else None
        features = net(picture)

        def steered(**more):
            return unet(sample, timestep, encoder_hidden_states=context, added_cond_kwargs=added,
                        down_intrablock_additional_residuals=[SCALE * x for x in features], **more).sample

        both = dict(down_block_additional_residuals=[down[f"down_residual.{i}"] for i in range(len(down))],
                    mid_block_additional_residual=mid_residual)
        return {
            **{f"feature.{i}": x for i, x in enumerate(features)},
            "sample": steered(),
            "both.sample": steered(**both),
        }

    return net, inputs, forward


def skips_of(unet: UNet2DConditionModel, inputs: dict) -> list[torch.Tensor]:
    """Of the shapes that a ControlNet's residuals have, the mid block's last."""
    found = []
    hooks = [unet.conv_in.register_forward_hook(lambda _, __, out: found.append(out))]
    hooks += [block.register_forward_hook(lambda _, __, out: found.extend(out[1])) for block in unet.down_blocks]
    hooks += [unet.mid_block.register_forward_hook(lambda _, __, out: found.append(out))]
    added = {"text_embeds": inputs["pooled"], "time_ids": inputs["time_ids"]} if "pooled" in inputs else None
    unet(inputs["sample"], inputs["timestep"], encoder_hidden_states=inputs["context"], added_cond_kwargs=added)
    for hook in hooks:
        hook.remove()
    return found


def key_names() -> dict[str, dict[str, str]]:
    """diffusers' name of each key of the original code's layout, as diffusers' own converter sees it."""
    from diffusers.loaders.single_file_utils import convert_controlnet_checkpoint
    from layouts import ldm

    names = {}
    for family in ("sd1", "sdxl"):
        module = ControlNetModel.from_unet(small_unet(family), conditioning_embedding_out_channels=(2, 2, 2, 2))
        theirs = ldm.prefixed("control_model.", ldm.controlnet(module))
        numbers, keys = numbered(theirs)
        converted = convert_controlnet_checkpoint(dict(numbers), dict(module.config))
        names[family] = {keys[int(number)].removeprefix("control_model."): key for key, number in converted.items()}
    return names


def make(out: pathlib.Path) -> None:
    (out / "ldm_keys.json").write_text(json.dumps(key_names(), indent=0, sort_keys=True) + "\n")
    for name, (unet, config) in CONTROLNET.items():
        networks.make_one(name, controlnet, {"unet": unet, **config}, out, {"fp32": torch.float32})
    for name, (unet, shape, config) in ADAPTER.items():
        networks.make_one(name, adapter, {"unet": unet, "shape": shape, **config}, out, {"fp32": torch.float32})
    of = {name: row[0] for name, row in (CONTROLNET | ADAPTER).items() if row[0]}
    (out / "unets.json").write_text(json.dumps(of, indent=1) + "\n")
