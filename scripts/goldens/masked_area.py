"""Parts of pictures repainted at the model's own size and pasted back, by diffusers' inpainting pipelines with
padding_mask_crop; with the models and pictures of the area inpainting."""

import json
import pathlib

import image_to_image
import inpainting
import numpy as np
import torch
from PIL import Image, ImageDraw
from safetensors.torch import save_file

# Where the mask's white lies in a picture of 120 by 90: in the middle, at corners, tall, wide, all of it.
MASKS = {"middle": (40, 30, 70, 55), "corner": (0, 0, 15, 20), "end": (100, 70, 119, 89), "tall": (50, 0, 60, 89),
         "wide": (0, 40, 119, 50), "all": (0, 0, 119, 89)}


@torch.no_grad()
def make(out: pathlib.Path) -> None:
    start = Image.open(image_to_image.GOLDEN / "image_to_image" / "first.png").convert("RGB").resize((120, 90))
    start.save(out / "start.png")
    pipe = inpainting.load("sd1", image_to_image.GOLDEN / "inpainting")
    listed, tensors = [], {}
    for number, (name, box) in enumerate(MASKS.items()):
        mask = Image.new("L", start.size)
        ImageDraw.Draw(mask).ellipse(box, fill=255)
        mask.save(out / f"{name}.png")
        case = {"mask": f"{name}.png", "mask-padding": (0, 8, 32)[number % 3], "width": (48, 64)[number % 2],
                "height": 48, "steps": 4, "cfg-scale": 3, "seed": number}
        picture = pipe(prompt="a house", image=start, mask_image=mask, strength=1.0, num_inference_steps=4,
                       guidance_scale=3.0, generator=torch.Generator("cpu").manual_seed(number), width=case["width"],
                       height=48, padding_mask_crop=case["mask-padding"]).images[0]
        listed.append(case)
        tensors[f"{number:03}.image"] = torch.from_numpy(np.asarray(picture).copy())
    save_file(tensors, out / "pictures.safetensors", metadata={"cases": json.dumps(listed)})
