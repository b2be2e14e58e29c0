#!/usr/bin/env python3
"""Measures the tool on a GPU, and prints what it and its peers (peers.py) need as a table.

usage: measure.py run --tool SDTORCH --models DIR --results FILE.json --seconds N    measures until the time is up
       measure.py table FILE.json…                                                  prints the table of all of them

DIR holds full-size random models sd1 and sdxl in fp16 (sdtorch init-model); one that is missing is left out. FILE.json
is kept and added to. All runs are of whole processes in their ordinary command line; a step's time is the difference
between two pictures of one process, so that nothing around the steps is in it.
"""

import argparse
import json
import os
import pathlib
import shutil
import statistics
import subprocess
import sys
import tempfile
import time

# What SDTORCH_CUDA (src/nn/cuda/tuning.hpp) is set to; the empty one is what users get.
VARIANTS = {
    "sd1": ["", "attention=cudnn", "autotune=on", "attention=cudnn,autotune=on", "graphs=off", "kernels=off",
            "attention=padded", "matrix=off"],
    "sdxl": ["", "attention=cudnn", "autotune=on"],
}  # fmt: skip
# Of one U-Net call of two rows (the count at 512²; counted alike at 1024²).
TERAFLOP = {"sd1": 1.56, "sdxl": 11.9}
GOALS = {
    "sd1 step": ("steps/s", 130), "sdxl step": ("steps/s", 26), "sd1 batch of 16": ("pictures/s", 8),
    "sd1 start to PNG": ("s at most", 2),
}  # fmt: skip


class Results:
    """A JSON file of numbers by name, written anew with each of them."""

    def __init__(self, path: pathlib.Path):
        self.path = path
        self.values = json.loads(path.read_text()) if path.exists() else {}

    def add(self, name: str, value):
        self.values[name] = value
        new = self.path.with_suffix(".new")
        new.write_text(json.dumps(self.values, indent=1))
        new.replace(self.path)
        print(name, value, flush=True)


class Measurer:
    def __init__(self, tool: str, models: pathlib.Path, results: Results, until: float):
        self.tool, self.models, self.results, self.until = tool, models, results, until

    def run(self, model: str, flags: list[str], variant: str, lines: list[dict] | None = None):
        """The tool's result lines, each with when it came; and the seconds of the whole process."""
        with tempfile.TemporaryDirectory() as folder:
            command = [self.tool, "-m", str(self.models / model), "--device", "cuda", "--json", "-q", "--outdir", folder]
            if lines is not None:
                file = pathlib.Path(folder) / "prompts.jsonl"
                file.write_text("".join(json.dumps(line) + "\n" for line in lines))
                command += ["--from-file", str(file)]
            limit = max(1.0, min(90.0, self.until - time.time()))
            start = time.monotonic()
            process = subprocess.Popen(["timeout", "-k", "2", f"{limit:.0f}", *command, *flags], stdout=subprocess.PIPE,
                                       stderr=subprocess.PIPE, text=True, env={**os.environ, "SDTORCH_CUDA": variant})
            said = []
            for line in process.stdout:
                said.append({**json.loads(line), "at": time.monotonic() - start})
            errors = process.stderr.read()
            if process.wait() != 0:
                raise RuntimeError(f"{' '.join(command)}: exit {process.returncode}: {errors[-600:]}")
            return said, time.monotonic() - start

    def steps(self, model: str, variant: str, dtype: str = "fp16"):
        many = 120 if model == "sd1" else 50
        prompt = {"prompt": "a lake between mountains", "sampler": "euler"}
        lines = [{**prompt, "steps": 10}, {**prompt, "steps": 10}, {**prompt, "steps": many}, {**prompt, "steps": 10},
                 {**prompt, "steps": many}]
        said, _ = self.run(model, ["--dtype", dtype, "--batch-size", "1"], variant, lines)
        seconds = [line["seconds"] for line in said]
        steps = [(seconds[2] - seconds[1]) / (many - 10), (seconds[4] - seconds[3]) / (many - 10)]
        return {"step_s": statistics.mean(steps), "both": steps, "first_picture_s": seconds[0],
                "text_and_vae_s": seconds[3] - 10 * statistics.mean(steps)}

    def batch(self, model: str, variant: str):
        line = {"prompt": "a lake between mountains", "sampler": "euler", "steps": 20, "batch-count": 16}
        said, _ = self.run(model, ["--dtype", "fp16", "--batch-size", "16"], variant,
                           [{**line, "seed": 100 * k} for k in range(3)])
        drawn = [16 * statistics.mean(said[16 * k + i]["seconds"] for i in range(16)) for k in range(3)]
        return {"pictures_per_s": 16 / min(drawn[1:]), "with_png_per_s": 16 / (said[47]["at"] - said[31]["at"]),
                "drawn_s": drawn}

    def picture(self, model: str, flags: list[str]):
        times = [self.run(model, ["--dtype", "fp16", "-p", "a lake", "--sampler", "euler", "--steps", "20", *flags], "")[1]
                 for _ in range(3)]
        return {"seconds": min(times), "all": times}

    def stages(self, model: str):
        command = [self.tool, "bench", "-m", str(self.models / model), "--device", "cuda", "--dtype", "fp16", "--sampler",
                   "euler", "--steps", "20", "--json"]
        said = subprocess.run(["timeout", "60", *command], capture_output=True, text=True, check=True)
        return json.loads(said.stdout)

    def peer_picture(self, model: str):
        script = pathlib.Path(__file__).with_name("peers.py")
        times = []
        for _ in range(2):
            start = time.monotonic()
            subprocess.run(["timeout", "60", sys.executable, str(script), "picture", str(self.models / model),
                            str(self.models / "peer.png")], check=True, capture_output=True, text=True)
            times.append(time.monotonic() - start)
        return {"seconds": min(times), "all": times}

    def try_to(self, name: str, needs_s: float, measure):
        if time.time() + needs_s > self.until:
            return self.results.add(name, {"left out": "no time"})
        try:
            self.results.add(name, measure())
        except subprocess.CalledProcessError as error:
            self.results.add(name, {"failed": str(error.stderr)[-600:]})
        except Exception as error:  # whatever one part meets, the others go on
            self.results.add(name, {"failed": f"{type(error).__name__}: {error}"[-800:]})

    def all(self):
        there = [model for model in ("sd1", "sdxl") if (self.models / model / "model_index.json").exists()]
        if "sd1" in there:
            self.try_to("sd1 step", 10, lambda: self.steps("sd1", ""))
            self.try_to("sd1 start to PNG", 10, lambda: self.picture("sd1", []))
            self.try_to("sd1 stages", 5, lambda: self.stages("sd1"))
            self.try_to("sd1 step attention=cudnn", 10, lambda: self.steps("sd1", "attention=cudnn"))
            self.try_to("sd1 batch of 16", 12, lambda: self.batch("sd1", ""))
        if "sdxl" in there:
            self.try_to("sdxl step", 20, lambda: self.steps("sdxl", ""))
        if "sd1" in there:
            self.try_to("diffusers start to PNG, sd1", 25, lambda: self.peer_picture("sd1"))
            for variant in VARIANTS["sd1"][2:]:
                self.try_to(f"sd1 step {variant}", 10, lambda v=variant: self.steps("sd1", v))
            self.try_to("sd1 step bf16", 10, lambda: self.steps("sd1", "", "bf16"))
            best = "attention=cudnn,autotune=on"
            self.try_to(f"sd1 batch of 16 {best}", 15, lambda: self.batch("sd1", best))
        if "sdxl" in there:
            for variant in VARIANTS["sdxl"][1:]:
                self.try_to(f"sdxl step {variant}", 20, lambda v=variant: self.steps("sdxl", v))
            self.try_to("sdxl stages", 15, lambda: self.stages("sdxl"))
            self.try_to("sdxl start to PNG", 20, lambda: self.picture("sdxl", []))


def number_of(name: str, value: dict, rate: float | None) -> str:
    if "failed" in value or "left out" in value:
        return next(f"{k}: {v}" for k, v in value.items() if k in ("failed", "left out")).replace("\n", " ")[:90]
    if "step_s" in value:
        text = f"{1000 * value['step_s']:8.2f} ms {1 / value['step_s']:7.1f} /s"
        model = "sdxl" if "sdxl" in name else "sd1"
        return text + (f"  {100 * TERAFLOP[model] / value['step_s'] / rate:3.0f} % of the chip" if rate else "")
    if "pictures_per_s" in value:
        return f"{value['pictures_per_s']:8.2f} /s" + (
            f", PNGs and all {value['with_png_per_s']:.2f} /s" if "with_png_per_s" in value else "")
    if "seconds" in value:
        return f"{value['seconds']:8.3f} s"
    return "  ".join(f"{k.removesuffix('_s')} {v:.3f}" for k, v in value.items() if k.endswith("_s"))


def table(values: dict) -> str:
    rate = values.get("product fp16", {}).get("tflop_per_s")
    lines = [f"{values.get('device', '?')}; torch {values.get('torch', '?')}; fp16 products {rate or '?'} TFLOP/s"]
    for name, value in values.items():
        if isinstance(value, dict) and name not in ("product fp16", "parts"):
            goal = GOALS.get(name)
            lines.append(f"{name:45} {number_of(name, value, rate)}" + (f"   goal {goal[1]} {goal[0]}" if goal else ""))
    for name, value in values.get("parts", {}).items():
        lines.append(f"part {name:40} {value}")

    def ratio(ours, theirs, key):
        a, b = values.get(ours, {}).get(key), values.get(theirs, {}).get(key)
        if a and b:
            lines.append(f"{theirs} over {ours}: {b / a:.2f}")

    for model in ("sd1", "sdxl"):
        ratio(f"{model} step", f"diffusers eager, {model}", "step_s")
        ratio(f"{model} step", f"diffusers torch.compile max-autotune, {model}", "step_s")
    ratio("sd1 start to PNG", "diffusers start to PNG, sd1", "seconds")
    return "\n".join(lines)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(dest="command", required=True)
    run = commands.add_parser("run")
    run.add_argument("--tool", required=True)
    run.add_argument("--models", required=True, type=pathlib.Path)
    run.add_argument("--results", required=True, type=pathlib.Path)
    run.add_argument("--seconds", required=True, type=float)
    commands.add_parser("table").add_argument("results", type=pathlib.Path, nargs="+")
    given = parser.parse_args()
    if given.command == "table":
        values = {}
        for file in filter(pathlib.Path.exists, given.results):
            values.update(json.loads(file.read_text()))
        return print(table(values))
    if not shutil.which("timeout"):
        sys.exit("timeout (coreutils) is missing")
    Measurer(given.tool, given.models, Results(given.results), time.time() + given.seconds).all()


if __name__ == "__main__":
    main()
