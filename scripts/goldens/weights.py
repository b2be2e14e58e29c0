"""Safetensors files as the format's own library writes them, and the original code's key names as diffusers knows them."""

import json
import pathlib

import torch
from safetensors.torch import save_file

TYPES = {
    "F64": torch.float64,
    "F32": torch.float32,
    "F16": torch.float16,
    "BF16": torch.bfloat16,
    "F8_E4M3": torch.float8_e4m3fn,
    "F8_E5M2": torch.float8_e5m2,
    "C64": torch.complex64,
    "I64": torch.int64,
    "I32": torch.int32,
    "I16": torch.int16,
    "I8": torch.int8,
    "U64": torch.uint64,
    "U32": torch.uint32,
    "U16": torch.uint16,
    "U8": torch.uint8,
    "BOOL": torch.bool,
}


def make(out: pathlib.Path) -> None:
    numbers = torch.arange(6, dtype=torch.float64).reshape(2, 3)
    tensors = {name: numbers.to(kind).contiguous() for name, kind in TYPES.items()}
    tensors["scalar"] = torch.tensor(0.1)
    tensors["empty"] = torch.empty(0, 4)
    save_file(tensors, out / "types.safetensors", metadata={"note": "0…5 in every type"})
    make_key_names(out)


def small_unet(family: str):
    """The published arrangement of blocks, as narrow as it gets."""
    from diffusers import UNet2DConditionModel

    if family == "sdxl":
        return UNet2DConditionModel(
            block_out_channels=(2, 4, 8), norm_num_groups=2, cross_attention_dim=4, attention_head_dim=2,
            down_block_types=("DownBlock2D", "CrossAttnDownBlock2D", "CrossAttnDownBlock2D"),
            up_block_types=("CrossAttnUpBlock2D", "CrossAttnUpBlock2D", "UpBlock2D"),
            transformer_layers_per_block=[1, 2, 10], use_linear_projection=True, addition_embed_type="text_time",
            addition_time_embed_dim=2, projection_class_embeddings_input_dim=16)
    return UNet2DConditionModel(block_out_channels=(2, 4, 8, 8), norm_num_groups=2, cross_attention_dim=4,
                                attention_head_dim=2)


def numbered(tensors: dict[str, torch.Tensor], dims: int = 1) -> tuple[dict[str, torch.Tensor], list[str]]:
    """Each tensor replaced by its number in the list of keys."""
    keys = sorted(tensors)
    return {key: torch.full((1,) * dims, i, dtype=torch.int64) for i, key in enumerate(keys)}, keys


def key_names() -> dict[str, dict[str, str]]:
    """diffusers' name of each key of the original code's layout, as diffusers' own converter sees it."""
    from layouts import ldm
    from diffusers import AutoencoderKL
    from diffusers.loaders.single_file_utils import convert_ldm_unet_checkpoint, convert_ldm_vae_checkpoint

    names = {}
    for family in ("sd1", "sdxl"):
        module = small_unet(family)
        numbers, keys = numbered(ldm.prefixed("model.diffusion_model.", ldm.unet(module)))
        converted = convert_ldm_unet_checkpoint(dict(numbers), dict(module.config))
        names[f"unet_{family}"] = {
            keys[int(number)].removeprefix("model.diffusion_model."): key for key, number in converted.items()}
    vae = AutoencoderKL(block_out_channels=(2, 4, 8, 8), layers_per_block=2, norm_num_groups=2,
                        down_block_types=("DownEncoderBlock2D",) * 4, up_block_types=("UpDecoderBlock2D",) * 4)
    numbers, keys = numbered(ldm.prefixed("first_stage_model.", ldm.vae(vae)), dims=4)
    converted = convert_ldm_vae_checkpoint(dict(numbers), dict(vae.config))
    names["vae"] = {
        keys[int(number.flatten()[0])].removeprefix("first_stage_model."): key for key, number in converted.items()}
    return names


def open_clip() -> dict[str, torch.Tensor]:
    """An OpenCLIP text encoder under `theirs.`, and what diffusers' converter makes of it under `ours.`."""
    from layouts import ldm
    from diffusers.loaders.single_file_utils import convert_open_clip_checkpoint
    from transformers import CLIPTextConfig, CLIPTextModelWithProjection

    torch.manual_seed(3)
    model = CLIPTextModelWithProjection(CLIPTextConfig(
        vocab_size=7, hidden_size=4, intermediate_size=6, num_hidden_layers=2, num_attention_heads=2,
        max_position_embeddings=5, projection_dim=3))
    theirs = ldm.open_clip(model)
    converted = convert_open_clip_checkpoint(model, ldm.prefixed("x.", theirs), prefix="x.")
    ours = {key.removeprefix("text_model."): tensor for key, tensor in converted.items() if "position_ids" not in key}
    tensors = ldm.prefixed("theirs.", theirs) | ldm.prefixed("ours.", ours)
    return {key: tensor.contiguous() for key, tensor in tensors.items()}


def make_key_names(out: pathlib.Path) -> None:
    (out / "ldm_keys.json").write_text(json.dumps(key_names(), indent=0, sort_keys=True) + "\n")
    save_file(open_clip(), out / "open_clip.safetensors")
