"""The first stage: the autoencoder, on crops at first, on whole pictures at the end."""

import pathlib
import random
import time

import numpy
import torch
from diffusers import AutoencoderKL

from demo_model.networks import make_vae
from demo_model.optimiser import Optimiser, learning_rate, save_checkpoint
from demo_model.render import SIZE, render
from demo_model.scenes import any_scene, training_scene

CROP = 64
WHOLE_FROM = 0.72  # the part of the run after which whole pictures, L1 and gradient terms take over
PEAK = 1.2e-3
VALIDATION = 256


def to_unit(pictures: numpy.ndarray, device: torch.device) -> torch.Tensor:
    """uint8 [B, H, W, 3] to float [B, 3, H, W] in [-1, 1]."""
    return torch.from_numpy(pictures).to(device).permute(0, 3, 1, 2).float() / 127.5 - 1


def crops(rng: random.Random, batch: int) -> numpy.ndarray:
    """Two crops of each picture; places beyond the edge are pushed back, so that edges are seen as often as middles."""
    out = numpy.empty((batch, CROP, CROP, 3), numpy.uint8)
    for i in range(batch):
        if i % 2 == 0:
            picture = render(training_scene(rng))
        top, left = (min(max(rng.randint(-16, SIZE - CROP + 16), 0), SIZE - CROP) for _ in range(2))
        out[i] = picture[top : top + CROP, left : left + CROP]
    return out


def reconstruct(vae: AutoencoderKL, x: torch.Tensor):
    mean, log_variance = vae.quant_conv(vae.encoder(x.to(vae.dtype))).float().chunk(2, 1)
    log_variance = log_variance.clamp(-30, 20)
    z = mean + torch.randn_like(mean) * (0.5 * log_variance).exp()
    return vae.decoder(vae.post_quant_conv(z.to(vae.dtype))).float(), mean, log_variance


def gradient_error(a: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
    d = a - b
    return (d[..., 1:] - d[..., :-1]).abs().mean() + (d[..., 1:, :] - d[..., :-1, :]).abs().mean()


@torch.no_grad()
def psnr(vae: AutoencoderKL, device: torch.device) -> float:
    """dB, mean over pictures that training never saw (scenes of another seed, held-out combinations included)."""
    rng = random.Random("vae validation")
    errors = []
    for _ in range(VALIDATION // 32):
        x = to_unit(numpy.stack([render(any_scene(rng)) for _ in range(32)]), device)
        mean = vae.quant_conv(vae.encoder(x)).chunk(2, 1)[0]
        y = vae.decoder(vae.post_quant_conv(mean)).clamp(-1, 1)
        errors.append((y - x).square().mean((1, 2, 3)))
    return (10 * torch.log10(4 / torch.cat(errors))).mean().item()


def averaged(optimiser: Optimiser) -> AutoencoderKL:
    vae = make_vae()
    with torch.no_grad():
        for p, value in zip(vae.parameters(), optimiser.average, strict=True):
            p.copy_(value)
    return vae.eval()


def train_vae(work: pathlib.Path, *, samples: int, batch: int, device: torch.device, helper: bool, board: pathlib.Path | None, log):
    """Trains to the given number of 64 by 64 crops (a whole picture counts as four), resuming from WORK/vae.pt."""
    torch.manual_seed(7)
    vae = make_vae().to(device).to(torch.bfloat16).train()
    optimiser = Optimiser([vae], weight_decay=1e-4, ema_decay=0.998, board=board)
    path = work / "vae.pt"
    optimiser.begin(path, helper=helper, log=lambda line: log(f"vae: {line}"))
    steps = samples // batch
    began = saved = time.time()
    total = {"l1": 0.0, "kl": 0.0, "norm": 0.0}
    while optimiser.steps < steps:
        step = optimiser.steps
        seed = f"vae {step} {time.time() if helper else 0}"
        rng = random.Random(seed)
        torch.manual_seed(rng.getrandbits(40))
        whole = step >= WHOLE_FROM * steps
        if whole:
            x = to_unit(numpy.stack([render(training_scene(rng)) for _ in range(batch // 4)]), device)
        else:
            x = to_unit(crops(rng, batch), device)
        y, mean, log_variance = reconstruct(vae, x)
        l1 = (y - x).abs().mean()
        kl = 0.5 * (mean.square() + log_variance.exp() - 1 - log_variance).mean()
        loss = 4 * (y - x).square().mean() + 1e-4 * kl + 0.1 * l1
        if whole:
            loss = loss + 0.3 * l1 + 0.3 * gradient_error(y, x)
        loss.backward()
        if helper:
            optimiser.help()
            continue
        norm = optimiser.step(learning_rate(step, steps, peak=PEAK, warm_up=100, hold=0.3))
        for key, value in (("l1", l1.item()), ("kl", kl.item()), ("norm", norm)):
            total[key] += value / 100
        if (step + 1) % 100 == 0:
            log(f"vae: {step + 1}/{steps} {time.time() - began:.0f} s " + " ".join(f"{k} {v:.4f}" for k, v in total.items()) + f" helped {optimiser.helped}")
            total = dict.fromkeys(total, 0.0)
        if time.time() - saved > 120:
            save_checkpoint(path, optimiser.state())
            saved = time.time()
        if (step + 1) % 2000 == 0:
            log(f"vae: PSNR {psnr(averaged(optimiser).to(device), device):.2f} dB")
    if helper:
        return
    save_checkpoint(path, optimiser.state())
    log(f"vae: PSNR {psnr(averaged(optimiser).to(device), device):.2f} dB")
