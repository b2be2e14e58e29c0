#!/usr/bin/env python3
"""Trains two LoRAs for the built-in model, models/demo/lora, on pictures that it draws for itself.

    scripts/train_demo_loras.py [--work build/demo-loras] [--only postcard|autumn]

`postcard` is a style, `autumn` a colour; a few minutes each on one core. Every draw is seeded by LoRA and step. Needs
the packages of scripts/goldens/requirements.txt, and peft.
"""

import argparse
import pathlib
import sys
import time

ROOT = pathlib.Path(__file__).resolve().parent.parent
LORAS = {"postcard": {"rank": 8, "samples": 20_000}, "autumn": {"rank": 8, "samples": 8_000}}


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--work", type=pathlib.Path, default=ROOT / "build/demo-loras", help="latents and logs")
    parser.add_argument("--only", choices=tuple(LORAS), help="train this one")
    parser.add_argument("--model", type=pathlib.Path, default=ROOT / "models/demo", help="default models/demo")
    parser.add_argument("--output", type=pathlib.Path, default=ROOT / "models/demo/lora", help="default models/demo/lora")
    parser.add_argument("--pictures", type=int, default=2000, help="pictures behind the latents (default 2000)")
    return parser.parse_args()


def main():
    args = arguments()
    args.work.mkdir(parents=True, exist_ok=True)
    import torch

    from demo_model.demo import Demo
    from demo_model.train_loras import train_lora

    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    if device.type == "cpu":
        torch.set_num_threads(1)

    def log(line: str):
        with open(args.work / "train.log", "a", encoding="utf-8") as file:
            print(f"{time.strftime('%T')} {line}", file=file)
        print(line, flush=True)

    demo = Demo(args.model, device)
    for name, how in LORAS.items():
        if args.only in (None, name):
            train_lora(demo, args.work, args.output, name, picture_count=args.pictures, batch=32, log=log, **how)


if __name__ == "__main__":
    sys.exit(main())
