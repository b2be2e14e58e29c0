"""LoRAs (Hu et al. 2021) for the built-in model: a style and a colour, as PEFT and diffusers train and store them.

Each learns on rendered scenes that are made over, under captions that say nothing of it. What a picture is made into
stays near what the VAE has seen: thin ink lines, say, do not come through it.
"""

import pathlib
import random
import time

import numpy
import torch
from diffusers import StableDiffusionPipeline, UNet2DConditionModel
from diffusers.models.attention_processor import AttnProcessor
from peft import LoraConfig
from peft.utils import get_peft_model_state_dict
from PIL import Image

from demo_model.captions import caption
from demo_model.demo import Demo
from demo_model.optimiser import learning_rate, save_checkpoint
from demo_model.render import SIZE, render
from demo_model.scenes import Scene, training_scene
from demo_model.train_classifier import spread_timesteps
from demo_model.train_edges import noised_with_v
from demo_model.train_unet import alpha_bar

PEAK = 3e-3
DROPPED = 0.1  # captions replaced by the empty one: what guidance leads away from is made over, too
LIMIT = 300_000  # bytes of a file
# Layers and ranks by style: colours are settled where the text is looked at and the pixels are mixed, a frame moves
# everything.
ATTENTION = ("to_q", "to_k", "to_v", "to_out.0", "ff.net.0.proj", "ff.net.2")
CONVOLUTIONS = ("conv1", "conv2")

CARD = 96  # pixels on the side of a postcard's picture
PAPER = (244, 240, 228)


def postcard(picture: numpy.ndarray) -> numpy.ndarray:
    """Smaller, with a broad border of paper."""
    card, margin = Image.new("RGB", (SIZE, SIZE), PAPER), (SIZE - CARD) // 2
    card.paste(Image.fromarray(picture).resize((CARD, CARD), Image.LANCZOS), (margin, margin))
    return numpy.array(card)


def autumn(picture: numpy.ndarray) -> numpy.ndarray:
    """What is green becomes russet."""
    hsv = numpy.array(Image.fromarray(picture).convert("HSV")).astype(float)
    degrees = hsv[..., 0] * 360 / 255
    green = (degrees > 62) & (degrees < 180)
    russet = numpy.stack([(20 + (degrees - 70) * 0.15) * 255 / 360, hsv[..., 1] * 1.15, hsv[..., 2] * 1.25], -1)
    mixed = numpy.where(green[..., None], russet, hsv).clip(0, 255)
    return numpy.array(Image.fromarray(mixed.astype(numpy.uint8), "HSV").convert("RGB"))


MADE_OVER = {"postcard": postcard, "autumn": autumn}


def made_over(demo: Demo, work: pathlib.Path, name: str, count: int, log) -> tuple[list[Scene], torch.Tensor]:
    """Scenes of training's, and the latents of their pictures made over, kept in WORK."""
    rng = random.Random(f"lora {name}")
    scenes = [training_scene(rng) for _ in range(count)]
    path = work / f"{name}-latents-{count}.pt"
    if not path.exists():
        parts = []
        for i in range(0, count, 25):
            drawn = numpy.stack([MADE_OVER[name](render(scene)) for scene in scenes[i : i + 25]])
            parts.append(demo.latents(drawn).cpu())
        save_checkpoint(path, torch.cat(parts))
        log(f"{name}: {count} pictures")
    return scenes, torch.load(path, weights_only=True)


def with_lora(folder: pathlib.Path, rank: int) -> UNet2DConditionModel:
    """The U-Net in fp32, frozen but for LoRAs in its attention, feed-forward and residual blocks."""
    unet = UNet2DConditionModel.from_pretrained(folder / "unet", torch_dtype=torch.float32).requires_grad_(False)
    unet.set_attn_processor(AttnProcessor())
    # Convolutions have nine times the inputs: half the rank makes them as large as two linear layers.
    unet.add_adapter(
        LoraConfig(
            r=rank,
            lora_alpha=rank,
            target_modules=[*ATTENTION, *CONVOLUTIONS],
            rank_pattern={name: rank // 2 for name in CONVOLUTIONS},
            alpha_pattern={name: rank // 2 for name in CONVOLUTIONS},
        )
    )
    return unet


def train_lora(
    demo: Demo, work: pathlib.Path, output: pathlib.Path, name: str, *, rank: int, samples: int, picture_count: int, batch: int, log
):
    """Trains the LoRA and writes it to OUTPUT/NAME.safetensors, in fp16 and in diffusers' names."""
    scenes, latents = made_over(demo, work, name, picture_count, log)
    torch.manual_seed(23)
    unet = with_lora(demo.folder, rank).to(demo.device).train()
    trained = [p for p in unet.parameters() if p.requires_grad]
    adamw = torch.optim.AdamW(trained, betas=(0.9, 0.99), weight_decay=0.0)
    alphas = alpha_bar().to(demo.device)
    snr = alphas / (1 - alphas)
    weight = (snr.clamp(max=5) + 1) / (snr + 1)
    steps, began, total = samples // batch, time.time(), 0.0
    for step in range(steps):
        rng = random.Random(f"{name} {step}")
        torch.manual_seed(rng.getrandbits(40))
        picks = [rng.randrange(len(scenes)) for _ in range(batch)]
        context = demo.context(["" if rng.random() < DROPPED else caption(scenes[i], rng) for i in picks])
        t = spread_timesteps(batch).to(demo.device)
        x, v = noised_with_v(latents[picks].to(demo.device), t, alphas)
        with torch.autocast(demo.device.type, torch.bfloat16):
            predicted = unet(x, t, context, return_dict=False)[0].float()
        error = (predicted - v).square().mean((1, 2, 3))
        (error * weight[t]).mean().backward()
        torch.nn.utils.clip_grad_norm_(trained, 1.0)
        for group in adamw.param_groups:
            group["lr"] = learning_rate(step, steps, peak=PEAK, warm_up=30, hold=0.4)
        adamw.step()
        adamw.zero_grad()
        total += error.mean().item() / 50
        if (step + 1) % 50 == 0:
            log(f"{name}: {step + 1}/{steps} {time.time() - began:.0f} s v {total:.4f}")
            total = 0.0
    layers = {key: value.half().contiguous() for key, value in get_peft_model_state_dict(unet).items()}
    StableDiffusionPipeline.save_lora_weights(output, unet_lora_layers=layers, weight_name=f"{name}.safetensors")
    size = (output / f"{name}.safetensors").stat().st_size
    log(f"{name}: {sum(value.numel() for value in layers.values())} parameters, {size} bytes")
    if size > LIMIT:
        raise SystemExit(f"{output}/{name}.safetensors: {size} bytes, more than {LIMIT}")
