#!/usr/bin/env python3
"""diffusers as a script over many prompts uses it: loaded once, then prompt after prompt, each picture written as a PNG."""

import argparse
import os
import pathlib


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--model", type=pathlib.Path, required=True)
    parser.add_argument("--dtype", choices=["bf16", "fp32"], required=True)
    parser.add_argument("--prompts", type=pathlib.Path, required=True, help="one a line")
    parser.add_argument("--output", type=pathlib.Path, required=True, help="a folder")
    parser.add_argument("--steps", type=int, default=20)
    parser.add_argument("--size", type=int, help="pixels, wide and high; the model's own")
    parser.add_argument("--batch-size", type=int, default=1, help="prompts that share a call")
    parser.add_argument("--threads", type=int, required=True)
    arguments = parser.parse_args()

    os.environ["OMP_NUM_THREADS"] = str(arguments.threads)
    import torch

    import worker

    torch.set_num_threads(arguments.threads)
    pipe = worker.load(argparse.Namespace(model=arguments.model, dtype=arguments.dtype, peer="diffusers", sampler="model"),
                       torch)
    arguments.output.mkdir(parents=True, exist_ok=True)
    prompts = arguments.prompts.read_text(encoding="utf-8").splitlines()
    size = {"width": arguments.size, "height": arguments.size} if arguments.size else {}
    for first in range(0, len(prompts), arguments.batch_size):
        some = prompts[first:first + arguments.batch_size]
        pictures = pipe(some, num_inference_steps=arguments.steps, guidance_scale=7.5,
                        generator=[torch.Generator("cpu").manual_seed(42) for _ in some], **size).images
        for number, picture in enumerate(pictures, first):
            picture.save(arguments.output / f"{number:05}.png")


if __name__ == "__main__":
    main()
