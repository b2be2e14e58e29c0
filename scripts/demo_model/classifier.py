"""A noise-aware classifier over latents, for classifier guidance (Dhariwal & Nichol 2021).

It is the way down of a U-Net: a convolution, DownBlock2Ds without attention that are told the timestep, the mean over
space and a linear head. Its input is x_t of the variance-preserving process, so a sampler that works in sigmas has to
divide by sqrt(sigma^2 + 1) first.
"""

import json
import pathlib

import torch
from diffusers.models.embeddings import TimestepEmbedding, Timesteps
from diffusers.models.unets.unet_2d_blocks import DownBlock2D
from safetensors.torch import load_file, save_file
from torch import nn

CONFIG = "config.json"
WEIGHTS = "diffusion_pytorch_model.safetensors"


class LatentClassifier(nn.Module):
    """Logits [B, classes] of noised latents [B, in_channels, H, W] at timesteps [B] (0 to 999)."""

    def __init__(
        self,
        *,
        in_channels: int = 4,
        block_out_channels: list[int] | tuple[int, ...] = (32, 64),
        layers_per_block: int = 1,
        norm_num_groups: int = 8,
        norm_eps: float = 1e-5,
        act_fn: str = "silu",
        flip_sin_to_cos: bool = True,
        freq_shift: float = 0,
        classes: list[str] | tuple[str, ...] = ("day", "sunset", "night", "cosmic"),
    ):
        super().__init__()
        self.config = {
            "_class_name": type(self).__name__,
            "in_channels": in_channels,
            "block_out_channels": list(block_out_channels),
            "layers_per_block": layers_per_block,
            "norm_num_groups": norm_num_groups,
            "norm_eps": norm_eps,
            "act_fn": act_fn,
            "flip_sin_to_cos": flip_sin_to_cos,
            "freq_shift": freq_shift,
            "classes": list(classes),
        }
        first, last = block_out_channels[0], block_out_channels[-1]
        self.conv_in = nn.Conv2d(in_channels, first, 3, padding=1)
        self.time_proj = Timesteps(first, flip_sin_to_cos, freq_shift)
        self.time_embedding = TimestepEmbedding(first, 4 * first, act_fn=act_fn)
        self.down_blocks = nn.ModuleList(
            DownBlock2D(
                in_channels=before,
                out_channels=width,
                temb_channels=4 * first,
                num_layers=layers_per_block,
                resnet_eps=norm_eps,
                resnet_groups=norm_num_groups,
                resnet_act_fn=act_fn,
                add_downsample=i < len(block_out_channels) - 1,
                downsample_padding=1,
            )
            for i, (before, width) in enumerate(zip((first, *block_out_channels), block_out_channels, strict=False))
        )
        self.norm_out = nn.GroupNorm(norm_num_groups, last, eps=norm_eps)
        self.act = nn.SiLU()
        self.head = nn.Linear(last, len(classes))

    def forward(self, x: torch.Tensor, timestep: torch.Tensor) -> torch.Tensor:
        embedding = self.time_embedding(self.time_proj(timestep).to(x.dtype))
        x = self.conv_in(x)
        for block in self.down_blocks:
            x = block(x, embedding)[0]
        return self.head(self.act(self.norm_out(x)).mean((2, 3)))

    def save_pretrained(self, folder: pathlib.Path):
        """Writes config.json and the weights as fp16."""
        folder.mkdir(parents=True, exist_ok=True)
        (folder / CONFIG).write_text(json.dumps(self.config, indent=2) + "\n", encoding="utf-8")
        weights = {name: value.detach().half().contiguous() for name, value in self.state_dict().items()}
        save_file(weights, folder / WEIGHTS, metadata={"format": "pt"})

    @classmethod
    def from_pretrained(cls, folder: pathlib.Path) -> "LatentClassifier":
        """What `save_pretrained` wrote, in float32."""
        config = json.loads((folder / CONFIG).read_text(encoding="utf-8"))
        config.pop("_class_name")
        network = cls(**config)
        network.load_state_dict({name: value.float() for name, value in load_file(folder / WEIGHTS).items()})
        return network.eval()
