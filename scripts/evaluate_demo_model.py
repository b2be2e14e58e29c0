#!/usr/bin/env python3
"""Measures how well the built-in model's pictures show what their prompts tell, by the pixel rules of demo_model/rules.py.

    scripts/evaluate_demo_model.py [--prompts 500] [--cfg 0,1,3,7.5] [--images DIR] [--json FILE]

The prompts tell scenes in combinations that training has left out: sky, ground, objects with colours and sides. They
are drawn by `sdtorch --from-file`, picture i with seed i, everything else as the tool has it. First the rules have to
show that they are right about real renders of the prompts, and say no to real renders of other prompts. Prints a
Markdown table; exit 1 where a target is missed. Needs numpy and pillow; exit 77 without them.
"""

import argparse
import collections
import concurrent.futures
import dataclasses
import json
import math
import os
import pathlib
import random
import subprocess
import sys
import tempfile

try:
    import numpy
    from PIL import Image, ImageFilter
except ImportError as missing:
    print(f"skipped: {missing}; pip install numpy pillow", file=sys.stderr)
    sys.exit(77)

from demo_model.prompts import other_ground_sides_and_colours, other_sky_and_objects, tell, unseen_scene
from demo_model.render import render
from demo_model.rules import ATTRIBUTES, judge, look
from demo_model.scenes import Scene, any_scene

ROOT = pathlib.Path(__file__).resolve().parent.parent
TARGETS = {"sky": 95, "ground": 95, "object": 85, "colour": 90, "side": 85}  # per cent, at DEFAULT_CFG
DEFAULT_CFG = 7.5
RENDER_LEAST = 97  # per cent that the rules must find in real renders of the prompt
WORN_LEAST = 95  # likewise in worn ones
OTHER_MOST = {"sky": 10, "ground": 10, "object": 10, "colour": 10, "side": 55}  # and at most in those of another one
COLUMNS = {"sky": "sky", "ground": "ground", "object": "every object", "colour": "colour", "side": "side", "all": "all"}

Score = dict[str, list[bool]]  # per attribute, one entry a picture or an object


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--binary", type=pathlib.Path, default=ROOT / "scripts/sdtorch", help="default scripts/sdtorch")
    parser.add_argument("--model", type=pathlib.Path, default=ROOT / "models/demo", help="default models/demo")
    parser.add_argument("--prompts", type=int, default=500, help="how many (default 500)")
    parser.add_argument("--cfg", default="0,1,3,7.5", help="guidance scales (default 0,1,3,7.5)")
    parser.add_argument("--steps", help="default: the tool's")
    parser.add_argument("--sampler", help="default: the tool's, which is the model's")
    parser.add_argument("--images", type=pathlib.Path, help="a folder to keep the pictures in")
    parser.add_argument("--json", type=pathlib.Path, help="a file for every prompt's verdicts")
    parser.add_argument("--work", type=pathlib.Path, default=ROOT / "build/demo-evaluation", help="for the prompts' texts")
    parser.add_argument("--controls-only", action="store_true", help="test the rules, on worn and empty renders too, and draw nothing")
    args = parser.parse_args()
    try:
        args.cfg = {f"cfg {text.strip()}": float(text) for text in args.cfg.split(",")}
    except ValueError:
        parser.error(f"--cfg {args.cfg}: numbers with commas between them are meant")
    if args.prompts < 1:
        parser.error("--prompts: 1 or more")
    return args


def see(picture: numpy.ndarray, scene: Scene) -> Score:
    """What of the scene the picture shows; `all` is whether everything is there."""
    score = judge(look(picture), scene)
    return {**score, "all": [all(all(entries) for entries in score.values())]}


def control(pair: tuple[Scene, Scene]) -> Score:
    drawn, told = pair
    return see(render(drawn), told)


def check_file(pair: tuple[str, Scene]) -> Score:
    path, told = pair
    with Image.open(path) as image:
        return see(numpy.asarray(image.convert("RGB")), told)


def worn(scene: Scene) -> Score:
    """The rules' score of a real render that is blurred, noisy and moved by a few pixels, as a small model's may be."""
    rng = numpy.random.default_rng(scene.seed)
    picture = Image.fromarray(render(scene)).filter(ImageFilter.GaussianBlur(1))
    shifted = numpy.roll(numpy.asarray(picture), rng.choice((-6, 6)), axis=1)
    noisy = numpy.clip(shifted + rng.normal(0, 10, shifted.shape), 0, 255)
    return see(noisy.astype(numpy.uint8), scene)


def smeared(scene: Scene) -> Score:
    """The rules' score of a real render of which nothing but blobs is left."""
    return see(numpy.asarray(Image.fromarray(render(scene)).filter(ImageFilter.GaussianBlur(10))), scene)


def bare(scene: Scene) -> Score:
    """The rules' score of the scene's landscape without its objects."""
    return control((dataclasses.replace(scene, objects=()), scene))


def percentages(scores: list[Score]) -> dict[str, float]:
    entries = collections.defaultdict(list)
    for score in scores:
        for attribute, values in score.items():
            entries[attribute] += values
    return {attribute: 100 * sum(values) / len(values) for attribute, values in entries.items() if values}


def controls(scenes: list[Scene], pool: concurrent.futures.Executor) -> dict[str, dict[str, float]]:
    """The rows of the table that no model has drawn."""

    def row(name: str, draw) -> dict[str, float]:
        drawn = [draw(scene, random.Random(f"{name} {i}")) for i, scene in enumerate(scenes)]
        return percentages(list(pool.map(control, zip(drawn, scenes, strict=True), chunksize=5)))

    one = row("sky and objects", other_sky_and_objects)
    two = row("ground, sides and colours", other_ground_sides_and_colours)
    other = {name: (one if name in ("sky", "object") else two)[name] for name in ATTRIBUTES if name in two}
    return {
        "chance: a render of any scene": row("chance", lambda _, rng: any_scene(rng)),
        "a render of the prompt": row("same", lambda scene, _: scene),
        "a render that differs in it": other,
    }


def strain(scenes: list[Scene], pool: concurrent.futures.Executor) -> tuple[dict[str, dict[str, float]], list[str]]:
    """Rows for renders that are worse than real ones, and what the rules wrongly miss or find in them."""
    rows = {
        name: percentages(list(pool.map(score, scenes, chunksize=5)))
        for name, score in (("worn renders", worn), ("blobs", smeared), ("no objects", bare))
    }
    wrong = [f"rules: {name}: {value:.1f} % of worn renders, below {WORN_LEAST}"
             for name, value in rows["worn renders"].items() if name in ATTRIBUTES and value < WORN_LEAST]
    wrong += [f"rules: {name}: {rows[name]['object']:.1f} % of objects, above {OTHER_MOST['object']}"
              for name in ("blobs", "no objects") if rows[name]["object"] > OTHER_MOST["object"]]
    return rows, wrong


def draw(args: argparse.Namespace, cfg: float, prompts: pathlib.Path, folder: pathlib.Path) -> list[str]:
    """The pictures' paths, in the prompts' order."""
    command = [args.binary, "--model", args.model, "--from-file", prompts, "--cfg-scale", cfg, "--outdir", folder, "--json"]
    command += ["--steps", args.steps] if args.steps else []
    command += ["--sampler", args.sampler] if args.sampler else []
    done = subprocess.run(list(map(str, command)), stdout=subprocess.PIPE, text=True, stdin=subprocess.DEVNULL)
    if done.returncode != 0:
        sys.exit(f"error: {args.binary} ended with exit {done.returncode}")
    results = sorted(map(json.loads, done.stdout.splitlines()), key=lambda result: result["index"])
    return [result["path"] for result in results]


def misses(table: dict[str, dict[str, float]], cfgs: dict[str, float], prompts: int) -> list[str]:
    """What does not hold, a line each."""
    chance, same, other = list(table.values())[:3]
    wrong = [f"rules: {name}: {same[name]:.1f} % of real renders, below {RENDER_LEAST}" for name in ATTRIBUTES
             if name in same and same[name] < RENDER_LEAST]
    wrong += [f"rules: {name}: {value:.1f} % of renders that differ in it, above {OTHER_MOST[name]}"
              for name, value in other.items() if value > OTHER_MOST[name]]
    for name, cfg in cfgs.items():
        row = table[name]
        if cfg == DEFAULT_CFG:
            wrong += [f"{name}: {attribute}: {row[attribute]:.1f} %, below {least}" for attribute, least in TARGETS.items()
                      if row.get(attribute, 100) < least]
        if cfg == 0:
            for attribute in ATTRIBUTES:
                p = chance.get(attribute, 100) / 100
                # three standard deviations of the difference of two such samples, and a prompt's worth for p = 0
                most = 100 * (p + 3 * math.sqrt(2 * max(p * (1 - p), 1 / prompts) / prompts))
                if row.get(attribute, 0) > most:
                    wrong.append(f"{name}: {attribute}: {row[attribute]:.1f} %, better than chance (at most {most:.1f})")
    return wrong


def markdown(table: dict[str, dict[str, float]]) -> str:
    lines = ["| | " + " | ".join(COLUMNS.values()) + " |", "|---|" + "---|" * len(COLUMNS)]
    for name, row in table.items():
        cells = [f"{row[column]:.1f} %" if column in row else "" for column in COLUMNS]
        lines.append(f"| {name} | " + " | ".join(cells) + " |")
    return "\n".join(lines)


def report(wrong: list[str]) -> int:
    """Says what is missed; the exit status."""
    for line in wrong:
        print(f"missed: {line}", file=sys.stderr)
    return 1 if wrong else 0


def main() -> int:
    args = arguments()
    rng = random.Random("evaluation")
    scenes = [unseen_scene(rng) for _ in range(args.prompts)]
    texts = [tell(scene, rng) for scene in scenes]
    details = [{"prompt": text, "seed": i} for i, text in enumerate(texts)]
    args.work.mkdir(parents=True, exist_ok=True)
    prompts = args.work / "prompts.jsonl"
    prompts.write_text("".join(json.dumps(line) + "\n" for line in details), encoding="utf-8")

    with concurrent.futures.ProcessPoolExecutor(min(4, len(os.sched_getaffinity(0)))) as pool:
        table = controls(scenes, pool)
        wrong = misses(table, {}, args.prompts)
        if args.controls_only:
            rows, more = strain(scenes, pool)
            print(markdown(table | rows))
            return report(wrong + more)
        if wrong:
            print(markdown(table))
            return report(wrong)
        with tempfile.TemporaryDirectory() as scratch:
            folder = args.images or pathlib.Path(scratch)
            for name, cfg in args.cfg.items():
                paths = draw(args, cfg, prompts, folder / f"cfg-{cfg:g}")
                scores = list(pool.map(check_file, zip(paths, scenes, strict=True), chunksize=5))
                table[name] = percentages(scores)
                for line, score in zip(details, scores, strict=True):
                    line[name] = score
    print(markdown(table))
    if args.json:
        args.json.write_text(json.dumps({"table": table, "prompts": details}, indent=1), encoding="utf-8")
    wrong = misses(table, args.cfg, args.prompts)
    return report(wrong)


if __name__ == "__main__":
    sys.exit(main())
