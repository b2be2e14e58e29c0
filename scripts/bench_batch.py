#!/usr/bin/env python3
"""Images per minute of a prompt file: by sdtorch in one process, at several batch sizes; by a process a prompt; and by
diffusers in a loop, loaded once, which draws the same pictures.

From start to end of each, loading and PNGs included; rounds alternate. The built-in model by its own settings, or a model
of full size and random weights (--model sd1 --steps 2). What is missing is made, as by bench_peers.py. Prints a table of
medians with the least and the most; --json keeps every measurement. Exit 1 where sdtorch failed.
"""

import argparse
import json
import os
import pathlib
import platform
import statistics
import subprocess
import sys
import tempfile

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent / "peers"))

import installation
from installation import HERE, MODELS, ROOT, say
from measuring import rotated
from processes import PeerFailed, Whole

PLACES = ["by the sea", "on green hills", "in the desert", "in front of snowy mountains"]
THINGS = ["a lighthouse", "a red house", "a castle", "a palm", "a pirate ship", "a yellow hot-air balloon", "a cactus",
          "an astronaut"]
SKIES = ["at sunset", "by day", "under a starry sky", "in a cosmic dream"]


def prompts_of(count: int) -> list[str]:
    return [f"{THINGS[i % len(THINGS)]} {PLACES[i // len(THINGS) % len(PLACES)]} {SKIES[(i + i // 4) % len(SKIES)]}"
            for i in range(count)]


def arguments_of() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", choices=["demo", *MODELS], default="demo", help="demo: the built-in one")
    parser.add_argument("--prompts", type=int, default=32, help="in the file (32)")
    parser.add_argument("--alone", type=int, default=8, help="of them, drawn by a process each (8)")
    parser.add_argument("--batch-size", nargs="+", default=["1", "auto", "4"], help="of sdtorch (1 auto 4)")
    parser.add_argument("--dtype", nargs="+", choices=["fp32", "bf16"], default=["fp32", "bf16"])
    parser.add_argument("--steps", type=int, default=20)
    parser.add_argument("--size", type=int, help="pixels, wide and high; the model's own")
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--threads", type=int, default=len(os.sched_getaffinity(0)), help="all cores")
    parser.add_argument("--json", type=pathlib.Path, help="a file for every measurement")
    parser.add_argument("--sdtorch", help="its program (scripts/sdtorch, which builds it)")
    parser.add_argument("--python", help="a Python that has diffusers, instead of one in .deps/peers/venv; none leaves it out")
    parser.add_argument("--cache", type=pathlib.Path, default=installation.CACHE)
    return parser.parse_args()


class Bench:
    def __init__(self, arguments: argparse.Namespace, work: pathlib.Path):
        self.arguments, self.work = arguments, work
        self.sdtorch = arguments.sdtorch or str(ROOT / "scripts/sdtorch")
        subprocess.run([self.sdtorch, "--version"], check=True, stdout=subprocess.DEVNULL)  # builds it
        self.python = None if arguments.python == "none" else installation.python_of_peers(arguments.python)
        self.model = ROOT / "models/demo" if arguments.model == "demo" else installation.model_folder(
            self.sdtorch, MODELS[arguments.model], "full")
        self.prompts = prompts_of(arguments.prompts)
        self.file = work / "prompts.txt"
        self.file.write_text("\n".join(self.prompts) + "\n", encoding="utf-8")
        self.number = 0

    def folder(self) -> pathlib.Path:
        self.number += 1
        return self.work / f"out-{self.number}"

    def settings(self, dtype: str) -> list[str]:
        size = ["-W", str(self.arguments.size), "-H", str(self.arguments.size)] if self.arguments.size else []
        return [self.sdtorch, "-q", "-m", str(self.model), "--dtype", dtype, "-t", str(self.arguments.threads), "--steps",
                str(self.arguments.steps), *size]

    def of_file(self, dtype: str, batch_size: str) -> tuple[int, float]:
        return len(self.prompts), self.seconds([*self.settings(dtype), "--from-file", str(self.file), "--outdir",
                                                str(self.folder()), "--batch-size", batch_size])

    def one_by_one(self, dtype: str) -> tuple[int, float]:
        folder, some = self.folder(), self.prompts[:self.arguments.alone]
        return len(some), sum(self.seconds([*self.settings(dtype), "-p", prompt, "--outdir", str(folder)])
                              for prompt in some)

    def diffusers(self, dtype: str) -> tuple[int, float]:
        size = ["--size", str(self.arguments.size)] if self.arguments.size else []
        return len(self.prompts), self.seconds([self.python, str(HERE / "loop.py"), "--model", str(self.model), "--dtype",
                                                dtype, "--prompts", str(self.file), "--output", str(self.folder()),
                                                "--steps", str(self.arguments.steps), "--threads",
                                                str(self.arguments.threads), *size])

    def seconds(self, command: list[str]) -> float:
        return Whole(command, {"OMP_NUM_THREADS": str(self.arguments.threads)}).seconds

    def ways(self, dtype: str) -> dict:
        """What is compared, by name: each gives its pictures and seconds."""
        ways = {f"sdtorch, one file, --batch-size {size}": lambda size=size: self.of_file(dtype, size)
                for size in self.arguments.batch_size}
        ways["sdtorch, a process a prompt"] = lambda: self.one_by_one(dtype)
        if self.python:
            ways["diffusers in a loop"] = lambda: self.diffusers(dtype)
        return ways


def spread(values: list[float]) -> str:
    if len(values) == 1:
        return f"{values[0]:.1f}"
    return f"{statistics.median(values):.1f} [{min(values):.1f}–{max(values):.1f}]"


def main() -> int:
    arguments = arguments_of()
    installation.CACHE = arguments.cache.resolve()
    rates: dict[str, dict[str, list[float]]] = {dtype: {} for dtype in arguments.dtype}
    failures: list[str] = []
    with tempfile.TemporaryDirectory() as work:
        bench = Bench(arguments, pathlib.Path(work))
        for repeat in range(arguments.repeats):
            for dtype in arguments.dtype:
                for name, measure in rotated(list(bench.ways(dtype).items()), repeat):
                    say(f"{dtype}, {repeat + 1} of {arguments.repeats}: {name}")
                    try:
                        pictures, seconds = measure()
                        rates[dtype].setdefault(name, []).append(60 * pictures / seconds)
                    except PeerFailed as error:
                        failures.append(f"{dtype}: {name}: {error}")
        names = list(bench.ways(arguments.dtype[0]))

    title = "built-in model" if arguments.model == "demo" else f"{arguments.model}, random weights"
    print(f"{title}, {arguments.steps} steps, {arguments.prompts} prompts; {installation.cpu_name()} "
          f"({', '.join(installation.cpu_features())}), {arguments.threads} threads\n")
    print("| images a minute | " + " | ".join(arguments.dtype) + " |\n|---|" + "---|" * len(arguments.dtype))
    for name in names:
        print(f"| {name} | " + " | ".join(spread(rates[dtype][name]) if name in rates[dtype] else "failed"
                                          for dtype in arguments.dtype) + " |")
    for failure in failures:
        print(f"failed: {failure[-1000:]}")
    if arguments.json:
        told = {"settings": {key: str(value) for key, value in vars(arguments).items()}, "cpu": installation.cpu_name(),
                "kernel": platform.release(), "images_per_minute": rates, "failures": failures}
        arguments.json.write_text(json.dumps(told, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    return 1 if any("sdtorch" in failure for failure in failures) else 0


sys.exit(main())
