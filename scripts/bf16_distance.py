#!/usr/bin/env python3
"""How far pictures in bf16 lie from those in fp32: ours, and diffusers' own.

usage: scripts/bf16_distance.py SDTORCH [MODEL] [--pictures N] [--steps N]    MODEL: a diffusers folder; models/demo

Needs torch, diffusers, transformers, numpy and pillow. Draws twelve pictures (DDIM, 20 steps, guidance 7.5) four times:
by either program in either type, from the same noise. Prints each one's mean difference from diffusers' fp32, in levels
of 255, and the mean of all.
"""

import argparse
import itertools
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
SCALE = 7.5
TYPES = {"fp32": torch.float32, "bf16": torch.bfloat16}


def levels(picture: Image.Image) -> numpy.ndarray:
    return numpy.asarray(picture.convert("RGB"), dtype=float)


def load(model: pathlib.Path, dtype: torch.dtype) -> DiffusionPipeline:
    pipe = DiffusionPipeline.from_pretrained(model, torch_dtype=dtype, safety_checker=None)
    pipe.set_progress_bar_config(disable=True)
    pipe.scheduler = DDIMScheduler.from_config(pipe.scheduler.config)
    return pipe


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("program")
    parser.add_argument("model", nargs="?", type=pathlib.Path,
                        default=pathlib.Path(__file__).parent.parent / "models" / "demo")
    parser.add_argument("--pictures", type=int, default=len(PROMPTS) * len(SEEDS))
    parser.add_argument("--steps", type=int, default=20)
    given = parser.parse_args()
    program, model = given.program, given.model
    pipes = {name: load(model, dtype) for name, dtype in TYPES.items()}

    def theirs(prompt: str, seed: int, name: str) -> numpy.ndarray:
        noise = torch.Generator().manual_seed(seed)
        drawn = pipes[name](prompt, generator=noise, num_inference_steps=given.steps, guidance_scale=SCALE)
        return levels(drawn.images[0])

    def ours(prompt: str, seed: int, name: str, file: pathlib.Path) -> numpy.ndarray:
        subprocess.run([program, "-q", "-m", model, "-p", prompt, "-s", str(seed), "--dtype", name, "--sampler", "ddim",
                        "--steps", str(given.steps), "--cfg-scale", str(SCALE), "-o", file], check=True, capture_output=True)
        return levels(Image.open(file))

    distances = []
    with tempfile.TemporaryDirectory() as folder:
        for prompt, seed in list(itertools.product(PROMPTS, SEEDS))[:given.pictures]:
            reference = theirs(prompt, seed, "fp32")
            pictures = [*(ours(prompt, seed, name, pathlib.Path(folder) / "x.png") for name in TYPES),
                        theirs(prompt, seed, "bf16")]
            distances.append([abs(picture - reference).mean() for picture in pictures])
            print("{:<50} {}: ours fp32 {:.4f}, bf16 {:.3f}; diffusers bf16 {:.3f}".format(prompt, seed, *distances[-1]),
                  flush=True)
    print("mean: ours fp32 {:.4f}, bf16 {:.3f}; diffusers bf16 {:.3f}".format(*numpy.mean(distances, axis=0)))
    return 0


if __name__ == "__main__":
    sys.exit(main())
