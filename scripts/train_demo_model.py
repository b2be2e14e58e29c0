#!/usr/bin/env python3
"""Trains the built-in model, models/demo, from nothing: pictures that it draws for itself, captions by a grammar.

    scripts/train_demo_model.py [--work build/demo-model] [--stage vae|text|unet|export|all]

Stages run in order and resume from the checkpoints in the work folder, so the run may be stopped at any time and
taken up again with the same command. Every draw is seeded by stage, step and process. On a GPU it uses the GPU, with
larger batches. Needs the packages of scripts/goldens/requirements.txt.
"""

import argparse
import os
import pathlib
import sys
import time

BATCH = {"cpu": {"vae": 16, "text": 128, "unet": 32}, "cuda": {"vae": 64, "text": 512, "unet": 128}}
ROOT = pathlib.Path(__file__).resolve().parent.parent


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--work", type=pathlib.Path, default=ROOT / "build/demo-model", help="checkpoints and logs")
    parser.add_argument("--stage", choices=("vae", "text", "unet", "export", "all"), default="all")
    parser.add_argument("--vae-samples", type=int, default=104_000, help="crops of 64 by 64 (default 104000)")
    parser.add_argument("--text-samples", type=int, default=96_000, help="captions (default 96000)")
    parser.add_argument("--unet-samples", type=int, default=700_800, help="noised latents (default 700800)")
    parser.add_argument("--pictures", type=int, default=24_000, help="pictures behind the latents (default 24000)")
    parser.add_argument("--output", type=pathlib.Path, default=ROOT / "models/demo", help="default models/demo")
    parser.add_argument(
        "--with-helper", action="store_true", help="take the gradients of a second process, started with --helper"
    )
    parser.add_argument("--helper", action="store_true", help="be that process (it ends when the stage ends)")
    return parser.parse_args()


def main():
    args = arguments()
    args.work.mkdir(parents=True, exist_ok=True)
    import torch

    from demo_model.export import export
    from demo_model.train_text import train_text
    from demo_model.train_unet import train_unet
    from demo_model.train_vae import train_vae

    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    if device.type == "cpu":
        torch.set_num_threads(1)
    batch = BATCH[device.type]
    board = args.work / "board" if args.helper or args.with_helper else None
    place = {"device": device, "helper": args.helper, "board": board}
    began = time.strftime("%F %T")

    def log(line: str):
        if not args.helper:
            with open(args.work / "train.log", "a", encoding="utf-8") as file:
                print(f"{time.strftime('%T')} {line}", file=file)
            print(line, flush=True)

    log(f"began {began} on {device}")
    if args.stage in ("vae", "all"):
        train_vae(args.work, samples=args.vae_samples, batch=batch["vae"], log=log, **place)
    if args.stage in ("text", "all"):
        train_text(args.work, samples=args.text_samples, batch=batch["text"], device=device, log=log)
    if args.stage in ("unet", "all"):
        train_unet(args.work, samples=args.unet_samples, pictures=args.pictures, batch=batch["unet"], log=log, **place)
    if args.stage in ("export", "all") and not args.helper:
        export(args.work, args.output, log)


if __name__ == "__main__":
    sys.exit(main())
