"""An extra: an inpainting U-Net (Rombach et al. 2021, section 4.5) for the built-in model's VAE and text encoder.

It sees nine channels: the noised latent, where to repaint, and the latent of the picture with that part grey, as
diffusers' inpainting pipelines give them. Smaller than the built-in U-Net, since much of the picture is there already.
"""

import json
import os
import pathlib
import random
import time

import diffusers
import numpy
import torch
from diffusers import UNet2DConditionModel
from diffusers.models.attention_processor import AttnProcessor
from PIL import Image, ImageDraw

from demo_model.captions import caption
from demo_model.demo import SHARD, Demo
from demo_model.networks import CONTEXT, LATENT, count
from demo_model.optimiser import Optimiser, learning_rate, save_checkpoint
from demo_model.render import SIZE, render
from demo_model.scenes import any_scene, training_scene
from demo_model.train_classifier import spread_timesteps
from demo_model.train_edges import LIMIT, noised_with_v
from demo_model.train_unet import alpha_bar, load_average
from demo_model.train_vae import to_unit

PEAK = 1.5e-3
DROPPED = 0.1  # captions replaced by the empty one
MASKS = 2  # of each picture
SHARED = ("vae", "text_encoder", "tokenizer", "scheduler")  # with the built-in model


def make_inpainting_unet() -> UNet2DConditionModel:
    return UNet2DConditionModel(
        sample_size=LATENT,
        in_channels=9,
        out_channels=4,
        block_out_channels=(32, 64, 96),
        layers_per_block=1,
        down_block_types=("CrossAttnDownBlock2D", "CrossAttnDownBlock2D", "DownBlock2D"),
        up_block_types=("UpBlock2D", "CrossAttnUpBlock2D", "CrossAttnUpBlock2D"),
        mid_block_type="UNetMidBlock2D",
        attention_head_dim=(1, 2, 3),  # diffusers' name for the number of heads
        cross_attention_dim=CONTEXT,
        norm_num_groups=16,
    )


def random_mask(rng: random.Random) -> numpy.ndarray:
    """What is to be repainted, bool [SIZE, SIZE]: a few shapes, a side as outpainting has it, or all."""
    mask = Image.new("L", (SIZE, SIZE))
    pen = ImageDraw.Draw(mask)
    kind = rng.random()
    if kind < 0.1:
        pen.rectangle((0, 0, SIZE, SIZE), fill=255)
    elif kind < 0.35:
        reach = rng.randrange(SIZE // 6, SIZE * 2 // 3)
        left, top = rng.choice(((0, 0), (SIZE - reach, 0), (0, SIZE - reach)))
        wide = top == 0 and rng.random() < 0.7
        pen.rectangle((left, top, left + (reach if wide else SIZE), top + (SIZE if wide else reach)), fill=255)
    else:
        for _ in range(rng.choice((1, 1, 2))):
            width, height = rng.randrange(SIZE // 5, SIZE * 3 // 4), rng.randrange(SIZE // 5, SIZE * 3 // 4)
            x, y = rng.randrange(-width // 4, SIZE - width // 2), rng.randrange(-height // 4, SIZE - height // 2)
            rng.choice((pen.rectangle, pen.ellipse))((x, y, x + width, y + height), fill=255)
    return numpy.asarray(mask) > 127


def masked_pictures(demo: Demo, work: pathlib.Path, pictures: int, log, *, unseen: bool = False) -> tuple[list, dict]:
    """Scenes, and of each picture its latent [N, 4, 16, 16], MASKS masks [N, MASKS, 1, 16, 16] and as many latents
    with that part grey [N, MASKS, 4, 16, 16]. Kept in WORK in shards."""
    name = "masked-unseen" if unseen else "masked"
    scenes, parts = [], []
    for shard in range((pictures + SHARD - 1) // SHARD):
        rng = random.Random(f"extras {name} {shard}")
        mine = [(any_scene if unseen else training_scene)(rng) for _ in range(SHARD)]
        path = work / f"{name}-{shard:03}.pt"
        if not path.exists():
            made = {"latents": [], "masks": [], "kept": []}
            for i in range(0, SHARD, 20):
                drawn = numpy.stack([render(scene) for scene in mine[i : i + 20]])
                masks = numpy.stack([[random_mask(rng) for _ in range(MASKS)] for _ in drawn])
                made["latents"].append(demo.latents(drawn).cpu())
                small = masks[:, :, :: SIZE // LATENT, :: SIZE // LATENT]
                made["masks"].append(torch.from_numpy(small.copy()).unsqueeze(2))
                kept = [grey_latents(demo, drawn, masks[:, k]) for k in range(MASKS)]
                made["kept"].append(torch.stack(kept, 1).cpu())
            save_checkpoint(path, {key: torch.cat(value) for key, value in made.items()})
            log(f"inpainting: {name} {SHARD * (shard + 1)}")
        scenes += mine
        parts.append(torch.load(path, weights_only=True))
    return scenes[:pictures], {key: torch.cat([part[key] for part in parts])[:pictures] for key in parts[0]}


@torch.no_grad()
def grey_latents(demo: Demo, drawn: numpy.ndarray, masks: numpy.ndarray) -> torch.Tensor:
    kept = to_unit(drawn, demo.device) * torch.from_numpy(~masks).unsqueeze(1).to(demo.device)
    moments = demo.vae.quant_conv(demo.vae.encoder(kept.bfloat16())).float()
    return moments[:, :4] * demo.vae.config.scaling_factor


def chosen(data: dict, picks: list[int], rng: random.Random, device) -> tuple[torch.Tensor, torch.Tensor]:
    """Clean latents, and the five channels beside them."""
    which = torch.tensor([rng.randrange(MASKS) for _ in picks])
    beside = torch.cat([data["masks"][picks, which].float(), data["kept"][picks, which]], 1)
    return data["latents"][picks].to(device), beside.to(device)


@torch.no_grad()
def error_of_unseen(demo: Demo, network: UNet2DConditionModel, scenes: list, data: dict, batch: int) -> float:
    torch.manual_seed(37)
    rng = random.Random("inpainting validation")
    alphas, errors = alpha_bar().to(demo.device), []
    for i in range(0, 512, batch):
        picks = list(range(i, i + batch))
        x0, beside = chosen(data, picks, rng, demo.device)
        t = spread_timesteps(batch).to(demo.device)
        x, v = noised_with_v(x0, t, alphas)
        context = demo.context([caption(scenes[k], rng) for k in picks])
        said = network(torch.cat([x, beside], 1).to(network.dtype), t, context.to(network.dtype), return_dict=False)[0]
        errors.append((said.float() - v).square().mean())
    return torch.stack(errors).mean().item()


def save_model(demo: Demo, network: UNet2DConditionModel, output: pathlib.Path):
    """A diffusers folder whose other parts are links to the built-in model's."""
    network.half().save_pretrained(output / "unet")
    # diffusers asks for the version here, and of this class alone.
    index = {"_class_name": "StableDiffusionInpaintPipeline", "_diffusers_version": diffusers.__version__}
    own = json.loads((demo.folder / "model_index.json").read_text(encoding="utf-8"))
    index |= {key: value for key, value in own.items() if not key.startswith("_")}
    (output / "model_index.json").write_text(json.dumps(index, indent=2) + "\n", encoding="utf-8")
    for part in SHARED:
        link = output / part
        if not link.is_symlink():
            link.symlink_to(os.path.relpath(demo.folder / part, output))


def train_inpainting(demo: Demo, work: pathlib.Path, output: pathlib.Path, *, samples: int, picture_count: int, batch: int, log):
    """Trains to the given number of noised latents, resuming from WORK/inpainting.pt, and writes OUTPUT."""
    scenes, data = masked_pictures(demo, work, picture_count, log)
    unseen = masked_pictures(demo, work, 1000, log, unseen=True)
    torch.manual_seed(23)
    network = make_inpainting_unet().to(demo.device).to(torch.bfloat16).train()
    network.set_attn_processor(AttnProcessor())
    optimiser = Optimiser([network], weight_decay=0.01, ema_decay=0.998)
    path = work / "inpainting.pt"
    optimiser.begin(path, helper=False, log=lambda line: log(f"inpainting: {line}"))
    alphas = alpha_bar().to(demo.device)
    snr = alphas / (1 - alphas)
    weight = (snr.clamp(max=5) + 1) / (snr + 1)
    steps = samples // batch
    began = saved = time.time()
    total = 0.0
    while optimiser.steps < steps:
        step = optimiser.steps
        rng = random.Random(f"inpainting {step}")
        torch.manual_seed(rng.getrandbits(40))
        picks = [rng.randrange(len(scenes)) for _ in range(batch)]
        context = demo.context(["" if rng.random() < DROPPED else caption(scenes[i], rng) for i in picks])
        x0, beside = chosen(data, picks, rng, demo.device)
        t = spread_timesteps(batch).to(demo.device)
        x, v = noised_with_v(x0, t, alphas)
        said = network(torch.cat([x, beside], 1).bfloat16(), t, context, return_dict=False)[0].float()
        error = (said - v).square().mean((1, 2, 3))
        (error * weight[t]).mean().backward()
        optimiser.step(learning_rate(step, steps, peak=PEAK, warm_up=100, hold=0.4))
        total += error.mean().item() / 100
        if (step + 1) % 100 == 0:
            log(f"inpainting: {step + 1}/{steps} {time.time() - began:.0f} s v {total:.4f}")
            total = 0.0
        if time.time() - saved > 120:
            save_checkpoint(path, optimiser.state())
            saved = time.time()
    save_checkpoint(path, optimiser.state())
    load_average(network, optimiser.state())
    error = error_of_unseen(demo, network, *unseen, batch)
    save_model(demo, network, output)
    size = sum(file.stat().st_size for file in (output / "unet").iterdir())
    log(f"inpainting: {output}, {count(network)} parameters, {size} bytes; v of unseen scenes {error:.4f}")
    if size > LIMIT:
        raise SystemExit(f"{output}: {size} bytes, more than {LIMIT}")
