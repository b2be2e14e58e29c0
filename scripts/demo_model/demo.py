"""The built-in model's own networks, frozen, and pictures with their latents and edges: what the extras are trained on."""

import dataclasses
import pathlib
import random

import numpy
import torch
from diffusers import AutoencoderKL, UNet2DConditionModel
from transformers import CLIPTextModel

from demo_model.edges import canny
from demo_model.optimiser import save_checkpoint
from demo_model.render import SIZE, render
from demo_model.scenes import Scene, any_scene, training_scene
from demo_model.tokenizer import Encoder
from demo_model.train_vae import to_unit

SHARD = 1000


class Demo:
    """The networks of a diffusers folder, in bf16 and without gradients of their own."""

    def __init__(self, folder: pathlib.Path, device: torch.device):
        self.folder, self.device = folder, device
        place = {"torch_dtype": torch.bfloat16}
        self.vae = AutoencoderKL.from_pretrained(folder / "vae", **place).to(device).requires_grad_(False)
        self.unet = UNet2DConditionModel.from_pretrained(folder / "unet", **place).to(device).requires_grad_(False)
        self.text = CLIPTextModel.from_pretrained(folder / "text_encoder", dtype=torch.bfloat16).to(device).requires_grad_(False)
        self.ids = Encoder(folder / "tokenizer")

    @torch.no_grad()
    def latents(self, pictures: numpy.ndarray) -> torch.Tensor:
        """uint8 [B, H, W, 3] to the posterior's mean, scaled as the U-Net wants it, [B, 4, H/8, W/8]."""
        x = to_unit(pictures, self.device).to(torch.bfloat16)
        return self.vae.quant_conv(self.vae.encoder(x)).float()[:, :4] * self.vae.config.scaling_factor

    @torch.no_grad()
    def context(self, captions: list[str]) -> torch.Tensor:
        """The text encoder's last states, [B, 77, 128]."""
        ids = torch.tensor([self.ids(caption) for caption in captions], device=self.device)
        return self.text(ids).last_hidden_state


@dataclasses.dataclass
class Pictures:
    scenes: list[Scene]
    latents: torch.Tensor  # [N, 4, 16, 16], scaled
    edges: torch.Tensor  # bits of the pictures' edges, uint8 [N, 128, 16]


def unpacked(edges: torch.Tensor) -> torch.Tensor:
    """Edges in {0, 1}, float [B, 3, 128, 128], as a ControlNet is given them."""
    bits = torch.from_numpy(numpy.unpackbits(edges.numpy(), axis=-1)).float()
    return bits[:, None].expand(-1, 3, -1, -1)


def pictures(demo: Demo, work: pathlib.Path, count: int, log, *, unseen: bool = False) -> Pictures:
    """Of training's scenes, or of any where training's are not meant. Kept in WORK in shards of 1000."""
    name = "unseen" if unseen else "pictures"
    scenes, latents, edges = [], [], []
    for shard in range((count + SHARD - 1) // SHARD):
        rng = random.Random(f"extras {name} {shard}")
        mine = [(any_scene if unseen else training_scene)(rng) for _ in range(SHARD)]
        path = work / f"{name}-{shard:03}.pt"
        if not path.exists():
            parts = {"latents": [], "edges": []}
            for i in range(0, SHARD, 25):
                drawn = numpy.stack([render(scene) for scene in mine[i : i + 25]])
                parts["latents"].append(demo.latents(drawn).cpu())
                parts["edges"].append(torch.from_numpy(numpy.packbits(numpy.stack([canny(p) for p in drawn]), axis=-1)))
            save_checkpoint(path, {key: torch.cat(value) for key, value in parts.items()})
            log(f"pictures: {name} {SHARD * (shard + 1)}")
        state = torch.load(path, weights_only=True)
        assert state["edges"].shape == (SHARD, SIZE, SIZE // 8)
        scenes += mine
        latents.append(state["latents"])
        edges.append(state["edges"])
    return Pictures(scenes[:count], torch.cat(latents)[:count], torch.cat(edges)[:count])
