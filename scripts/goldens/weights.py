"""Safetensors files as the format's own library writes them: one tensor of each element type."""

import pathlib

import torch
from safetensors.torch import save_file

TYPES = {
    "F64": torch.float64,
    "F32": torch.float32,
    "F16": torch.float16,
    "BF16": torch.bfloat16,
    "F8_E4M3": torch.float8_e4m3fn,
    "F8_E5M2": torch.float8_e5m2,
    "C64": torch.complex64,
    "I64": torch.int64,
    "I32": torch.int32,
    "I16": torch.int16,
    "I8": torch.int8,
    "U64": torch.uint64,
    "U32": torch.uint32,
    "U16": torch.uint16,
    "U8": torch.uint8,
    "BOOL": torch.bool,
}


def make(out: pathlib.Path) -> None:
    numbers = torch.arange(6, dtype=torch.float64).reshape(2, 3)
    tensors = {name: numbers.to(kind).contiguous() for name, kind in TYPES.items()}
    tensors["scalar"] = torch.tensor(0.1)
    tensors["empty"] = torch.empty(0, 4)
    save_file(tensors, out / "types.safetensors", metadata={"note": "0…5 in every type"})
