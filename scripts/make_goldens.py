#!/usr/bin/env python3
"""Make the tests' goldens with diffusers and transformers: scripts/make_goldens.py [--full DIR] [AREA...]

An area is a module scripts/goldens/AREA.py with a function make(out: pathlib.Path), which writes its files
under tests/golden/AREA. The versions that made them go into each .safetensors file's metadata (`made_by`) and
into tests/golden/AREA/versions.json. scripts/goldens/requirements.txt pins those versions:
pip install -r scripts/goldens/requirements.txt

With --full the areas that have a make_full(out: pathlib.Path) write goldens of full-size models into DIR instead,
several gigabytes for the tests tagged [.full].
"""

import argparse
import importlib.metadata
import importlib.util
import json
import pathlib
import platform
import sys

SCRIPTS = pathlib.Path(__file__).resolve().parent
GOLDEN = SCRIPTS.parent / "tests" / "golden"


def pinned_versions() -> dict[str, str]:
    lines = (SCRIPTS / "goldens" / "requirements.txt").read_text().split()
    return dict(line.split("==") for line in lines)


def check_versions(pins: dict[str, str]) -> None:
    """Another version may make other numbers: goldens from mixed versions would say nothing."""
    wrong = []
    for package, wanted in pins.items():
        try:
            found = importlib.metadata.version(package).split("+")[0]
        except importlib.metadata.PackageNotFoundError:
            found = "none"
        if found != wanted:
            wrong.append(f"{package} {wanted} is wanted, {found} is installed")
    if wrong:
        sys.exit("\n".join(wrong) + "\npip install -r scripts/goldens/requirements.txt")


def stamp(folder: pathlib.Path, versions: dict[str, str]) -> None:
    """One metadata key alone, because safetensors writes several in an order that changes from run to run."""
    from safetensors import safe_open
    from safetensors.torch import load_file, save_file

    made_by = ", ".join(f"{name} {version}" for name, version in versions.items())
    for path in sorted(folder.rglob("*.safetensors")):
        with safe_open(path, framework="pt") as file:
            metadata = file.metadata() or {}
        tensors = {name: tensor.clone() for name, tensor in load_file(path).items()}
        save_file(tensors, path, metadata={**metadata, "made_by": made_by})
    (folder / "versions.json").write_text(json.dumps(versions, indent=1) + "\n")


def load_area(area: str):
    """By path, because an area may be called as a module of Python's own (io)."""
    spec = importlib.util.spec_from_file_location(f"goldens_{area}", SCRIPTS / "goldens" / f"{area}.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def main() -> None:
    areas = sorted(path.stem for path in (SCRIPTS / "goldens").glob("*.py"))
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("areas", nargs="*", metavar="AREA", help=f"of {', '.join(areas)}; all when none is given")
    parser.add_argument("--full", metavar="DIR", type=pathlib.Path, help="write full-size goldens to DIR instead")
    args = parser.parse_args()
    chosen = args.areas or areas
    unknown = set(chosen) - set(areas)
    if unknown:
        parser.error(f"no such area: {', '.join(sorted(unknown))}; there are {', '.join(areas)}")

    pins = pinned_versions()
    check_versions(pins)
    import torch

    torch.set_num_threads(1)
    torch.set_grad_enabled(False)
    sys.path.insert(0, str(SCRIPTS / "goldens"))  # areas may share helper modules
    for area in chosen:
        module = load_area(area)
        torch.manual_seed(0)
        if args.full:
            if hasattr(module, "make_full"):
                print(f"full-size goldens: {area}", file=sys.stderr)
                args.full.mkdir(parents=True, exist_ok=True)
                module.make_full(args.full)
            continue
        print(f"goldens: {area}", file=sys.stderr)
        folder = GOLDEN / area
        folder.mkdir(parents=True, exist_ok=True)
        module.make(folder)
        stamp(folder, {"python": platform.python_version(), **pins})


if __name__ == "__main__":
    main()
