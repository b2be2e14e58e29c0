"""What the comparison needs, made where it is missing: sdtorch, the peers' Python, models, converted networks."""

import dataclasses
import json
import os
import pathlib
import re
import shutil
import subprocess
import sys

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent
HERE = ROOT / "scripts/peers"
CACHE = ROOT / ".deps/peers"
TORCH = "2.13.0"
PACKAGES = ["diffusers", "transformers", "accelerate", "safetensors", "openvino"]


@dataclasses.dataclass(frozen=True)
class Model:
    name: str
    family: str  # of sdtorch init-model
    size: int  # pixels, wide and high
    gigabytes: float  # of its weights at 16 bits

    def folder(self, size: str) -> pathlib.Path:
        return CACHE / "models" / (self.name if size == "full" else f"{self.name}-{size}")


MODELS = {model.name: model for model in (Model("sd1", "sd1", 512, 2.1), Model("sd2", "sd2", 768, 2.6),
                                          Model("sdxl", "sdxl", 1024, 6.9))}


def say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


def logged(step: str, command: list) -> None:
    """Runs it with its output in a log, whose end the error shows."""
    log = ROOT / f"build/logs/peers-{step}.log"
    log.parent.mkdir(parents=True, exist_ok=True)
    with open(log, "w", encoding="utf-8") as output:
        done = subprocess.run([str(part) for part in command], stdin=subprocess.DEVNULL, stdout=output,
                              stderr=subprocess.STDOUT)
    if done.returncode:
        raise RuntimeError(f"{step} failed; its whole output is in {log}\n{log.read_text(encoding='utf-8')[-2000:]}")


def cpu_features() -> list[str]:
    """Those that decide how fast matrices are multiplied."""
    with open("/proc/cpuinfo", encoding="utf-8") as info:
        flags = set(re.search(r"^flags\s*:(.*)$", info.read(), re.MULTILINE).group(1).split())
    return [name for name in ("avx2", "avx512f", "avx512_vnni", "avx512_bf16", "avx512_fp16", "amx_bf16", "amx_int8")
            if name in flags]


def cpu_name() -> str:
    with open("/proc/cpuinfo", encoding="utf-8") as info:
        return re.search(r"^model name\s*:\s*(.*)$", info.read(), re.MULTILINE).group(1)


def python_of_peers(given: str | None) -> str | None:
    """A Python that has the peers: the given one, or a virtual environment of ours. None where it cannot be had."""
    if given:
        return given
    venv = CACHE / "venv"
    python = venv / "bin/python"
    if (venv / ".complete").exists():
        return str(python)
    say("installing the peers (build/logs/peers-*.log)")
    shutil.rmtree(venv, ignore_errors=True)
    pip = [python, "-m", "pip", "install", "--quiet"]
    try:
        logged("venv", [sys.executable, "-m", "venv", venv])
        try:
            logged("torch", [*pip, f"torch=={TORCH}+cpu"])
        except RuntimeError:
            logged("torch", [*pip, f"torch=={TORCH}"])
        for package in PACKAGES:
            logged(package, [*pip, f"torch=={TORCH}", package])
    except RuntimeError as error:
        say(f"warning: {error}")
        if not python.exists():
            return None
    (venv / ".complete").touch()
    return str(python)


def versions(python: str | None) -> dict[str, str]:
    """The peers' versions, without those that this Python lacks."""
    if not python:
        return {}
    ask = ("import importlib.metadata as m, json\nfound = {}\n"
           f"for name in {['torch', *PACKAGES]!r}:\n"
           "    try: found[name] = m.version(name)\n    except m.PackageNotFoundError: pass\n"
           "print(json.dumps(found))")
    return json.loads(subprocess.run([python, "-c", ask], check=True, text=True, stdout=subprocess.PIPE).stdout)


def model_folder(sdtorch: str, model: Model, size: str) -> pathlib.Path:
    """A diffusers folder of random weights in fp16."""
    return _made(model.folder(size), lambda new: logged(
        f"model-{model.name}", [sdtorch, "init-model", "--family", model.family, "--size", size, "--dtype", "fp16", new]))


def model_file(sdtorch: str, model: Model, size: str) -> pathlib.Path:
    """The same family in one file, which stable-diffusion.cpp reads."""
    target = model.folder(size).with_suffix(".safetensors")
    return _made(target, lambda new: logged(
        f"model-{model.name}-single", [sdtorch, "init-model", "--family", model.family, "--size", size, "--dtype", "fp16",
                                       "--layout", "single", new]))


def openvino_folder(python: str, model: Model, folder: pathlib.Path, size: int, version: str) -> pathlib.Path:
    """The model's networks at one size, converted in a process of its own, whose memory is given back."""
    target = CACHE / "openvino" / f"{folder.name}-{size}-{version}"

    def convert(new: pathlib.Path) -> None:
        new.mkdir(parents=True)
        logged(f"openvino-{model.name}", [python, HERE / "openvino_networks.py", folder, new, size, size])

    return _made(target, convert)


def _made(target: pathlib.Path, make) -> pathlib.Path:
    """Makes a folder or file under another name first, so that what is there is whole."""
    if target.exists():
        return target
    say(f"making {target.relative_to(CACHE)}")
    new = target.with_name(f"new-{target.name}")
    shutil.rmtree(new, ignore_errors=True)
    new.unlink(missing_ok=True)
    new.parent.mkdir(parents=True, exist_ok=True)
    make(new)
    os.replace(new, target)
    return target
