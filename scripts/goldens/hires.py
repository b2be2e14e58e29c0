"""A1111's hires fix by diffusers' pieces: a text-to-image pipeline's latent, enlarged, noised by a generator newly
seeded and denoised by an image-to-image pipeline over the last steps of int(steps / strength); with the tiny models of
the areas pipeline and families."""

import json
import pathlib

import image_to_image
import numpy as np
import pipeline
import torch
from diffusers import (ControlNetModel, StableDiffusionControlNetImg2ImgPipeline, StableDiffusionControlNetPipeline,
                       StableDiffusionImg2ImgPipeline, StableDiffusionPipeline, StableDiffusionXLImg2ImgPipeline,
                       StableDiffusionXLPipeline)
from PIL import Image
from safetensors.torch import save_file

FOLDERS = {"sd1": "pipeline/models/sd1", "sd2": "pipeline/models/sd2", "xl": "families/models/xl"}
NETS = image_to_image.GOLDEN / "control_nets"
MODES = {"latent": "bilinear", "latent-bicubic": "bicubic"}


def cases() -> list[dict]:
    """Requests by the flags' long names; absent ones are sdtorch's defaults."""
    listed = []

    def add(model: str, **request) -> None:
        listed.append(dict({"model": model, "prompt": pipeline.PROMPT, "steps": 4, "cfg-scale": 3, "seed": 5,
                            "width": 32, "height": 24, "hires-scale": 2},
                           **{key.replace("_", "-"): value for key, value in request.items()}))

    for upscaler in ("latent", "latent-bicubic", "lanczos"):
        for sampler in ("euler", "ddim"):
            add("sd1", hires_upscaler=upscaler, sampler=sampler, hires_strength=0.5)
    add("sd1", sampler="euler_a", hires_scale=1.6, hires_steps=3, hires_strength=0.6)
    add("sd1", sampler="heun", hires_scale=1.3, hires_strength=1)
    add("sd1", sampler="dpm++2m", hires_steps=2, hires_strength=0.35, negative_prompt=pipeline.NEGATIVE)
    add("sd1", sampler="euler_a", hires_upscaler="lanczos", hires_scale=1.5, batch_count=2, hires_steps=0)
    add("sd2")
    add("sd2", hires_upscaler="lanczos", hires_steps=5)
    add("xl", sampler="euler", cfg_scale=2)
    add("sd1", sampler="euler", control_net="net_a", control_image="a.png")
    return listed


def load_steered():
    """Both passes' pipelines with a ControlNet."""
    net = ControlNetModel.from_pretrained(NETS / "nets" / "net_a", torch_dtype=torch.float32)
    components = load("sd1")[0].components
    return [kind(**components, controlnet=net, requires_safety_checker=False)
            for kind in (StableDiffusionControlNetPipeline, StableDiffusionControlNetImg2ImgPipeline)]


def load(model: str):
    """Both passes' pipelines."""
    folder, xl = image_to_image.GOLDEN / FOLDERS[model], model == "xl"
    kinds = ((StableDiffusionXLPipeline, StableDiffusionXLImg2ImgPipeline) if xl else
             (StableDiffusionPipeline, StableDiffusionImg2ImgPipeline))
    first = kinds[0].from_pretrained(folder, torch_dtype=torch.float32,
                                     **({"add_watermarker": False} if xl else {"safety_checker": None}))
    second = kinds[1](**first.components, **({"add_watermarker": False} if xl else {"requires_safety_checker": False}))
    for pipe in (first, second):
        pipe.set_progress_bar_config(disable=True)
    return first, second


def generator(seed: int) -> torch.Generator:
    return torch.Generator("cpu").manual_seed(seed)


def enlarged(pipe, latent: torch.Tensor, case: dict, seed: int) -> torch.Tensor:
    factor, upscaler = pipe.vae_scale_factor, case.get("hires-upscaler", "latent")
    width, height = (int(case[side] * case["hires-scale"]) // factor for side in ("width", "height"))
    if upscaler in MODES:
        return torch.nn.functional.interpolate(latent, size=(height, width), mode=MODES[upscaler], antialias=False)
    decoded = pipe.vae.decode(latent / pipe.vae.config.scaling_factor).sample[0]
    pixels = (255.0 * ((decoded + 1) / 2).clamp(0, 1)).permute(1, 2, 0).numpy().astype(np.uint8)
    larger = Image.fromarray(pixels).resize((width * factor, height * factor), Image.Resampling.LANCZOS)
    tensor = torch.from_numpy(np.array(larger).astype(np.float32) / 255).permute(2, 0, 1)[None] * 2 - 1
    sampled = pipe.vae.encode(tensor).latent_dist.sample(generator(seed))
    return sampled * pipe.vae.config.scaling_factor


def draw(pipes, case: dict) -> tuple[torch.Tensor, torch.Tensor]:
    """One case: final latents fp32 [B, 4, h, w] and pictures uint8 [B, H, W, 3]."""
    first, second = pipes
    loaded = first.scheduler
    if "sampler" in case:
        kind, changes = image_to_image.SAMPLERS[case["sampler"]]
        first.scheduler = second.scheduler = kind.from_config(loaded.config, **changes)
    same = {"prompt": case["prompt"], "guidance_scale": float(case["cfg-scale"]), "output_type": "latent"}
    if "negative-prompt" in case:
        same["negative_prompt"] = case["negative-prompt"]
    steps = case.get("hires-steps", 0) or case["steps"]
    in_all = int(steps / min(case.get("hires-strength", 0.7), 0.999))
    # In the middle between two numbers of steps, so that rounding cannot take one away.
    strength = min((steps + 0.5) / in_all, 1.0)
    latents = []
    for seed in range(case["seed"], case["seed"] + case.get("batch-count", 1)):
        steering = [{}, {}]
        if "control-image" in case:
            picture = Image.open(NETS / case["control-image"]).convert("RGB")
            larger = {side: case[side] * case["hires-scale"] for side in ("width", "height")}
            # A strength of its own is the image-to-image pipeline's usual one.
            steering = [{"image": picture},
                        {"control_image": picture, "controlnet_conditioning_scale": 1.0, **larger}]
        latent = first(num_inference_steps=case["steps"], width=case["width"], height=case["height"],
                       generator=generator(seed), **same, **steering[0]).images
        start = enlarged(first, latent, case, seed)
        latents.append(second(image=start, strength=strength, num_inference_steps=in_all, generator=generator(seed),
                              **same, **steering[1]).images)
    first.scheduler = second.scheduler = loaded
    return image_to_image.with_pixels(first, torch.cat(latents))


@torch.no_grad()
def make(out: pathlib.Path) -> None:
    pipes, tensors, listed = {}, {}, cases()
    for number, case in enumerate(listed):
        model = case["model"] if "control-net" not in case else "steered"
        if model not in pipes:
            pipes[model] = load_steered() if model == "steered" else load(model)
        latents, pixels = draw(pipes[model], case)
        assert latents.isfinite().all(), case
        tensors[f"{number:03}.latent"], tensors[f"{number:03}.image"] = latents, pixels
    save_file(tensors, out / "pictures.safetensors", metadata={"cases": json.dumps(listed)})
