#!/usr/bin/env python3
"""One peer as a process of its own: diffusers as it comes, compiled by torch, or with OpenVINO's networks.

It either draws one picture and ends, as a user's script would, or draws part by part and takes turns, as
`sdtorch bench --by-turns` does: a line on standard output after each of load, text, step and vae, with its seconds, and
a line from standard input before the next; again and again until that ends.
"""

import time

STARTED = time.perf_counter()  # before the imports: they are part of loading

import argparse
import json
import os
import pathlib
import sys

PROMPT = "a lake between mountains at sunset"


class Parts:
    """Measures parts and tells them; what the telling takes is not measured."""

    def __init__(self, by_turns: bool):
        self.by_turns, self.again, self.last = by_turns, False, STARTED

    def finish(self, part: str) -> None:
        seconds = time.perf_counter() - self.last
        if self.by_turns:
            print(json.dumps({"part": part, "seconds": seconds}), flush=True)
            self.again = bool(sys.stdin.readline())
        self.last = time.perf_counter()


def load(arguments, torch):
    import diffusers

    diffusers.utils.logging.set_verbosity_error()
    with open(arguments.model / "model_index.json", encoding="utf-8") as index:
        pipeline_class = getattr(diffusers, json.load(index)["_class_name"])
    dtype = {"bf16": torch.bfloat16, "fp32": torch.float32}[arguments.dtype]
    given = {"unet": None, "vae": None} if arguments.peer == "openvino" else {}
    pipe = pipeline_class.from_pretrained(str(arguments.model), torch_dtype=dtype, **given)
    pipe.set_progress_bar_config(disable=True)
    if arguments.sampler == "euler":
        pipe.scheduler = diffusers.EulerDiscreteScheduler.from_config(pipe.scheduler.config)
    if arguments.peer == "openvino":
        from openvino_networks import put_networks
        put_networks(pipe, arguments)
        return pipe
    pipe.unet.to(memory_format=torch.channels_last)
    pipe.vae.to(memory_format=torch.channels_last)
    if arguments.peer == "compile":
        pipe.unet.compile()
    return pipe


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--peer", choices=["diffusers", "compile", "openvino"], required=True)
    parser.add_argument("--model", type=pathlib.Path, required=True)
    parser.add_argument("--networks", type=pathlib.Path, help="openvino: the folder of its converted networks")
    parser.add_argument("--dtype", choices=["bf16", "fp32"], required=True)
    parser.add_argument("--sampler", choices=["euler", "model"], default="euler")
    parser.add_argument("--width", type=int)
    parser.add_argument("--height", type=int)
    parser.add_argument("--steps", type=int, default=20)
    parser.add_argument("--threads", type=int, required=True)
    parser.add_argument("--by-turns", action="store_true")
    parser.add_argument("--output", type=pathlib.Path)
    arguments = parser.parse_args()

    parts = Parts(arguments.by_turns)
    os.environ["OMP_NUM_THREADS"] = str(arguments.threads)
    import torch

    torch.set_num_threads(arguments.threads)
    pipe = load(arguments, torch)
    parts.finish("load")

    encode_prompt = pipe.encode_prompt

    def encode_and_tell(*given, **named):
        encoded = encode_prompt(*given, **named)
        parts.finish("text")
        return encoded

    def after_step(_pipe, _step, _timestep, tensors):
        parts.finish("step")
        return tensors

    pipe.encode_prompt = encode_and_tell
    size = {key: value for key, value in (("width", arguments.width), ("height", arguments.height)) if value}
    while True:
        image = pipe(PROMPT, num_inference_steps=arguments.steps, guidance_scale=7.5,
                     generator=[torch.Generator("cpu").manual_seed(42)], callback_on_step_end=after_step, **size).images[0]
        parts.finish("vae")
        if arguments.output:
            image.save(arguments.output)
        if not parts.again:
            return


if __name__ == "__main__":
    main()
