"""An extra: a classifier that tells the sky of noised latents, for classifier guidance (Dhariwal & Nichol 2021).

What it may tell falls with the noise, and is measured on scenes that training has not seen, by noise level.
"""

import pathlib
import random
import time

import torch
from torch.nn import functional

from demo_model.classifier import LatentClassifier
from demo_model.demo import Demo, Pictures, pictures
from demo_model.optimiser import Optimiser, learning_rate, save_checkpoint
from demo_model.scenes import SKIES
from demo_model.train_unet import STEPS, alpha_bar, load_average

PEAK = 2e-3
LEVELS = (0, 200, 400, 600, 700, 800, 900, 950, 999)  # timesteps
MAKE = {"block_out_channels": (32, 64), "classes": SKIES}


def noised(x0: torch.Tensor, t: torch.Tensor, alphas: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """x_t of the variance-preserving process at timesteps [B], and the noise in it."""
    a = alphas[t].view(-1, 1, 1, 1)
    noise = torch.randn_like(x0)
    return a.sqrt() * x0 + (1 - a).sqrt() * noise, noise


def spread_timesteps(batch: int) -> torch.Tensor:
    """One in each of `batch` equal ranges: every step sees all noise levels."""
    return ((torch.randperm(batch) + torch.rand(batch)) / batch * STEPS).long().clamp(max=STEPS - 1)


@torch.no_grad()
def accuracy(network: LatentClassifier, seen: Pictures) -> dict[int, float]:
    """Per cent of the skies that are told, by timestep."""
    device = next(network.parameters()).device
    torch.manual_seed(29)
    skies = torch.tensor([SKIES.index(scene.sky) for scene in seen.scenes])
    alphas = alpha_bar()
    result = {}
    for level in LEVELS:
        t = torch.full((len(skies),), level)
        x, _ = noised(seen.latents, t, alphas)
        told = torch.cat([network(a.to(device), b.to(device)).argmax(1).cpu() for a, b in zip(x.split(250), t.split(250))])
        result[level] = 100 * (told == skies).float().mean().item()
    return result


def train_classifier(demo: Demo, work: pathlib.Path, output: pathlib.Path, *, samples: int, picture_count: int, batch: int, log):
    """Trains to the given number of noised latents, resuming from WORK/classifier.pt, and writes OUTPUT."""
    data, unseen = pictures(demo, work, picture_count, log), pictures(demo, work, 1000, log, unseen=True)
    skies = torch.tensor([SKIES.index(scene.sky) for scene in data.scenes])
    torch.manual_seed(17)
    network = LatentClassifier(**MAKE).to(demo.device).train()
    optimiser = Optimiser([network], weight_decay=0.05, ema_decay=0.998)
    path = work / "classifier.pt"
    optimiser.begin(path, helper=False, log=lambda line: log(f"classifier: {line}"))
    alphas = alpha_bar()
    steps = samples // batch
    began = saved = time.time()
    total = 0.0
    while optimiser.steps < steps:
        step = optimiser.steps
        rng = random.Random(f"classifier {step}")
        torch.manual_seed(rng.getrandbits(40))
        picks = torch.tensor([rng.randrange(len(skies)) for _ in range(batch)])
        t = spread_timesteps(batch)
        x, _ = noised(data.latents[picks], t, alphas)
        logits = network(x.to(demo.device), t.to(demo.device))
        loss = functional.cross_entropy(logits, skies[picks].to(demo.device))
        loss.backward()
        optimiser.step(learning_rate(step, steps, peak=PEAK, warm_up=100, hold=0.3))
        total += loss.item() / 200
        if (step + 1) % 200 == 0:
            log(f"classifier: {step + 1}/{steps} {time.time() - began:.0f} s loss {total:.4f}")
            total = 0.0
        if time.time() - saved > 60:
            save_checkpoint(path, optimiser.state())
            saved = time.time()
    save_checkpoint(path, optimiser.state())
    network = load_average(network, optimiser.state())
    network.save_pretrained(output)
    network = LatentClassifier.from_pretrained(output).to(demo.device)
    told = " ".join(f"t={level}: {value:.1f} %" for level, value in accuracy(network, unseen).items())
    log(f"classifier: {output}; skies told of unseen scenes: {told}")
