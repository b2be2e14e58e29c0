"""An extra: a ControlNet (Zhang et al. 2023) that draws along edges, for the built-in model.

It begins as the U-Net's own way down, without the attention in the middle, and learns on rendered scenes and their
Canny edges with the U-Net frozen. Half of the prompts are empty, so that edges alone tell what is there.
"""

import pathlib
import random
import time

import torch
from diffusers import ControlNetModel
from diffusers.models.attention_processor import AttnProcessor

from demo_model.captions import caption
from demo_model.demo import Demo, Pictures, pictures, unpacked
from demo_model.networks import CONTEXT, count
from demo_model.optimiser import Optimiser, learning_rate, save_checkpoint
from demo_model.render import SIZE
from demo_model.train_classifier import noised, spread_timesteps
from demo_model.train_unet import STEPS, alpha_bar, load_average

PEAK = 8e-4
EMPTY = 0.5  # of the prompts
TORN = 0.3  # of the edges have a hole, so that unfinished drawings work, too
SILU_GAIN = 1.68  # 1 / sqrt(E[silu(x)^2]) of a standard normal x
LIMIT = 4_000_000  # bytes of the weights


def make_controlnet(demo: Demo) -> ControlNetModel:
    """With what of the U-Net's weights it shares; its outputs are zero."""
    shape = demo.unet.config
    network = ControlNetModel(
        in_channels=shape.in_channels,
        block_out_channels=shape.block_out_channels,
        layers_per_block=shape.layers_per_block,
        down_block_types=shape.down_block_types,
        mid_block_type="UNetMidBlock2D",
        attention_head_dim=shape.attention_head_dim,
        cross_attention_dim=CONTEXT,
        norm_num_groups=shape.norm_num_groups,
        conditioning_embedding_out_channels=(8, 16, 48, 96),
    )
    own = network.state_dict()
    shared = {name: value.float() for name, value in demo.unet.state_dict().items() if name in own}
    network.load_state_dict(shared, strict=False)
    keep_variance(network.controlnet_cond_embedding)
    return network


def keep_variance(embedding: torch.nn.Module):
    """He's initialisation (2015) for SiLU. Under PyTorch's own, seven layers leave two ten-thousandths of the edges,
    and training sees nothing of them for a long time."""
    for layer in (embedding.conv_in, *embedding.blocks):
        torch.nn.init.normal_(layer.weight, std=SILU_GAIN * layer.weight[0].numel() ** -0.5)
        torch.nn.init.zeros_(layer.bias)


def tear(edges: torch.Tensor, rng: random.Random):
    """Rubs out a rectangle of some of the pictures, [B, 3, H, W], in place."""
    for picture in edges:
        if rng.random() < TORN:
            x, y = rng.randrange(-16, SIZE - 16), rng.randrange(-16, SIZE - 16)
            width, height = rng.randrange(24, SIZE // 2), rng.randrange(24, SIZE // 2)
            picture[:, max(0, y) : y + height, max(0, x) : x + width] = 0


def high_timesteps(batch: int) -> torch.Tensor:
    """As `spread_timesteps`, with a density that grows with t: where shapes are decided, edges tell most."""
    return (STEPS * (spread_timesteps(batch) / STEPS).sqrt()).long()


class Steered:
    """The frozen U-Net with the ControlNet's states added. Not compiled: then most of them got no gradient."""

    def __init__(self, demo: Demo, network: ControlNetModel):
        self.network, self.unet = network, demo.unet
        for part in (self.network, self.unet):
            part.set_attn_processor(AttnProcessor())

    def __call__(self, x: torch.Tensor, t: torch.Tensor, context: torch.Tensor, edges: torch.Tensor) -> torch.Tensor:
        down, mid = self.network(x.bfloat16(), t, context, edges.bfloat16(), return_dict=False)
        added = {"down_block_additional_residuals": down, "mid_block_additional_residual": mid}
        return self.unet(x.bfloat16(), t, context, return_dict=False, **added)[0].float()


def noised_with_v(x0: torch.Tensor, t: torch.Tensor, alphas: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    x, noise = noised(x0, t, alphas)
    a = alphas[t].view(-1, 1, 1, 1)
    return x, a.sqrt() * noise - (1 - a).sqrt() * x0


@torch.no_grad()
def validation(demo: Demo, steered: Steered, seen: Pictures, batch: int) -> tuple[float, float]:
    """The error of v on unseen scenes with edges, and without: the same noise and captions for both."""
    torch.manual_seed(31)
    rng = random.Random("edges validation")
    alphas = alpha_bar().to(demo.device)
    errors = []
    for i in range(0, 256, batch):
        x0, edges = seen.latents[i : i + batch].to(demo.device), unpacked(seen.edges[i : i + batch]).to(demo.device)
        t = spread_timesteps(batch).to(demo.device)
        x, v = noised_with_v(x0, t, alphas)
        context = demo.context([caption(scene, rng) for scene in seen.scenes[i : i + batch]])
        plain = demo.unet(x.bfloat16(), t, context, return_dict=False)[0].float()
        errors.append([(y - v).square().mean().item() for y in (steered(x, t, context, edges), plain)])
    return tuple(torch.tensor(errors).mean(0).tolist())


def train_edges(demo: Demo, work: pathlib.Path, output: pathlib.Path, *, samples: int, picture_count: int, batch: int, log):
    """Trains to the given number of noised latents, resuming from WORK/edges.pt, and writes OUTPUT."""
    data, unseen = pictures(demo, work, picture_count, log), pictures(demo, work, 1000, log, unseen=True)
    torch.manual_seed(19)
    network = make_controlnet(demo).to(demo.device).to(torch.bfloat16).train()
    optimiser = Optimiser([network], weight_decay=0.01, ema_decay=0.998)
    path = work / "edges.pt"
    optimiser.begin(path, helper=False, log=lambda line: log(f"edges: {line}"))
    steered = Steered(demo, network)
    alphas = alpha_bar().to(demo.device)
    snr = alphas / (1 - alphas)
    weight = (snr.clamp(max=5) + 1) / (snr + 1)
    steps = samples // batch
    began = saved = time.time()
    total = 0.0
    while optimiser.steps < steps:
        step = optimiser.steps
        rng = random.Random(f"edges {step}")
        torch.manual_seed(rng.getrandbits(40))
        picks = [rng.randrange(len(data.scenes)) for _ in range(batch)]
        context = demo.context(["" if rng.random() < EMPTY else caption(data.scenes[i], rng) for i in picks])
        edges = unpacked(data.edges[picks]).clone()
        tear(edges, rng)
        x0 = data.latents[picks].to(demo.device)
        t = high_timesteps(batch).to(demo.device)
        x, v = noised_with_v(x0, t, alphas)
        error = (steered(x, t, context, edges.to(demo.device)) - v).square().mean((1, 2, 3))
        (error * weight[t]).mean().backward()
        optimiser.step(learning_rate(step, steps, peak=PEAK, warm_up=100, hold=0.4))
        total += error.mean().item() / 100
        if (step + 1) % 100 == 0:
            log(f"edges: {step + 1}/{steps} {time.time() - began:.0f} s v {total:.4f}")
            total = 0.0
        if time.time() - saved > 120:
            save_checkpoint(path, optimiser.state())
            saved = time.time()
    save_checkpoint(path, optimiser.state())
    load_average(network, optimiser.state())
    with_edges, without = validation(demo, steered, unseen, batch)
    network.half().save_pretrained(output)
    size = sum(file.stat().st_size for file in output.iterdir())
    log(f"edges: {output}, {count(network)} parameters, {size} bytes; v of unseen scenes {with_edges:.4f}, {without:.4f} without")
    if size > LIMIT:
        raise SystemExit(f"{output}: {size} bytes, more than {LIMIT}")
