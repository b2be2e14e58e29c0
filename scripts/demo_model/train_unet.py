"""The third stage: the U-Net, on cached latents of fresh pictures, with captions made anew at every step.

It predicts v (Salimans & Ho 2022, appendix D): at high noise, where a picture's sky and places are decided, that is
the picture itself. The loss is weighted by (min(SNR, 5) + 1) / (SNR + 1), which is Min-SNR-5 of the epsilon loss
(Hang et al. 2023) plus the weight that keeps high noise at 1.
"""

import os
import pathlib
import random
import time

import numpy
import torch
from diffusers.models.attention_processor import AttnProcessor

from demo_model.captions import caption
from demo_model.networks import make_unet, make_vae
from demo_model.optimiser import Optimiser, learning_rate, save_checkpoint
from demo_model.render import render
from demo_model.scenes import training_scene
from demo_model.tokenizer import Encoder
from demo_model.train_text import text_encoder_from
from demo_model.train_vae import to_unit

PEAK = 9e-4
DROPPED = 0.1  # captions replaced by the empty one, so that guidance has its unconditional model
BETAS = (0.00085, 0.012)
STEPS = 1000


def alpha_bar() -> torch.Tensor:
    """The scaled-linear schedule of latent diffusion (Rombach et al. 2021), [1000]."""
    return (1 - torch.linspace(BETAS[0] ** 0.5, BETAS[1] ** 0.5, STEPS, dtype=torch.float64) ** 2).cumprod(0).float()


def load_average(network: torch.nn.Module, state: dict) -> torch.nn.Module:
    with torch.no_grad():
        for p, value in zip(network.parameters(), state["average"], strict=True):
            p.copy_(value)
    return network.eval()


@torch.no_grad()
def cached_latents(
    work: pathlib.Path, pictures: int, device: torch.device, log, *, backwards: bool = False
) -> tuple[torch.Tensor, list]:
    """Latents [N, 4, 16, 16] of the posterior's mean, unscaled, and their scenes. Made in shards of 1000, kept in WORK.

    Two processes make half each where one of them begins at the end.
    """
    vae = None
    latents, scenes = {}, {}
    shards = range((pictures + 999) // 1000)
    for shard in reversed(shards) if backwards else shards:
        rng = random.Random(f"latents {shard}")
        mine = [training_scene(rng) for _ in range(1000)]
        path = work / f"latents-{shard:03}.pt"
        if not path.exists():
            if vae is None:
                state = torch.load(work / "vae.pt", map_location="cpu", weights_only=True)
                vae = load_average(make_vae(), state).to(device).to(torch.bfloat16)
            parts = []
            for i in range(0, 1000, 25):
                x = to_unit(numpy.stack([render(scene) for scene in mine[i : i + 25]]), device)
                parts.append(vae.quant_conv(vae.encoder(x.bfloat16())).float()[:, :4].cpu())
            save_checkpoint(path, torch.cat(parts))
            log(f"unet: latents of {1000 * (shard + 1)} pictures")
        latents[shard] = torch.load(path, weights_only=True)
        scenes[shard] = mine
    return torch.cat([latents[i] for i in shards]), [scene for i in shards for scene in scenes[i]]


def train_unet(
    work: pathlib.Path,
    *,
    samples: int,
    pictures: int,
    batch: int,
    device: torch.device,
    helper: bool,
    board: pathlib.Path | None,
    log,
):
    """Trains to the given number of noised latents (the owner's own), resuming from WORK/unet.pt."""
    latents, scenes = cached_latents(work, pictures, device, log, backwards=helper)
    scale = 1 / latents[:4000].std().item()
    latents = (latents * scale).to(device)
    encode = Encoder(work / "tokenizer")
    state = torch.load(work / "text.pt", map_location="cpu", weights_only=True)
    text = text_encoder_from(state, len(encode.vocabulary)).to(device).to(torch.bfloat16)
    empty = encode("")

    torch.manual_seed(13)
    unet = make_unet().to(device).to(torch.bfloat16).train()
    unet.set_attn_processor(AttnProcessor())
    optimiser = Optimiser([unet], weight_decay=0.01, ema_decay=0.9993, board=board)
    path = work / "unet.pt"
    optimiser.begin(path, helper=helper, log=lambda line: log(f"unet: {line}"))
    forward = torch.compile(unet) if os.environ.get("SDTORCH_COMPILE", "1") == "1" else unet

    alphas = alpha_bar().to(device)
    snr = alphas / (1 - alphas)
    weight = (snr.clamp(max=5) + 1) / (snr + 1)
    steps = samples // batch
    began = saved = time.time()
    totals = [0.0, 0.0, 0.0]
    while optimiser.steps < steps:
        step = optimiser.steps
        rng = random.Random(f"unet {step} {time.time() if helper else 0}")
        torch.manual_seed(rng.getrandbits(40))
        picks = [rng.randrange(len(scenes)) for _ in range(batch)]
        ids = [empty if rng.random() < DROPPED else encode(caption(scenes[i], rng)) for i in picks]
        x0 = latents[picks]
        noise = torch.randn_like(x0)
        # one timestep in each of `batch` equal ranges: every step sees all noise levels
        t = ((torch.randperm(batch) + torch.rand(batch)) / batch * STEPS).long().clamp(max=STEPS - 1).to(device)
        a = alphas[t].view(-1, 1, 1, 1)
        x = a.sqrt() * x0 + (1 - a).sqrt() * noise
        v = a.sqrt() * noise - (1 - a).sqrt() * x0
        with torch.no_grad():
            context = text(torch.tensor(ids, device=device)).last_hidden_state
        predicted = forward(x.bfloat16(), t, context, return_dict=False)[0].float()
        error = (predicted - v).square().mean((1, 2, 3))
        (error * weight[t]).mean().backward()
        if helper:
            optimiser.help()
            continue
        norm = optimiser.step(learning_rate(step, steps, peak=PEAK, warm_up=200, hold=0.4))
        for i, value in enumerate((error.mean().item(), error[t > 600].mean().item(), norm)):
            totals[i] += value / 100
        if (step + 1) % 100 == 0:
            log(
                f"unet: {step + 1}/{steps} {time.time() - began:.0f} s v {totals[0]:.4f} v(t>600) {totals[1]:.4f} "
                f"norm {totals[2]:.3f} helped {optimiser.helped}"
            )
            totals = [0.0, 0.0, 0.0]
        if time.time() - saved > 180:
            save_checkpoint(path, {"scale": scale, **optimiser.state()})
            saved = time.time()
    if not helper:
        save_checkpoint(path, {"scale": scale, **optimiser.state()})
