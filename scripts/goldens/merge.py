"""Merges of models, by torch's arithmetic in fp32: the tiny models of the areas pipeline and families as A; B and C are
made of A by operations that every IEEE machine rounds alike, so that the test makes them, too, and no model is stored
twice. Of each merge one tensor a block is kept, and all that are outside the U-Net of one kind."""

import json
import pathlib
import random

import torch
from safetensors.torch import load_file, save_file

GOLDEN = pathlib.Path(__file__).resolve().parents[2] / "tests" / "golden"
MODELS = {"sd1": GOLDEN / "pipeline/models/sd1", "xl": GOLDEN / "families/models/xl"}
INS = {"sd1": 12, "xl": 9}
STEMS = {"unet": "diffusion_pytorch_model", "vae": "diffusion_pytorch_model"}


def load_model(name: str) -> dict[str, dict[str, torch.Tensor]]:
    folders = [path for path in sorted(MODELS[name].iterdir()) if (path / "config.json").exists()]
    return {path.name: load_file(path / (STEMS.get(path.name, "model") + ".safetensors")) for path in folders}


def other(tensor: torch.Tensor, scale: float, shift: float) -> torch.Tensor:
    """Scales are powers of two: one rounding, of the sum."""
    return tensor.float().flip(list(range(tensor.dim()))) * scale + shift


def block_of(component: str, key: str, config: dict) -> str:
    """The name that the merging tools give it, told by the order in which blocks run."""
    if component != "unet":
        return "base"
    per_level = config["layers_per_block"]
    parts = key.split(".")
    if parts[0] in ("time_embedding", "add_embedding", "conv_in"):
        return "in00"
    if parts[0] in ("conv_norm_out", "conv_out"):
        return "last"
    if parts[0] == "mid_block":
        return "mid"
    level = int(parts[1])
    if parts[0] == "down_blocks":
        first = 1 + level * (per_level + 1)
        return f"in{first + (per_level if parts[2] == 'downsamplers' else int(parts[3])):02}"
    first = level * (per_level + 1)
    return f"out{first + (per_level if parts[2] == 'upsamplers' else int(parts[3])):02}"


def merge(a, b, c, w: float) -> torch.Tensor:
    merged = a.float() + (b - c) * w if c is not None else (1 - w) * a.float() + w * b
    return merged.to(a.dtype)


def merged_model(name: str, weight, difference: bool) -> dict[str, torch.Tensor]:
    """One tensor a block, and every vector outside the U-Net."""
    config = json.loads((MODELS[name] / "unet/config.json").read_text())
    kept, seen = {}, set()
    for component, tensors in load_model(name).items():
        for key, a in sorted(tensors.items()):
            if not a.is_floating_point():
                continue
            block = block_of(component, key, config)
            small = a.numel() <= 64
            if component == "unet" and (block in seen or not small):
                continue
            if component != "unet" and not small:
                continue
            seen.add(block)
            c = other(a, -0.25, 0.0625) if difference else None
            kept[f"{component}/{key}"] = merge(a, other(a, 0.5, 0.125), c, weight(component, block))
    return kept


def make(out: pathlib.Path) -> None:
    out.mkdir(parents=True, exist_ok=True)
    cases = {}

    def case(label: str, model: str, text: str, weight, difference: bool = False) -> None:
        cases[label] = {"model": model, "weights": text, "difference": difference}
        save_file(merged_model(model, weight, difference), out / f"{label}.safetensors")

    case("sum", "sd1", "0.3", lambda component, block: 0.3)
    case("difference", "sd1", "0.7", lambda component, block: 0.7, difference=True)
    for label, model, base, vae in (("blocks", "sd1", True, False), ("blocks_only", "sd1", False, False),
                                    ("blocks_xl", "xl", True, False), ("blocks_xl_vae", "xl", True, True)):
        numbers = random.Random(label)
        ins = [f"in{i:02}" for i in range(INS[model])]
        outs = [f"out{i:02}" for i in range(INS[model])]
        names = (["base"] if base else []) + ins + ["mid"] + outs + (["vae"] if vae else [])
        weights = {name: round(numbers.uniform(-0.2, 1.2), 2) for name in names}
        weights["last"] = weights[outs[-1]]

        def weight(component: str, block: str, weights=weights) -> float:
            return weights[component] if component in weights else weights.get(block, 0.0)

        case(label, model, ",".join(str(weights[name]) for name in names), weight)
    named = {"in01": 0.9, "mid": 1.0, "out00": 0.0, "text_encoder": 0.5, "vae": 0.0}
    case("named", "sd1", "0.1,in01=0.9,MID=1,out0=0,te=0.5,vae=0",
         lambda component, block: named.get(component, named.get(block, 0.1)))
    (out / "cases.json").write_text(json.dumps(cases, indent=1) + "\n")
