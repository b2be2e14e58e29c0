"""Files of torch.save in every layout that users have, and what is in them.

NAME.pt is the file; NAME.safetensors holds the bytes of each tensor that its weights are, as uint8, and NAME.json the
tensors' types and shapes. Wherever torch.load(weights_only=True) accepts the file, those are its tensors. The old format
calls storages by their addresses: its files are others each time.
"""

import argparse
import collections
import io
import json
import pathlib
import pickle
import struct
import sys
import types
import zipfile

import numpy as np
import torch
from safetensors.torch import save_file

TYPES = [
    torch.float64, torch.float32, torch.float16, torch.bfloat16, torch.complex128, torch.complex64,
    torch.int64, torch.int32, torch.int16, torch.int8, torch.uint8, torch.bool,
]  # fmt: skip
NEW_TYPES = [
    torch.uint64, torch.uint32, torch.uint16, torch.complex32, torch.float8_e4m3fn, torch.float8_e4m3fnuz,
    torch.float8_e5m2, torch.float8_e5m2fnuz, torch.float8_e8m0fnu,
]  # fmt: skip


class Recorder:
    """An object whose class no reader knows."""

    def __init__(self, best: float) -> None:
        self.best = best
        self.myself = self


class Exploit:
    """What a hostile file does: its pickle calls a function of its choice."""

    def __reduce__(self):
        import os

        return (os.system, ("touch sdtorch-was-exploited",))


def random(*shape: int, kind: torch.dtype = torch.float32) -> torch.Tensor:
    return torch.randn(*shape).to(kind)


def weights() -> dict[str, torch.Tensor]:
    return {"conv.weight": random(2, 3, 1, 1), "conv.bias": random(2), "steps": torch.tensor(7)}


def bytes_of(tensor: torch.Tensor) -> torch.Tensor:
    plain = tensor.detach().resolve_conj().resolve_neg().contiguous().reshape(-1)
    if plain.numel() == 0:
        return torch.empty(0, dtype=torch.uint8)
    return plain.clone().view(torch.uint8)


def flat(value: object, prefix: str = "") -> dict[str, torch.Tensor]:
    if isinstance(value, torch.Tensor):
        return {prefix or "tensor": value}
    if isinstance(value, dict):
        items = value.items()
    elif isinstance(value, (list, tuple)):
        items = enumerate(value)
    else:
        return {}
    found = {}
    for key, item in items:
        found.update(flat(item, f"{prefix}.{key}" if prefix else str(key)))
    return found


def check_like_torch(path: pathlib.Path, value: object, pick) -> str:
    """Whether torch.load itself reads the same from the file."""
    try:
        loaded = torch.load(path, weights_only=True, map_location="cpu")
    except Exception as error:
        return f"torch.load refuses: {type(error).__name__}"
    mine, its = flat(pick(value)), flat(pick(loaded))
    assert list(mine) == list(its), path
    for name, tensor in mine.items():
        assert tensor.dtype == its[name].dtype and tensor.shape == its[name].shape, (path, name)
        assert torch.equal(bytes_of(tensor), bytes_of(its[name])), (path, name)
    return "torch.load agrees"


def rezipped(path: pathlib.Path, edit=lambda name, data: data, method=zipfile.ZIP_STORED, rename=lambda name: name):
    """The archive written anew by Python's zipfile."""
    with zipfile.ZipFile(path) as archive:
        entries = [(name, archive.read(name)) for name in archive.namelist()]
    with zipfile.ZipFile(path, "w", method) as archive:
        for name, data in entries:
            archive.writestr(zipfile.ZipInfo(rename(name)), edit(name, data), method)


def swapped(name: str, data: bytes) -> bytes:
    if name.endswith("/byteorder"):
        return b"big"
    return np.frombuffer(data, "<f4").astype(">f4").tobytes() if "/data/" in name else data


def on_cuda(name: str, data: bytes) -> bytes:
    return data.replace(b"X\x03\x00\x00\x00cpu", b"X\x06\x00\x00\x00cuda:0") if name.endswith("data.pkl") else data


def save_old_view(path: pathlib.Path) -> dict[str, torch.Tensor]:
    """PyTorch before 0.4 described a slice as a part of another storage."""
    base = random(10)

    class Storage:
        def __init__(self, part):
            self.part = part

    class OldPickler(pickle.Pickler):
        def persistent_id(self, value):
            if isinstance(value, Storage):
                return ("storage", torch.FloatStorage, "17", "cpu", 10, value.part)
            return None

    class Call:
        def __init__(self, function, arguments):
            self.call = (function, arguments)

        def __reduce__(self):
            return self.call

    rebuild = torch._utils._rebuild_tensor
    value = collections.OrderedDict(
        whole=Call(rebuild, (Storage(None), 0, (2, 5), (5, 1))),
        part=Call(rebuild, (Storage(("18", 4, 3)), 1, (2,), (1,))),
    )
    with open(path, "wb") as file:
        pickle.dump(torch.serialization.MAGIC_NUMBER, file, protocol=2)
        pickle.dump(torch.serialization.PROTOCOL_VERSION, file, protocol=2)
        pickle.dump({"protocol_version": 1001, "little_endian": True, "type_sizes": {"int": 4}}, file, protocol=2)
        OldPickler(file, protocol=2).dump(value)
        pickle.dump(["17"], file, protocol=2)
        file.write(struct.pack("<q", 10) + base.numpy().tobytes())
    return {"whole": base.reshape(2, 5), "part": base[5:7]}


class Maker:
    def __init__(self, out: pathlib.Path) -> None:
        self.out = out

    def path(self, name: str) -> pathlib.Path:
        return self.out / f"{name}.pt"

    def expect(self, name: str, value: object, pick=lambda value: value) -> None:
        checked = check_like_torch(self.path(name), value, pick)
        tensors = flat(pick(value))
        layout = {key: [str(tensor.dtype).removeprefix("torch."), list(tensor.shape)] for key, tensor in tensors.items()}
        save_file({key: bytes_of(tensor) for key, tensor in tensors.items()}, self.out / f"{name}.safetensors")
        (self.out / f"{name}.json").write_text(json.dumps({"tensors": layout, "checked": checked}) + "\n")

    def save(self, name: str, value: object, pick=lambda value: value, legacy: bool = False, protocol: int = 2) -> None:
        # By way of memory, so that the archive's folder is called `archive` whatever the file.
        buffer = io.BytesIO()
        torch.save(value, buffer, _use_new_zipfile_serialization=not legacy, pickle_protocol=protocol)
        self.path(name).write_bytes(buffer.getvalue())
        self.expect(name, value, pick)


def lightning() -> dict:
    parameter = torch.nn.Parameter(random(3, 2))
    optimiser = torch.optim.AdamW([parameter], lr=1e-4)
    with torch.enable_grad():
        (parameter**2).sum().backward()
    optimiser.step()
    return {
        "epoch": 3,
        "global_step": 470000,
        "pytorch-lightning_version": "1.4.2",
        "state_dict": collections.OrderedDict(
            [("model.weight", parameter), ("model_ema.decay", torch.tensor(0.9999)), ("half", random(4, kind=torch.half))]
        ),
        "callbacks": {Recorder: {"best": np.float64(0.25), "score": np.array([1.0, 2.0])}, "x": Recorder(0.5)},
        "optimizer_states": [optimiser.state_dict()],
        "lr_schedulers": [{"last": np.int64(7), "base_lrs": [1e-4]}],
        "hyper_parameters": argparse.Namespace(size=np.float32(2), names={"a", "b"}, raw=b"\x00\xff", big=2**80),
    }


def make_plain(maker: Maker) -> None:
    for protocol in (2, 3, 4, 5):
        maker.save(f"zip-protocol-{protocol}", weights(), protocol=protocol)
        maker.save(f"legacy-protocol-{protocol}", weights(), protocol=protocol, legacy=True)
    numbers = torch.arange(-3.0, 5.0)
    every = {str(kind): (numbers > 0 if kind == torch.bool else numbers.abs()).to(kind) for kind in TYPES}
    newer = {str(kind): numbers.abs().to(kind) for kind in NEW_TYPES}
    maker.save("zip-types", every | newer)
    maker.save("legacy-types", every, legacy=True)
    maker.save("legacy-newer-types", newer, legacy=True)
    maker.save("bare-tensor", random(2, 2))
    maker.save("legacy-bare-tensor", random(2, 2), legacy=True)
    maker.save("many", {f"layer.{i}": torch.tensor([i]) for i in range(300)})


def make_shared(maker: Maker) -> None:
    base = random(4, 6)
    views = {
        "base": base,
        "tied": base,
        "transposed": base.t(),
        "sliced": base[1:3, ::2],
        "expanded": base[0, :1].expand(3, 2),
        "scalar": base[2, 3],
        "empty": base[:0],
        "nothing": torch.empty(0),
        "empty axes": torch.empty(3, 0, 2),
        "channels last": random(1, 3, 2, 2).contiguous(memory_format=torch.channels_last),
    }
    maker.save("views", views)
    maker.save("legacy-views", views, legacy=True)
    maker.expect("legacy-part", save_old_view(maker.path("legacy-part")))
    complex_base = torch.complex(random(3), random(3))
    maker.save("conjugate", {"conj": complex_base.conj(), "plain": complex_base})
    maker.save("negative", {"neg": torch.complex(random(3), random(3)).conj().imag})


def make_nested(maker: Maker) -> None:
    maker.save("lightning", lightning(), pick=lambda value: value["state_dict"])
    maker.save("legacy-lightning", lightning(), pick=lambda value: value["state_dict"], legacy=True)
    module = torch.nn.Sequential(torch.nn.Linear(3, 2), torch.nn.BatchNorm1d(2))
    maker.save("module-state", module.state_dict())
    maker.save("model", {"model": module.state_dict(), "optimizer": {"step": torch.tensor(3)}}, pick=lambda v: v["model"])
    parallel = {f"module.{key}": value for key, value in weights().items()}
    maker.save(
        "parallel",
        {"state_dict": parallel},
        pick=lambda v: {key.removeprefix("module."): value for key, value in v["state_dict"].items()},
    )
    maker.save("components", {"unet": weights(), "vae": {"x": random(2)}, "note": "two components"})
    maker.save("lists", {768: [{"w": random(2)}, {"w": random(3)}], "layers": (random(1), None, random(2)), 1: True})

    def parts(value):
        return value if isinstance(value, dict) else dict(value.state_dict())

    maker.save("whole-module", module, pick=parts)
    marked = torch.nn.Parameter(random(2, 2))
    marked.note = "an attribute makes torch save the parameter in another way"
    noted = random(3)
    noted.note = "and a tensor in a third"
    maker.save("attributes", {"parameter": marked, "tensor": noted})
    shared = {"a": random(2)}
    maker.save("shared-dict", {"first": shared, "second": shared})


def make_rewritten(maker: Maker) -> None:
    plain = {"a": random(5, 5), "b": random(3)}
    for name, options in {
        "rezip-stored": {},
        "rezip-deflated": {"method": zipfile.ZIP_DEFLATED},
        "rezip-renamed": {"rename": lambda name: name.replace("archive/", "v1-5 pruned/")},
        "big-endian": {"edit": swapped},
        "from-cuda": {"edit": on_cuda},
    }.items():
        torch.save(plain, buffer := io.BytesIO())
        maker.path(name).write_bytes(buffer.getvalue())
        rezipped(maker.path(name), **options)
        maker.expect(name, plain)
    torch.serialization.set_crc32_options(False)
    maker.save("no-checksums", plain)
    torch.serialization.set_crc32_options(True)
    maker.save("exploit", {"before": random(2), "x": Exploit(), "after": random(2)})
    maker.save("legacy-exploit", {"before": random(2), "x": Exploit(), "after": random(2)}, legacy=True)
    halves = torch.arange(4, dtype=torch.uint8).view(torch.float4_e2m1fn_x2)
    maker.save("halves-of-bytes", {"a": halves})
    maker.save("counted", {"state_dict": weights(), "epoch": torch.tensor(3)}, pick=lambda value: value["state_dict"])


def make(out: pathlib.Path) -> None:
    sys.modules[__name__] = types.SimpleNamespace(Recorder=Recorder)  # where pickle looks a class up
    maker = Maker(out)
    make_plain(maker)
    make_shared(maker)
    make_nested(maker)
    make_rewritten(maker)
