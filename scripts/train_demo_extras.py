#!/usr/bin/env python3
"""Trains what comes beside the built-in model, models/demo-extras, on pictures that it draws for itself.

    scripts/train_demo_extras.py [--work build/demo-extras] [--stage classifier|edges|inpainting|all]

Stages resume from the checkpoints in the work folder, so the run may be stopped at any time and taken up again with the
same command. Every draw is seeded by stage and step. Needs the packages of scripts/goldens/requirements.txt.
"""

import argparse
import pathlib
import sys
import time

ROOT = pathlib.Path(__file__).resolve().parent.parent


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--work", type=pathlib.Path, default=ROOT / "build/demo-extras", help="checkpoints and logs")
    parser.add_argument("--stage", choices=("classifier", "edges", "inpainting", "all"), default="all")
    parser.add_argument("--model", type=pathlib.Path, default=ROOT / "models/demo", help="default models/demo")
    parser.add_argument("--output", type=pathlib.Path, default=ROOT / "models/demo-extras", help="default models/demo-extras")
    parser.add_argument("--pictures", type=int, default=12_000, help="pictures behind the latents (default 12000)")
    parser.add_argument("--classifier-samples", type=int, default=256_000, help="noised latents (default 256000)")
    parser.add_argument("--edges-samples", type=int, default=24_000, help="noised latents (default 24000)")
    parser.add_argument("--inpainting-samples", type=int, default=96_000, help="noised latents (default 96000)")
    return parser.parse_args()


def main():
    args = arguments()
    args.work.mkdir(parents=True, exist_ok=True)
    import torch

    from demo_model.demo import Demo
    from demo_model.train_classifier import train_classifier
    from demo_model.train_edges import train_edges
    from demo_model.train_inpainting import train_inpainting

    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    if device.type == "cpu":
        torch.set_num_threads(1)

    def log(line: str):
        with open(args.work / "train.log", "a", encoding="utf-8") as file:
            print(f"{time.strftime('%T')} {line}", file=file)
        print(line, flush=True)

    log(f"began {time.strftime('%F %T')} on {device}")
    demo = Demo(args.model, device)
    place = {"picture_count": args.pictures, "log": log}
    if args.stage in ("classifier", "all"):
        folder = args.output / "sky-classifier"
        train_classifier(demo, args.work, folder, samples=args.classifier_samples, batch=128, **place)
    if args.stage in ("edges", "all"):
        train_edges(demo, args.work, args.output / "edges", samples=args.edges_samples, batch=16, **place)
    if args.stage in ("inpainting", "all"):
        folder = args.output / "inpainting"
        train_inpainting(demo, args.work, folder, samples=args.inpainting_samples, batch=32, **place)


if __name__ == "__main__":
    sys.exit(main())
