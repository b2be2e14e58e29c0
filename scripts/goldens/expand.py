"""Pictures grown beyond their edges: canvases and masks by numpy and Pillow, as sdtorch says that it makes them, and what
diffusers' inpainting pipelines draw on these; with the models and pictures of the area inpainting."""

import json
import pathlib

import image_to_image
import inpainting
import numpy as np
import pipeline
import torch
from PIL import Image, ImageFilter
from safetensors.torch import save_file


def grown(picture: np.ndarray, by: tuple, seed: int) -> np.ndarray:
    left, top, right, bottom = by
    height, width = picture.shape[:2]
    canvas = np.pad(picture, ((top, bottom), (left, right), (0, 0)), mode="edge").astype(np.float32)
    y, x = np.mgrid[-top:height + bottom, -left:width + right]
    away = np.maximum.reduce([-x, x - width + 1, -y, y - height + 1, np.zeros_like(x)]).clip(max=64).astype(np.float32)
    noise = torch.randn((1, 3, *away.shape), generator=torch.Generator("cpu").manual_seed(seed))[0].permute(1, 2, 0)
    return (canvas + away[..., None] * noise.numpy()).round().clip(0, 255).astype(np.uint8)


def grown_mask(size: tuple, by: tuple, own: np.ndarray | None, feather: int, blur: float) -> np.ndarray:
    (width, height), (left, top, right, bottom) = size, by
    inner = np.zeros((height, width), np.uint8) if own is None else own
    outer = ((top, bottom), (left, right))
    mask = np.pad(inner, outer, constant_values=255)
    if blur:
        mask = np.asarray(Image.fromarray(mask).filter(ImageFilter.GaussianBlur(blur)))
    y, x = np.mgrid[0:height, 0:width]
    depths = [depth for depth, side in ((x + 1, left), (y + 1, top), (width - x, right), (height - y, bottom)) if side]
    share = 255 * (feather + 1 - np.minimum.reduce(depths)) / (feather + 1)
    ramp = np.where(np.minimum.reduce(depths) <= feather, np.floor(share + 0.5), 0).astype(np.uint8)
    return np.maximum(mask, np.pad(ramp, outer, constant_values=255))


def cases() -> list[dict]:
    """Requests by the flags' long names. grown: by how much, with what the VAE needs."""
    listed = []

    def add(model: str, expand: str, **request) -> None:
        listed.append(dict({"model": model, "prompt": pipeline.PROMPT, "init-img": "start.png", "expand": expand,
                            "steps": 4, "cfg-scale": 3, "seed": 3},
                           **{key.replace("_", "-"): value for key, value in request.items()}))

    add("sd1", "0,0,24,0", sampler="euler")
    add("sd1", "16,8,16,8", sampler="euler_a", strength=0.6, mask="mask.png")
    add("sd1", "5,0,0,3", sampler="ddim", strength=0.7, mask_blur=3, batch_count=2)
    add("sd1", "0,16,0,0", keep_unmasked=True, sampler="heun")
    add("sd1", "8,0,8,0", keep_unmasked=True, mask_blur=4, mask="slope.png", sampler="euler")
    add("sd1", "24,8,0,0", width=48, height=48, sampler="euler", mask="mask.png", mask_invert=True)
    add("sd1-9", "0,0,16,16", sampler="euler_a")
    add("sd1-9", "16,0,0,0", strength=0.6, sampler="ddim")
    add("xl", "0,8,8,0", cfg_scale=2)
    return listed


def margins(case: dict, size: tuple, factor: int) -> tuple:
    by = [int(side) for side in case["expand"].split(",")]
    for before, after, length in ((0, 2, size[0]), (1, 3, size[1])):
        more = -(by[before] + length + by[after]) % factor
        by[before if by[after] == 0 and by[before] > 0 else after] += more
    return tuple(by)


def canvas_of(case: dict, seed: int, factor: int) -> tuple[Image.Image, Image.Image]:
    area = image_to_image.GOLDEN / "inpainting"
    picture, own = Image.open(area / case["init-img"]).convert("RGB"), None
    if "mask" in case:
        own = np.asarray(Image.open(area / case["mask"]).convert("L"))
        own = 255 - own if "mask-invert" in case else own
        own = np.asarray(Image.fromarray(own).resize(picture.size, Image.Resampling.LANCZOS))
    by = margins(case, picture.size, factor)
    feather = 0 if case.get("keep-unmasked") else 2 * factor
    return (Image.fromarray(grown(np.asarray(picture), by, seed)),
            Image.fromarray(grown_mask(picture.size, by, own, feather, case.get("mask-blur", 0))))


def keep(pixels: torch.Tensor, canvas: Image.Image, mask: Image.Image) -> torch.Tensor:
    weight = torch.from_numpy(np.asarray(mask).copy())[None, ..., None].float() / 255
    own = torch.from_numpy(np.asarray(canvas).copy())[None].float()
    return (weight * pixels.float() + (1 - weight) * own).round().to(torch.uint8)


def draw(pipe, case: dict) -> tuple[torch.Tensor, torch.Tensor]:
    """One case by diffusers: final latents fp32 [B, 4, h, w] and pictures uint8 [B, H, W, 3]."""
    loaded = pipe.scheduler
    if "sampler" in case:
        kind, changes = image_to_image.SAMPLERS[case["sampler"]]
        pipe.scheduler = kind.from_config(loaded.config, **changes)
    latents, pictures = [], []
    for seed in range(case["seed"], case["seed"] + case.get("batch-count", 1)):
        canvas, mask = canvas_of(case, seed, pipe.vae_scale_factor)
        latent = pipe(prompt=case["prompt"], image=canvas, mask_image=mask, strength=float(case.get("strength", 1)),
                      num_inference_steps=case["steps"], guidance_scale=float(case["cfg-scale"]),
                      generator=torch.Generator("cpu").manual_seed(seed), width=case.get("width", canvas.width),
                      height=case.get("height", canvas.height), output_type="latent").images
        pixels = image_to_image.with_pixels(pipe, latent)[1]
        latents.append(latent)
        pictures.append(keep(pixels, canvas, mask) if case.get("keep-unmasked") else pixels)
    pipe.scheduler = loaded
    return torch.cat(latents), torch.cat(pictures)


@torch.no_grad()
def make(out: pathlib.Path) -> None:
    pipes, tensors, canvases, listed = {}, {}, {}, cases()
    for number, case in enumerate(listed):
        model = case["model"]
        if model not in pipes:
            pipes[model] = inpainting.load(model, image_to_image.GOLDEN / "inpainting")
        latents, pixels = draw(pipes[model], case)
        assert latents.isfinite().all(), case
        tensors[f"{number:03}.latent"], tensors[f"{number:03}.image"] = latents.contiguous(), pixels
        canvas, mask = canvas_of(case, case["seed"], pipes[model].vae_scale_factor)
        canvases[f"{number:03}.canvas"] = torch.from_numpy(np.asarray(canvas).copy())
        canvases[f"{number:03}.mask"] = torch.from_numpy(np.asarray(mask).copy())
    save_file(tensors, out / "pictures.safetensors", metadata={"cases": json.dumps(listed)})
    save_file(canvases, out / "canvases.safetensors")
