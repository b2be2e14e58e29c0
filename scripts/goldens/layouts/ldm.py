"""diffusers' tensors under the names of the original latent-diffusion code, as its checkpoints have them."""

import torch

RESIDUAL = {
    "norm1": "in_layers.0", "conv1": "in_layers.2", "time_emb_proj": "emb_layers.1", "norm2": "out_layers.0",
    "conv2": "out_layers.3", "conv_shortcut": "skip_connection",
}
UNET = {
    "time_embedding.linear_1": "time_embed.0", "time_embedding.linear_2": "time_embed.2", "conv_in": "input_blocks.0.0",
    "conv_norm_out": "out.0", "conv_out": "out.2", "add_embedding.linear_1": "label_emb.0.0",
    "add_embedding.linear_2": "label_emb.0.2",
}


def unet(module) -> dict[str, torch.Tensor]:
    layers = module.config.layers_per_block
    out = {}
    for key, tensor in module.state_dict().items():
        parts = key.split(".")
        if parts[0] in ("down_blocks", "up_blocks"):
            level, kind, index, rest = int(parts[1]), parts[2], int(parts[3]), parts[4:]
            down = parts[0] == "down_blocks"
            block = level * (layers + 1) + index + (1 if down else 0)
            start = f"{'input_blocks' if down else 'output_blocks'}.{block}"
            if kind == "resnets":
                name = f"{start}.0.{RESIDUAL[rest[0]]}.{rest[1]}"
            elif kind == "attentions":
                name = f"{start}.1.{'.'.join(rest)}"
            elif kind == "downsamplers":
                name = f"input_blocks.{(level + 1) * (layers + 1)}.0.op.{rest[-1]}"
            else:
                attends = hasattr(module.up_blocks[level], "attentions")
                name = f"output_blocks.{(level + 1) * (layers + 1) - 1}.{2 if attends else 1}.conv.{rest[-1]}"
        elif parts[0] == "mid_block":
            if parts[1] == "attentions":
                name = "middle_block.1." + ".".join(parts[3:])
            else:
                name = f"middle_block.{2 * int(parts[2])}.{RESIDUAL[parts[3]]}.{parts[4]}"
        else:
            stem, leaf = key.rsplit(".", 1)
            name = f"{UNET.get(stem, stem)}.{leaf}"
        assert name not in out
        out[name] = tensor
    return out


def controlnet(module) -> dict[str, torch.Tensor]:
    """Its way down is a U-Net's; activations stand between the picture's convolutions."""
    out = {}
    blocks = len(module.controlnet_cond_embedding.blocks)
    for key, tensor in unet(module).items():
        stem, leaf = key.rsplit(".", 1)
        start, number = stem.rsplit(".", 1) if "." in stem else (stem, "")
        stem = {
            "controlnet_cond_embedding.blocks": f"input_hint_block.{2 * int(number) + 2 if number.isdigit() else 0}",
            "controlnet_down_blocks": f"zero_convs.{number}.0",
        }.get(start, stem)
        stem = {
            "controlnet_cond_embedding.conv_in": "input_hint_block.0",
            "controlnet_cond_embedding.conv_out": f"input_hint_block.{2 * blocks + 2}",
            "controlnet_mid_block": "middle_block_out.0",
        }.get(stem, stem)
        out[f"{stem}.{leaf}"] = tensor
    return out


def vae(module) -> dict[str, torch.Tensor]:
    count = len(module.config.block_out_channels)
    middle = {
        "resnets.0": "block_1", "resnets.1": "block_2", "attentions.0.group_norm": "attn_1.norm",
        "attentions.0.to_q": "attn_1.q", "attentions.0.to_k": "attn_1.k", "attentions.0.to_v": "attn_1.v",
        "attentions.0.to_out.0": "attn_1.proj_out",
    }
    out = {}
    for key, tensor in module.state_dict().items():
        name = key.replace("conv_norm_out", "norm_out").replace("conv_shortcut", "nin_shortcut")
        parts = name.split(".")
        if parts[1:2] == ["down_blocks"] or parts[1:2] == ["up_blocks"]:
            down = parts[1] == "down_blocks"
            level = int(parts[2]) if down else count - 1 - int(parts[2])
            start = f"{parts[0]}.{'down' if down else 'up'}.{level}"
            if parts[3] == "resnets":
                name = f"{start}.block.{parts[4]}.{'.'.join(parts[5:])}"
            else:
                name = f"{start}.{'downsample' if down else 'upsample'}.{'.'.join(parts[5:])}"
        elif parts[1:2] == ["mid_block"]:
            inner = ".".join(parts[2:])
            for ours, theirs in middle.items():
                if inner.startswith(ours + "."):
                    inner = theirs + inner[len(ours):]
                    break
            if "attn_1" in inner and tensor.dim() == 2:
                tensor = tensor[:, :, None, None]
            name = f"{parts[0]}.mid.{inner}"
        assert name not in out
        out[name] = tensor
    return out


def bare(module) -> dict[str, torch.Tensor]:
    """A text encoder's tensors without `text_model.`, which older transformers write."""
    return {key.removeprefix("text_model."): tensor for key, tensor in module.state_dict().items()
            if not key.endswith("position_ids")}


def clip(module) -> dict[str, torch.Tensor]:
    return {f"transformer.text_model.{key}": tensor for key, tensor in bare(module).items() if key != "text_projection.weight"}


def open_clip(module, unused_layer: bool = False, projection: torch.Tensor | None = None) -> dict[str, torch.Tensor]:
    """unused_layer: one more layer, as SD 2.x's files have it. projection: OpenCLIP's own, [in, out]."""
    tensors = bare(module)
    names = {
        "embeddings.token_embedding.weight": "token_embedding.weight",
        "embeddings.position_embedding.weight": "positional_embedding",
        "final_layer_norm.weight": "ln_final.weight", "final_layer_norm.bias": "ln_final.bias",
    }
    inside = {"layer_norm1": "ln_1", "layer_norm2": "ln_2", "self_attn.out_proj": "attn.out_proj", "mlp.fc1": "mlp.c_fc",
              "mlp.fc2": "mlp.c_proj"}
    out = {names[key]: tensors[key] for key in names}
    layers = module.config.num_hidden_layers
    for i in range(layers + unused_layer):
        source, start = f"encoder.layers.{min(i, layers - 1)}", f"transformer.resblocks.{i}"
        for leaf in ("weight", "bias"):
            for ours, theirs in inside.items():
                out[f"{start}.{theirs}.{leaf}"] = tensors[f"{source}.{ours}.{leaf}"] + (i == layers)
            joined = torch.cat([tensors[f"{source}.self_attn.{part}_proj.{leaf}"] for part in "qkv"])
            out[f"{start}.attn.in_proj_{leaf}"] = joined + (i == layers)
    if "text_projection.weight" in tensors:
        projection = tensors["text_projection.weight"].T
    if projection is not None:
        out["text_projection"] = projection
        out["logit_scale"] = torch.tensor(4.6)
    return out


def prefixed(prefix: str, tensors: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    return {prefix + key: tensor.contiguous().clone() for key, tensor in tensors.items()}


def whole(pipe, family: str) -> dict[str, torch.Tensor]:
    """A pipeline's networks as one checkpoint. family: sd1, sd2, sdxl, sdxl_refiner."""
    out = prefixed("model.diffusion_model.", unet(pipe.unet)) | prefixed("first_stage_model.", vae(pipe.vae))
    if family == "sd1":
        out |= prefixed("cond_stage_model.", clip(pipe.text_encoder))
        positions = pipe.text_encoder.config.max_position_embeddings
        out["cond_stage_model.transformer.text_model.embeddings.position_ids"] = torch.arange(positions)[None]
    elif family == "sd2":
        width = pipe.text_encoder.config.hidden_size
        out |= prefixed("cond_stage_model.model.", open_clip(pipe.text_encoder, True, torch.ones(width, width)))
    elif family == "sdxl":
        out |= prefixed("conditioner.embedders.0.", clip(pipe.text_encoder))
        out |= prefixed("conditioner.embedders.1.model.", open_clip(pipe.text_encoder_2))
    else:
        out |= prefixed("conditioner.embedders.0.model.", open_clip(pipe.text_encoder_2))
    return out
