"""Pictures of which a part is repainted, by diffusers' inpainting pipelines: with the tiny models of the areas pipeline
and families, which see no mask, and with U-Nets of nine channels in their place, which do."""

import json
import pathlib

import families
import image_to_image
import numpy as np
import pipeline
import torch
from diffusers import StableDiffusionInpaintPipeline, StableDiffusionXLInpaintPipeline, UNet2DConditionModel
from PIL import Image, ImageDraw
from safetensors.torch import save_file

SIZE = (56, 40)


def write_pictures(out: pathlib.Path) -> None:
    width, height = SIZE
    start = Image.open(image_to_image.GOLDEN / "image_to_image" / "first.png").convert("RGB").resize(SIZE)
    start.save(out / "start.png")
    mask = Image.new("L", SIZE)
    ImageDraw.Draw(mask).ellipse((10, 6, 38, 30), fill=255)
    mask.save(out / "mask.png")
    Image.fromarray(np.tile(np.linspace(0, 255, 30).astype(np.uint8), (20, 1))).save(out / "slope.png")  # another size
    alpha = Image.fromarray(255 - np.asarray(mask))
    start.putalpha(alpha)
    start.save(out / "holed.png")


def save_wider(folder: pathlib.Path, kind: str, channels: int) -> None:
    """The model's own U-Net, with random weights for what it sees beside the latent."""
    config = json.loads((image_to_image.GOLDEN / image_to_image.FOLDERS[kind] / "unet" / "config.json").read_text())
    torch.manual_seed(sum(kind.encode()) + channels)
    own = UNet2DConditionModel.from_pretrained(image_to_image.GOLDEN / image_to_image.FOLDERS[kind] / "unet",
                                               torch_dtype=torch.float32)
    unet = UNet2DConditionModel.from_config({**config, "in_channels": channels})
    weights = {key: weight.clone() for key, weight in own.state_dict().items()}
    weights["conv_in.weight"] = torch.cat([weights["conv_in.weight"],
                                           0.2 * torch.randn(len(weights["conv_in.weight"]), channels - 4, 3, 3)], 1)
    unet.load_state_dict(weights)
    families.save(unet, folder)


def cases() -> list[dict]:
    """Requests by the flags' long names; absent ones are sdtorch's defaults. sd1-9, sd2-9, xl-9: with nine channels."""
    listed = []

    def add(model: str, **request) -> None:
        listed.append(dict({"model": model, "prompt": pipeline.PROMPT, "init-img": "start.png", "mask": "mask.png",
                            "steps": 5, "cfg-scale": 3, "seed": 11},
                           **{key.replace("_", "-"): value for key, value in request.items()}))

    add("sd1")
    add("sd1", strength=0.7, mask="slope.png")
    for sampler in ("ddim", "ddpm", "euler", "euler_a", "heun", "lms", "dpm2", "dpm2_a", "dpm++2m", "dpm++2m_sde",
                    "unipc", "deis"):
        add("sd1", sampler=sampler)
        add("sd1", sampler=sampler, strength=0.6)
    add("sd1", sampler="euler_a", width=48, height=32, batch_count=2)
    add("xl", cfg_scale=2)
    add("xl", cfg_scale=2, strength=0.5, sampler="euler_a")
    add("sd1-9")
    add("sd1-9", strength=0.6, sampler="euler_a")
    add("sd1-9", sampler="heun", cfg_scale=1, mask="slope.png")
    add("sd1-9", sampler="ddim", batch_count=2)
    add("xl-9", cfg_scale=2)
    add("xl-9", cfg_scale=2, strength=0.8, sampler="euler_a")
    add("sd2")
    add("sd2", strength=0.6, sampler="euler_a", mask="slope.png")
    add("sd2-9")
    add("sd2-9", strength=0.7, sampler="euler", mask="slope.png", batch_count=2)
    return listed


def draw(pipe, case: dict, out: pathlib.Path) -> tuple[torch.Tensor, torch.Tensor]:
    """One case by diffusers: final latents fp32 [B, 4, h, w] and pictures uint8 [B, H, W, 3]."""
    loaded = pipe.scheduler
    if "sampler" in case:
        kind, changes = image_to_image.SAMPLERS[case["sampler"]]
        pipe.scheduler = kind.from_config(loaded.config, **changes)
    count = case.get("batch-count", 1)
    generators = [torch.Generator("cpu").manual_seed(case["seed"] + k) for k in range(count)]
    picture, mask = Image.open(out / case["init-img"]).convert("RGB"), Image.open(out / case["mask"]).convert("L")
    width, height = case.get("width", picture.width), case.get("height", picture.height)
    # One picture's tensor a generator: else diffusers samples the picture's latent of the first alone.
    latents = [pipe(prompt=case["prompt"], image=picture, mask_image=mask, strength=float(case.get("strength", 1)),
                    num_inference_steps=case["steps"], guidance_scale=float(case["cfg-scale"]), generator=generator,
                    width=width, height=height, output_type="latent").images for generator in generators]
    pipe.scheduler = loaded
    latents = torch.cat(latents)
    return image_to_image.with_pixels(pipe, latents)


def load(model: str, out: pathlib.Path):
    base, nine = model.removesuffix("-9"), model.endswith("-9")
    kind = StableDiffusionXLInpaintPipeline if base == "xl" else StableDiffusionInpaintPipeline
    components = image_to_image.load(base).components
    if nine:
        components["unet"] = UNet2DConditionModel.from_pretrained(out / f"unet-{model}", torch_dtype=torch.float32)
    more = {"add_watermarker": False} if base == "xl" else {"requires_safety_checker": False}
    pipe = kind(**components, **more)
    pipe.set_progress_bar_config(disable=True)
    return pipe


@torch.no_grad()
def make(out: pathlib.Path) -> None:
    write_pictures(out)
    for kind in ("sd1", "xl", "sd2"):
        save_wider(out / f"unet-{kind}-9", kind, 9)
    pipes, tensors, listed = {}, {}, cases()
    for number, case in enumerate(listed):
        model = case["model"]
        if model not in pipes:
            pipes[model] = load(model, out)
        latents, pixels = draw(pipes[model], case, out)
        assert latents.isfinite().all(), case
        tensors[f"{number:03}.latent"], tensors[f"{number:03}.image"] = latents, pixels
    save_file(tensors, out / "pictures.safetensors", metadata={"cases": json.dumps(listed)})
