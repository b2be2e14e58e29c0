#!/usr/bin/env python3
"""How far pictures in bf16 lie from those in fp32: ours, and diffusers' own.

usage: scripts/bf16_distance.py SDTORCH [MODEL]    MODEL: a diffusers folder; models/demo

Needs torch, diffusers, transformers, numpy and pillow. Draws twelve pictures (DDIM, 20 steps, guidance 7.5) four times:
by either program in either type, from the same noise. Prints each one's mean difference from diffusers' fp32, in levels
of 255, and the mean of all.
"""

import pathlib
import subprocess
import sys
import tempfile

import numpy
import torch
from diffusers import DDIMScheduler, DiffusionPipeline
from PIL import Image

PROMPTS = ["a castle in the middle on green hills at sunset", "a red house on a green hill",
           "a hot air balloon over the sea", "a pirate ship near a paradise beach"]
SEEDS = [1, 2, 3]
STEPS, SCALE = 20, 7.5
TYPES = {"fp32": torch.float32, "bf16": torch.bfloat16}


def levels(picture: Image.Image) -> numpy.ndarray:
    return numpy.asarray(picture.convert("RGB"), dtype=float)


def load(model: pathlib.Path, dtype: torch.dtype) -> DiffusionPipeline:
    pipe = DiffusionPipeline.from_pretrained(model, torch_dtype=dtype, safety_checker=None)
    pipe.set_progress_bar_config(disable=True)
    pipe.scheduler = DDIMScheduler.from_config(pipe.scheduler.config)
    return pipe


def main() -> int:
    if len(sys.argv) not in (2, 3):
        print(__doc__, file=sys.stderr)
        return 2
    program = sys.argv[1]
    model = pathlib.Path(sys.argv[2] if len(sys.argv) == 3 else pathlib.Path(__file__).parent.parent / "models" / "demo")
    pipes = {name: load(model, dtype) for name, dtype in TYPES.items()}

    def theirs(prompt: str, seed: int, name: str) -> numpy.ndarray:
        noise = torch.Generator().manual_seed(seed)
        drawn = pipes[name](prompt, generator=noise, num_inference_steps=STEPS, guidance_scale=SCALE)
        return levels(drawn.images[0])

    def ours(prompt: str, seed: int, name: str, file: pathlib.Path) -> numpy.ndarray:
        subprocess.run([program, "-q", "-m", model, "-p", prompt, "-s", str(seed), "--dtype", name, "--sampler", "ddim",
                        "--steps", str(STEPS), "--cfg-scale", str(SCALE), "-o", file], check=True, capture_output=True)
        return levels(Image.open(file))

    distances = []
    with tempfile.TemporaryDirectory() as folder:
        for prompt in PROMPTS:
            for seed in SEEDS:
                reference = theirs(prompt, seed, "fp32")
                pictures = [*(ours(prompt, seed, name, pathlib.Path(folder) / "x.png") for name in TYPES),
                            theirs(prompt, seed, "bf16")]
                distances.append([abs(picture - reference).mean() for picture in pictures])
                print("{:<50} {}: ours fp32 {:.4f}, bf16 {:.3f}; diffusers bf16 {:.3f}".format(prompt, seed, *distances[-1]))
    print("mean: ours fp32 {:.4f}, bf16 {:.3f}; diffusers bf16 {:.3f}".format(*numpy.mean(distances, axis=0)))
    return 0


if __name__ == "__main__":
    sys.exit(main())
