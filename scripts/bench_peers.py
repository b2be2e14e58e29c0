#!/usr/bin/env python3
"""Compares sdtorch with its peers on this CPU: same random weights of full size, precision, size and steps, in one run.

What is missing is made: sdtorch is built, the peers (diffusers, torch.compile, OpenVINO) are installed into
.deps/peers/venv, models of random weights and OpenVINO's networks are written below .deps/peers. stable-diffusion.cpp
takes part where --sdcpp names its program. Runs alternate; where memory holds all peers at once they take turns step by
step, each stopped while it waits. Prints a table of medians with the least and the most, how many times sdtorch's each
is, and the goals; --json keeps every measurement. Exit 1 where sdtorch itself failed.

Parts: step (first step, later ones, VAE, loading), rate (the machine's own, by `sdtorch bench --profile`), process (Enter
to PNG, with the peak of memory), threads (-t 1 beside all), demo (the built-in model's default run), neighbour (the same
beside busy programs). The whole takes about an hour a model on two cores; --steps, --repeats and --later shorten it.
"""

import argparse
import dataclasses
import json
import os
import pathlib
import platform
import subprocess
import sys
import tempfile

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent / "peers"))

import installation
import measuring
import report
from installation import MODELS, ROOT, say

PEERS = ["sdtorch", "diffusers", "openvino", "compile", "sdcpp"]
PARTS = ["step", "rate", "process", "threads", "demo", "neighbour"]


def arguments_of() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", nargs="+", choices=list(MODELS), default=["sd1"], help="sd1")
    parser.add_argument("--parts", nargs="+", choices=PARTS, default=PARTS, help="all")
    parser.add_argument("--peers", nargs="+", choices=PEERS, default=PEERS, help="all that are to be had; sdtorch always")
    parser.add_argument("--steps", type=int, default=20, help="of a whole process (20)")
    parser.add_argument("--later", type=int, default=4, help="steps after the first, where each is measured (4)")
    parser.add_argument("--repeats", type=int, default=3, help="of everything, each in new processes (3)")
    parser.add_argument("--threads", type=int, default=len(os.sched_getaffinity(0)), help="all cores")
    parser.add_argument("--dtype", choices=["bf16", "fp32"], help="bf16 where the CPU multiplies it, else fp32")
    parser.add_argument("--size", choices=["full", "tiny"], default="full", help="tiny tries the script, and says nothing")
    parser.add_argument("--json", type=pathlib.Path, help="a file for every measurement")
    parser.add_argument("--sdtorch", help="its program (scripts/sdtorch, which builds it)")
    parser.add_argument("--sdcpp", help="the program of stable-diffusion.cpp")
    parser.add_argument("--cache", type=pathlib.Path, default=installation.CACHE,
                        help="where models, OpenVINO's networks and the peers' Python are kept (.deps/peers)")
    parser.add_argument("--python", help="a Python that has the peers, instead of one in .deps/peers/venv")
    arguments = parser.parse_args()
    for name in ("steps", "later", "repeats", "threads"):
        if getattr(arguments, name) < 1:
            parser.error(f"--{name}: at least 1")
    return arguments


def setup_of(arguments: argparse.Namespace) -> tuple[measuring.Setup, list[str], dict[str, str]]:
    sdtorch = arguments.sdtorch or str(ROOT / "scripts/sdtorch")
    subprocess.run([sdtorch, "--version"], check=True, stdout=subprocess.DEVNULL)  # builds it
    peers = ["sdtorch", *(peer for peer in arguments.peers if peer != "sdtorch")]
    of_python = {"diffusers", "compile", "openvino"} & set(peers)
    python = installation.python_of_peers(arguments.python) if of_python else None
    versions = installation.versions(python)
    for peer, package in (("diffusers", "diffusers"), ("compile", "diffusers"), ("openvino", "openvino")):
        if peer in peers and package not in versions:
            say(f"warning: {peer} is left out: {package} is not installed")
            peers.remove(peer)
    if "sdcpp" in peers and not arguments.sdcpp:
        peers.remove("sdcpp")
    features = installation.cpu_features()
    has_bf16 = "avx512_bf16" in features or "amx_bf16" in features
    setup = measuring.Setup(sdtorch=sdtorch, python=python, sdcpp=arguments.sdcpp,
                            dtype=arguments.dtype or ("bf16" if has_bf16 else "fp32"), threads=arguments.threads,
                            repeats=arguments.repeats, steps=arguments.steps, later=arguments.later)
    return setup, peers, versions


def measure_model(arguments, setup, samples, peers: list[str], versions: dict[str, str], name: str,
                  output: pathlib.Path) -> None:
    model = MODELS[name] if arguments.size == "full" else dataclasses.replace(MODELS[name], size=64, gigabytes=0.1)
    size = model.size
    folder = installation.model_folder(setup.sdtorch, model, arguments.size)
    peers = list(peers)
    if "openvino" in peers:
        try:
            setup.networks[name] = installation.openvino_folder(setup.python, model, folder, size, versions["openvino"])
        except RuntimeError as error:
            samples.fail(name, "conversion", "openvino", error)
            peers.remove("openvino")
    if "sdcpp" in peers:
        setup.files[name] = installation.model_file(setup.sdtorch, model, arguments.size)
    if "step" in arguments.parts:
        measuring.measure_steps(setup, samples, model, folder, size, peers, output)
    if "rate" in arguments.parts:
        measuring.measure_rate(setup, samples, model, folder, size)
    if "process" in arguments.parts:
        # torch.compile waits for minutes before its first step, stable-diffusion.cpp for each.
        whole = [peer for peer in peers if peer not in ("compile", "sdcpp")]
        measuring.measure_whole(setup, samples, model, folder, size, whole, output)
    if "threads" in arguments.parts and setup.threads > 1:
        measuring.measure_threads(setup, samples, model, folder, size)


def main() -> int:
    arguments = arguments_of()
    installation.CACHE = arguments.cache.resolve()
    setup, peers, versions = setup_of(arguments)
    samples = measuring.Samples()
    with tempfile.TemporaryDirectory() as output:
        for name in arguments.model:
            measure_model(arguments, setup, samples, peers, versions, name, pathlib.Path(output))
        if "demo" in arguments.parts:
            measuring.measure_demo(setup, samples, [peer for peer in peers if peer in ("sdtorch", "diffusers")],
                                   pathlib.Path(output))
        if "neighbour" in arguments.parts:
            measuring.measure_neighbour(setup, samples, pathlib.Path(output))

    features = installation.cpu_features()
    goals = report.goals(samples, features, setup.dtype) if arguments.size == "full" else []
    machine = {"cpu": installation.cpu_name(), "features": features, "threads": setup.threads, "dtype": setup.dtype,
               "kernel": platform.release(), "versions": versions}
    print(f"{machine['cpu']} ({', '.join(features)}), {setup.threads} threads, {setup.dtype}; "
          + ", ".join(f"{name} {version}" for name, version in versions.items()) + "\n")
    titles = {**{name: f"{name} {model.size}²" if arguments.size == "full" else f"{name}, tiny" for name, model in MODELS.items()}, "demo": "built-in model"}
    for name, title in titles.items():
        print(report.model_table(samples, name, title) + report.other_lines(samples, name), end="\n" * (name in samples.values))
    for failure in samples.failures:
        print(f"failed: {failure['model']}: {failure['what']}: {failure['peer']}: {failure['error'].splitlines()[-1:]}")
    print(report.goal_lines(goals), end="")
    if arguments.json:
        told = {"machine": machine, "settings": {key: str(value) for key, value in vars(arguments).items()},
                "samples": samples.values, "failures": samples.failures,
                "goals": [{"goal": goal.text, "at_least": goal.at_least, "at_most": goal.at_most, "value": goal.value,
                           "met": goal.met} for goal in goals]}
        arguments.json.write_text(json.dumps(told, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    return 1 if any(failure["peer"] == "sdtorch" for failure in samples.failures) else 0


sys.exit(main())
