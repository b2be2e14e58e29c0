#!/usr/bin/env python3
"""What each option gains that trades exactness for speed, and what it costs: scripts/bench_shortcuts.py [FLAGS]

Draws several prompts and seeds exactly and with each option, in turn, round after round, in one process. Prints a table
of the seconds of a picture's denoising (medians), of how many times faster that is than the exact one's beside it
(median of the ratios), and of how far the pictures are from the exact ones: mean and largest difference in levels of
255, and PSNR over all pixels of all pictures. sdtorch says what a picture took in all: text and decoding, which no
option changes, are taken off by a run of a single step beside the others.
"""

import argparse
import json
import pathlib
import statistics
import subprocess
import sys
import tempfile

import numpy as np
from PIL import Image

ROOT = pathlib.Path(__file__).resolve().parents[1]
PROMPTS = ["a red house on green hills", "a castle in the middle on green hills at sunset", "a boat on the blue sea at night",
           "two trees on a beach by day"]
OPTIONS = {
    "cfg-interval 20%,80%": ["--cfg-interval", "20%,80%"],
    "cfg-interval 40%,80%": ["--cfg-interval", "40%,80%"],
    "deep-cache 2": ["--deep-cache", "2"],
    "deep-cache 3": ["--deep-cache", "3"],
    "deep-cache 5": ["--deep-cache", "5"],
    "deep-cache 2,1": ["--deep-cache", "2,1"],
    "deep-cache 3,1": ["--deep-cache", "3,1"],
    "tome 0.3": ["--tome", "0.3"],
    "tome 0.5": ["--tome", "0.5"],
    "tgate 10": ["--tgate", "10"],
    "tgate 5": ["--tgate", "5"],
    "deep-cache 2, tgate 10": ["--deep-cache", "2", "--tgate", "10"],
    "lcm, 4 steps": ["--sampler", "lcm", "--steps", "4", "--cfg-scale", "2"],
    "dpm++2m karras, 10 steps": ["--sampler", "dpm++2m", "--scheduler", "karras", "--steps", "10"],
}

# What a line of a prompt file cannot say has a process of its own, right behind the others'.
OF_PROCESS = {"quantize int8": ["--quantize", "int8"], "quantize fp8": ["--quantize", "fp8"]}


def flags_as_json(flags: list[str]) -> dict:
    """A prompt file's keys are the long flags."""
    def value(text: str):
        for kind in (int, float):
            try:
                return kind(text)
            except ValueError:
                pass
        parts = [value(part) for part in text.split(",")] if "," in text else []
        return parts if parts and not any(isinstance(part, str) for part in parts) else text

    return {flag.removeprefix("--"): value(text) for flag, text in zip(flags[::2], flags[1::2])}


def draw_all(args: argparse.Namespace, lines: list[dict], folder: pathlib.Path, flags: list[str]) -> list[dict]:
    """→ what sdtorch reports of each line, in their order, after a picture to warm up."""
    lines = lines[:1] + lines
    listed = folder / "lines.jsonl"
    folder.mkdir(exist_ok=True)
    listed.write_text("".join(json.dumps(line) + "\n" for line in lines))
    command = [args.tool, "--from-file", str(listed), "--outdir", str(folder / "out"), "--json", "-q"]
    command += ["-m", args.model] if args.model else []
    command += ["-t", str(args.threads)] if args.threads else []
    run = subprocess.run(command + flags + args.more, capture_output=True, text=True)
    if run.returncode:
        sys.exit(f"{' '.join(run.args)}\n{run.stderr}")
    return [json.loads(line) for line in run.stdout.splitlines()][1:]


def distance(exact: str, other: str) -> np.ndarray:
    a, b = (np.asarray(Image.open(path), dtype=np.float64) for path in (exact, other))
    return np.abs(a - b)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("--tool", default=str(ROOT / "build/dev/bin/sdtorch"))
    parser.add_argument("--model", help="default: the built-in one")
    parser.add_argument("--threads", type=int)
    parser.add_argument("--rounds", type=int, default=1, help="over all pictures (1)")
    parser.add_argument("--seeds", type=int, default=2, help="of each prompt (2)")
    parser.add_argument("--prompts", type=int, default=len(PROMPTS), help="how many of ours (all)")
    parser.add_argument("--option", action="append", metavar="TEXT", help="those alone whose names hold it")
    parser.add_argument("--json", type=pathlib.Path, help="write the figures there, too")
    parser.add_argument("--calls", type=int, default=39, help="of the U-Net in an exact picture (39: Heun, 20 steps)")
    parser.add_argument("--of-all", type=str.split, default=[], metavar="FLAGS", help="for all pictures, as '--steps 30'")
    parser.add_argument("more", nargs="*", help="flags of the process, after --")
    args = parser.parse_args()
    chosen = {name: flags for name, flags in OPTIONS.items() if not args.option or any(o in name for o in args.option)}
    kinds = {"exact": [], "1 step": ["--steps", "1"], **chosen}
    pictures = [(prompt, seed) for prompt in PROMPTS[: args.prompts] for seed in range(1, args.seeds + 1)] * args.rounds
    lines = [{"prompt": prompt, "seed": seed, **flags_as_json(args.of_all), **flags_as_json(flags)}
             for prompt, seed in pictures for flags in kinds.values()]
    of_process = {name: flags for name, flags in OF_PROCESS.items() if not args.option or any(o in name for o in args.option)}
    chosen |= of_process
    seconds = {name: [] for name in kinds | of_process}
    apart = {name: [] for name in chosen}
    with tempfile.TemporaryDirectory() as folder:
        results = draw_all(args, lines, pathlib.Path(folder) / "exact", [])
        exact = [line for line in lines if len(line) == 2 + len(args.of_all) // 2]
        whole = {name: draw_all(args, exact, pathlib.Path(folder) / str(i), flags)
                 for i, (name, flags) in enumerate(of_process.items())}
        for i, start in enumerate(range(0, len(results), len(kinds))):
            group = dict(zip(kinds, results[start : start + len(kinds)]))
            group |= {name: drawn[i] for name, drawn in whole.items()}
            for name, result in group.items():
                seconds[name].append(result["seconds"])
            for name in chosen:
                apart[name].append(distance(group["exact"]["path"], group[name]["path"]))
    # Of n calls one is the single step's.
    beside = max(statistics.median(seconds["1 step"]) - statistics.median(seconds["exact"]) / args.calls, 0)
    print(f"exact: {statistics.median(seconds['exact']) - beside:.3f} s and {beside:.3f} s for text and decoding; "
          f"{len(pictures)} pictures a row")
    print("| option | seconds | times faster | mean difference | largest | PSNR, dB |\n|---|---|---|---|---|---|")
    rows = []
    for name in chosen:
        levels = np.concatenate([one.ravel() for one in apart[name]])
        faster = [(exact - beside) / (one - beside) for exact, one in zip(seconds["exact"], seconds[name])]
        rows.append({"option": name, "seconds": statistics.median(seconds[name]) - beside,
                     "faster": statistics.median(faster), "mean": levels.mean(), "most": int(levels.max()),
                     "psnr": float(10 * np.log10(255**2 / max((levels**2).mean(), 1e-9)))})
        print("| `{option}` | {seconds:.3f} | {faster:.2f} | {mean:.2f} | {most} | {psnr:.1f} |".format(**rows[-1]))
    if args.json:
        args.json.write_text(json.dumps(rows, indent=1) + "\n")


if __name__ == "__main__":
    main()
