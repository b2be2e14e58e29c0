"""Pictures that start from a picture, by diffusers' image-to-image pipelines, with the tiny models of the areas
pipeline and families."""

import json
import pathlib

import diffusers
import families
import numpy as np
import pipeline
import torch
from diffusers import (LatentConsistencyModelImg2ImgPipeline, StableDiffusionImg2ImgPipeline,
                       StableDiffusionXLImg2ImgPipeline)
from PIL import Image
from safetensors.torch import save_file

GOLDEN = pathlib.Path(__file__).resolve().parents[2] / "tests" / "golden"
FOLDERS = {"sd1": "pipeline/models/sd1", "sd2": "pipeline/models/sd2", "xl": "families/models/xl", "refiner": "families/models/refiner",
           "turbo": "families/models/xl", "distilled": "families/models/lcm", "lcm": "families/models/lcm"}
CLASSES = {"sd1": StableDiffusionImg2ImgPipeline, "sd2": StableDiffusionImg2ImgPipeline,
           "distilled": StableDiffusionImg2ImgPipeline,
           "lcm": LatentConsistencyModelImg2ImgPipeline}
SAMPLERS = {**{name: (kind, {}) for name, kind in pipeline.CLASSES.items()},
            "dpm2": (diffusers.KDPM2DiscreteScheduler, {}), "dpm2_a": (diffusers.KDPM2AncestralDiscreteScheduler, {}),
            "dpm++2m_sde": (diffusers.DPMSolverMultistepScheduler, {"algorithm_type": "sde-dpmsolver++"}),
            "dpm++2s": (diffusers.DPMSolverSinglestepScheduler, {}),
            "unipc": (diffusers.UniPCMultistepScheduler, {}), "deis": (diffusers.DEISMultistepScheduler, {})}
SIZES = {"first.png": (70, 45), "second.png": (33, 50)}


def write_pictures(out: pathlib.Path) -> None:
    """Smooth shapes of odd sizes, so that they are cropped by no pipeline without a trace."""
    for number, (name, (width, height)) in enumerate(SIZES.items()):
        y, x = np.mgrid[0:height, 0:width]
        waves = [np.sin(x / (5 + k + number)) * np.cos(y / (7 - k)) + (x > y) * 0.3 * k for k in range(3)]
        pixels = np.clip(np.stack(waves, -1) * 90 + 120, 0, 255).astype(np.uint8)
        Image.fromarray(pixels).save(out / name)


def cases() -> list[dict]:
    """Requests by the flags' long names; absent ones are sdtorch's defaults."""
    listed = []

    def add(model: str, **request) -> None:
        listed.append(dict({"model": model, "prompt": pipeline.PROMPT, "init-img": "first.png", "steps": 6,
                            "cfg-scale": 5, "seed": 7},
                           **{key.replace("_", "-"): value for key, value in request.items()}))

    add("sd1")
    for strength in (0.2, 0.5, 0.99, 1):
        add("sd1", strength=strength, sampler="ddim")
    for sampler in ("pndm", "ddpm", "euler", "euler_a", "heun", "lms", "dpm2", "dpm2_a", "dpm++2m", "dpm++2m_sde",
                    "dpm++2s", "unipc", "deis"):
        add("sd1", sampler=sampler, strength=0.6)
    add("sd1", sampler="euler", width=48, height=64)
    add("sd1", sampler="euler_a", init_img="second.png", negative_prompt="", cfg_scale=1)
    add("sd1", sampler="euler_a", batch_count=2, batch_size=2)
    # The tiny SDXL amplifies rounding errors by hundreds where guidance is strong or the sampler extrapolates.
    add("xl", cfg_scale=2)
    add("xl", strength=0.4, cfg_scale=2, negative_prompt=pipeline.NEGATIVE, sampler="euler_a")
    add("xl", cfg_scale=2, crop="16x8", original_size="512x384", init_img="second.png", batch_count=2)
    add("turbo", steps=2, strength=0.5, cfg_scale=1)
    add("turbo", steps=4, strength=0.5, cfg_scale=1, width=32, height=32)
    add("refiner", strength=0.3, steps=10)
    add("refiner", strength=0.5, negative_prompt=pipeline.NEGATIVE, sampler="ddim", init_img="second.png")
    add("distilled", strength=0.5, cfg_scale=8.5)
    add("lcm", strength=0.5, steps=4, cfg_scale=8.5)
    add("lcm", strength=0.8, steps=3, cfg_scale=1, init_img="second.png")
    add("sd2")
    add("sd2", strength=1, sampler="euler", negative_prompt=pipeline.NEGATIVE)
    add("sd2", strength=0.5, sampler="euler_a", init_img="second.png", batch_count=2, batch_size=2)
    add("sd2", strength=0.6, sampler="dpm++2m", width=48, height=64)
    return listed


def with_pixels(pipe, latents: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Final latents fp32 [B, 4, h, w], and the pictures that they decode to, uint8 [B, H, W, 3]."""
    pictures = [pipe.image_processor.postprocess(pipe.vae.decode(latent / pipe.vae.config.scaling_factor).sample,
                                                 output_type="np")[0] for latent in latents.split(1)]
    pixels = np.ascontiguousarray((np.stack(pictures) * 255).round().astype(np.uint8))
    return latents.contiguous(), torch.from_numpy(pixels)


def draw(pipe, case: dict, picture: Image.Image) -> tuple[torch.Tensor, torch.Tensor]:
    """One case by diffusers: final latents fp32 [B, 4, h, w] and pictures uint8 [B, H, W, 3]."""
    loaded = pipe.scheduler
    if "sampler" in case:
        kind, changes = SAMPLERS[case["sampler"]]
        pipe.scheduler = kind.from_config(loaded.config, **changes)
    count = case.get("batch-count", 1)
    generators = [torch.Generator("cpu").manual_seed(case["seed"] + k) for k in range(count)]
    if "width" in case:
        picture = pipe.image_processor.preprocess(picture, height=case["height"], width=case["width"])
    arguments = {name: families.pair(case[flag]) for flag, name in
                 (("original-size", "original_size"), ("crop", "crops_coords_top_left")) if flag in case}
    if "negative-prompt" in case:
        arguments["negative_prompt"] = case["negative-prompt"]
    latents = pipe(prompt=case["prompt"], image=picture, strength=case.get("strength", 0.75),
                   num_inference_steps=case["steps"], guidance_scale=float(case["cfg-scale"]), generator=generators,
                   num_images_per_prompt=count, output_type="latent", **arguments).images
    pipe.scheduler = loaded
    return with_pixels(pipe, latents)


def load(model: str):
    folder = GOLDEN / FOLDERS[model]
    kind = CLASSES.get(model, StableDiffusionXLImg2ImgPipeline)
    more = {"add_watermarker": False} if kind is StableDiffusionXLImg2ImgPipeline else {"safety_checker": None}
    pipe = kind.from_pretrained(folder, torch_dtype=torch.float32, **more)
    if model in ("turbo", "distilled"):
        config = families.SCHEDULERS[model]
        pipe.scheduler = getattr(diffusers, config["_class_name"]).from_config(config)
    pipe.set_progress_bar_config(disable=True)
    return pipe


@torch.no_grad()
def make(out: pathlib.Path) -> None:
    write_pictures(out)
    pipes, tensors, listed = {}, {}, cases()
    for number, case in enumerate(listed):
        model = case["model"]
        if model not in pipes:
            pipes[model] = load(model)
        latents, pixels = draw(pipes[model], case, Image.open(out / case["init-img"]).convert("RGB"))
        assert latents.isfinite().all(), case
        tensors[f"{number:03}.latent"], tensors[f"{number:03}.image"] = latents, pixels
    save_file(tensors, out / "pictures.safetensors", metadata={"cases": json.dumps(listed)})
