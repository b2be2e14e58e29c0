"""Pictures changed as an instruction says, by diffusers' InstructPix2Pix pipelines: the tiny models of the areas pipeline
and families, with U-Nets of eight channels in place of their own."""

import json
import pathlib

import image_to_image
import inpainting
import torch
from diffusers import (StableDiffusionInstructPix2PixPipeline, StableDiffusionXLInstructPix2PixPipeline,
                       UNet2DConditionModel)
from PIL import Image
from safetensors.torch import save_file

PROMPT, NEGATIVE = "make it snow", "blurry"


def cases() -> list[dict]:
    """Requests by the flags' long names; absent ones are sdtorch's defaults."""
    listed = []

    def add(model: str, **request) -> None:
        listed.append(dict({"model": model, "prompt": PROMPT, "init-img": "start.png", "steps": 4, "cfg-scale": 3,
                            "seed": 13},
                           **{key.replace("_", "-"): value for key, value in request.items()}))

    add("sd1-8")
    for sampler in ("ddim", "euler", "euler_a", "heun", "dpm++2m", "pndm"):
        add("sd1-8", sampler=sampler, image_cfg_scale=1.2, negative_prompt=NEGATIVE)
    add("sd1-8", image_cfg_scale=0.5, sampler="euler")
    add("sd1-8", cfg_scale=1, sampler="euler")
    add("sd1-8", sampler="euler_a", batch_count=2)
    add("xl-8", cfg_scale=1.5)
    add("xl-8", cfg_scale=1.5, image_cfg_scale=1, negative_prompt=NEGATIVE, sampler="euler_a")
    return listed


def draw(pipe, case: dict, picture: Image.Image) -> tuple[torch.Tensor, torch.Tensor]:
    """One case by diffusers: final latents fp32 [B, 4, h, w] and pictures uint8 [B, H, W, 3]."""
    loaded = pipe.scheduler
    if "sampler" in case:
        kind, changes = image_to_image.SAMPLERS[case["sampler"]]
        pipe.scheduler = kind.from_config(loaded.config, **changes)
    more = {"negative_prompt": case["negative-prompt"]} if "negative-prompt" in case else {}
    if "xl" in case["model"]:
        more |= {"width": picture.width, "height": picture.height}
    latents = torch.cat([
        pipe(prompt=case["prompt"], image=picture, num_inference_steps=case["steps"], output_type="latent",
             guidance_scale=float(case["cfg-scale"]), image_guidance_scale=float(case.get("image-cfg-scale", 1.5)),
             generator=torch.Generator("cpu").manual_seed(case["seed"] + k), **more).images
        for k in range(case.get("batch-count", 1))
    ])  # fmt: skip
    pipe.scheduler = loaded
    return image_to_image.with_pixels(pipe, latents)


@torch.no_grad()
def make(out: pathlib.Path) -> None:
    picture = Image.open(image_to_image.GOLDEN / "inpainting" / "start.png").convert("RGB")
    pipes, tensors, listed = {}, {}, cases()
    for kind, pipeline_class, more in (("sd1", StableDiffusionInstructPix2PixPipeline,
                                        {"requires_safety_checker": False}),
                                       ("xl", StableDiffusionXLInstructPix2PixPipeline, {"add_watermarker": False})):
        folder = out / f"unet-{kind}-8"
        inpainting.save_wider(folder, kind, 8)
        unet = UNet2DConditionModel.from_pretrained(folder, torch_dtype=torch.float32)
        components = image_to_image.load(kind).components | {"unet": unet}
        if kind == "xl":
            components = {name: part for name, part in components.items() if name not in ("image_encoder", "feature_extractor")}
        pipes[f"{kind}-8"] = pipeline_class(**components, **more)
        pipes[f"{kind}-8"].set_progress_bar_config(disable=True)
    for number, case in enumerate(listed):
        latents, pixels = draw(pipes[case["model"]], case, picture)
        assert latents.isfinite().all(), case
        tensors[f"{number:03}.latent"], tensors[f"{number:03}.image"] = latents, pixels
    save_file(tensors, out / "pictures.safetensors", metadata={"cases": json.dumps(listed)})
