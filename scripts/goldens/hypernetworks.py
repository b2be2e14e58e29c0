"""Hypernetworks as A1111 saves them (its hypernetwork.py tells how: a dict of pairs of state dicts by width, the layers
numbered as torch.nn.Sequential numbers them), and what they make of a tensor, by torch's own modules in float64; and what
diffusers draws where each attention layer's keys and values are made of x + w f(x). The tiny models of the areas pipeline
and families."""

import inspect
import json
import pathlib

import image_to_image
import pipeline
import torch
from diffusers import StableDiffusionPipeline, StableDiffusionXLPipeline
from diffusers.models.attention_processor import AttnProcessor2_0
from guidance import Pipes, generators, with_sampler
from safetensors.torch import save_file
from torch import nn

# A1111's own names, and torch's in lower case.
OWN = {"linear": nn.Identity, "relu": nn.ReLU, "leakyrelu": nn.LeakyReLU, "elu": nn.ELU, "swish": nn.Hardswish,
       "tanh": nn.Tanh, "sigmoid": nn.Sigmoid}
IMPOSSIBLE = {"threshold", "glu", "multiheadattention"}  # need arguments, or change the width
TORCHS = {name.lower(): kind for name, kind in inspect.getmembers(nn.modules.activation, inspect.isclass)
          if kind.__module__ == "torch.nn.modules.activation" and name.lower() not in IMPOSSIBLE}
ACTIVATIONS = OWN | TORCHS

ROWS, TOKENS = 2, 3  # of one picture
NUMBERED = {"linear": ("weight", "bias"), "norm": ("weight", "bias"), "PReLU": ("weight",)}


def network(width: int, structure: list[float], activation: str | None, norm: bool, activates_output: bool,
            dropout: list[bool]) -> nn.Sequential:
    layers: list[nn.Module] = []
    for i, (a, b) in enumerate(zip(structure, structure[1:])):
        last = i == len(structure) - 2
        layers.append(nn.Linear(int(width * a), int(width * b)))
        if activation not in (None, "linear") and (activates_output or not last):
            layers.append(ACTIVATIONS[activation]())
        if norm:
            layers.append(nn.LayerNorm(int(width * b)))
        if dropout[i]:
            layers.append(nn.Dropout(0.3))
    made = nn.Sequential(*layers)
    for parameter in made.parameters():
        parameter.copy_(torch.randn(parameter.shape) * (0.4 if parameter.dim() > 1 else 0.2))
    return made.eval()


def pairs(widths: list[int], structure, activation=None, norm=False, activates_output=True, dropout=None) -> dict:
    dropout = dropout or [False] * (len(structure) - 1)
    return {width: tuple(network(width, structure, activation, norm, activates_output, dropout) for _ in range(2))
            for width in widths}


def saved(networks: dict, **values) -> dict:
    def state(one: nn.Sequential) -> dict:
        return {f"linear.{key}": tensor for key, tensor in one.state_dict().items()}

    return {width: (state(k), state(v)) for width, (k, v) in networks.items()} | values


def oldest(networks: dict) -> dict:
    """The first files: two layers by names of their own, and nothing else."""
    names = {"0.": "linear1.", "1.": "linear2."}
    return {width: tuple({names[key[:2]] + key[2:]: tensor for key, tensor in one.state_dict().items()} for one in both)
            for width, both in networks.items()}


def files() -> dict:
    """Name → (what torch.save is given, the networks)."""
    found = {}

    def add(name: str, networks: dict, data: dict) -> None:
        found[name] = (data, networks)

    for activation in ACTIVATIONS:
        networks = pairs([6], [1, 1], activation)
        add(f"activation-{activation}", networks,
            saved(networks, layer_structure=[1, 1], activation_func=activation, is_layer_norm=False, use_dropout=False,
                  activate_output=True, last_layer_dropout=False))
    plain = pairs([6, 10], [1, 2, 1])
    add("oldest", plain, oldest(plain))
    plain = pairs([6], [1, 2, 1])
    add("no-values", plain, saved(plain, step=20, name="no-values"))
    normed = pairs([6], [1, 2, 1.5, 1], "relu", True, False)
    add("normed", normed, saved(normed, layer_structure=[1, 2, 1.5, 1], activation_func="relu", is_layer_norm=True,
                                weight_initialization="Normal", use_dropout=False, activate_output=False,
                                last_layer_dropout=False))
    narrow = pairs([10], [1, 0.25, 1], "mish", True)
    add("narrow", narrow, saved(narrow, layer_structure=[1, 0.25, 1], activation_func="mish", is_layer_norm=True,
                                activate_output=True))
    for name, last in (("dropout", False), ("dropout-last", True)):
        for length in (3, 4, 5):
            structure = [1] + [2] * (length - 2) + [1]
            behind = [True] * (length - 3) + [last, False]
            networks = pairs([6], structure, "swish", True, True, behind)
            add(f"{name}-{length}", networks,
                saved(networks, layer_structure=structure, activation_func="swish", is_layer_norm=True, use_dropout=True,
                      activate_output=True, last_layer_dropout=last))
    structured = pairs([6], [1, 2, 1, 1], "prelu", False, True, [False, True, False])
    add("dropout-structure", structured,
        saved(structured, layer_structure=[1, 2, 1, 1], activation_func="prelu", is_layer_norm=None, use_dropout=True,
              activate_output=True, last_layer_dropout=True, dropout_structure=[0, 0, 0.15, 0], optional_info=None))
    # For pictures: 16 and 32 are the tiny U-Nets' widths, 24 the context's; SDXL's are 8, 12 and its own.
    for name, widths in (("sd", [16, 32, 24]), ("sd-context", [24]), ("xl", [8, 12, XL_CONTEXT])):
        networks = pairs(widths, [1, 1.25, 1], "softsign", False, True, [True, False])
        add(name, networks, saved(networks, layer_structure=[1, 1.25, 1], activation_func="softsign", is_layer_norm=False,
                                  activate_output=True, use_dropout=True, last_layer_dropout=True))
    mixing = pairs([24], [1, 1, 1], "softmax", False, False)
    add("mixing", mixing, saved(mixing, layer_structure=[1, 1, 1], activation_func="softmax", activate_output=False))
    return found


XL_CONTEXT = json.loads((image_to_image.GOLDEN / "families/models/xl/unet/config.json").read_text())["cross_attention_dim"]


class Hypered:
    """diffusers' attention, its keys and values made of what the networks give, one after the other."""

    def __init__(self, applied: list[tuple[dict, float]]) -> None:
        self.applied = applied

    def __call__(self, attn, hidden_states, encoder_hidden_states=None, **_):
        source = hidden_states if encoder_hidden_states is None else encoder_hidden_states
        keys, values = source, source
        for networks, weight in self.applied:
            if source.shape[-1] in networks:
                for_keys, for_values = networks[source.shape[-1]]
                keys, values = keys + weight * for_keys(keys), values + weight * for_values(values)
        heads = [attn.head_to_batch_dim(t) for t in (attn.to_q(hidden_states), attn.to_k(keys), attn.to_v(values))]
        scores = torch.softmax(heads[0] @ heads[1].transpose(1, 2) * attn.scale, -1)
        return attn.to_out[0](attn.batch_to_head_dim(scores @ heads[2]))


def cases() -> list[dict]:
    """Requests by the flags' long names; absent ones are sdtorch's defaults."""
    listed = []

    def add(model: str, hypernetwork: list[str], **request) -> None:
        listed.append(dict({"model": model, "prompt": pipeline.PROMPT, "hypernetwork": hypernetwork, "steps": 4,
                            "cfg-scale": 4, "seed": 17, "sampler": "ddim"},
                           **{key.replace("_", "-"): value for key, value in request.items()}))

    add("sd1", ["sd.pt"])
    add("sd1", ["sd.pt:0.4"], sampler="euler", batch_count=2)
    add("sd1", ["sd-context.pt:-0.7", "sd.pt:0.5"], negative_prompt=pipeline.NEGATIVE)
    add("sd1", ["sd.pt:0.5", "sd-context.pt:-0.7"], negative_prompt=pipeline.NEGATIVE)
    add("sd1", ["mixing.pt:0.8"], batch_count=2)
    add("sd2", ["sd.pt:0.6"])
    add("xl", ["xl.pt:0.8"], cfg_scale=1.5)
    return listed


def draw(pipes: Pipes, case: dict, made: dict) -> torch.Tensor:
    """Final latents; each picture alone: a batch must give the same."""
    pipe = with_sampler(pipes.get(StableDiffusionXLPipeline if case["model"] == "xl" else StableDiffusionPipeline,
                                  case["model"]), case)
    applied = []
    for said in case["hypernetwork"]:
        name, _, weight = said.partition(":")
        applied.append((made[name.removesuffix(".pt")][1], float(weight or 1)))
    pipe.unet.set_attn_processor(Hypered(applied))
    found = [pipe(prompt=case["prompt"], negative_prompt=case.get("negative-prompt"), num_inference_steps=case["steps"],
                  guidance_scale=float(case["cfg-scale"]), generator=generator, output_type="latent").images
             for generator in generators(case)]
    pipe.unet.set_attn_processor(AttnProcessor2_0())
    return torch.cat(found)


@torch.no_grad()
def make(out: pathlib.Path) -> None:
    torch.manual_seed(5)
    made = files()
    outputs = {f"input.{width}": torch.randn((ROWS, TOKENS, width)) for width in (6, 10)}
    for name, (data, networks) in made.items():
        torch.save(data, out / f"{name}.pt", _use_new_zipfile_serialization=name != "normed")
        for width, both in networks.items():
            if f"input.{width}" not in outputs:
                continue
            x = outputs[f"input.{width}"].double()
            for part, one in zip(("keys", "values"), both):
                exact = nn.Sequential(*one).double()
                outputs[f"{name}.{width}.{part}"] = (x + 0.75 * exact(x)).float()
                exact.float()
    save_file(outputs, out / "outputs.safetensors")
    pipes, tensors, listed = Pipes(), {}, cases()
    for number, case in enumerate(listed):
        latents = draw(pipes, case, made)
        assert latents.isfinite().all(), case
        kind = StableDiffusionXLPipeline if case["model"] == "xl" else StableDiffusionPipeline
        pixels = image_to_image.with_pixels(pipes.get(kind, case["model"]), latents)
        tensors[f"{number:03}.latent"], tensors[f"{number:03}.image"] = pixels
    save_file(tensors, out / "pictures.safetensors", metadata={"cases": json.dumps(listed)})
