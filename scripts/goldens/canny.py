"""Edges by OpenCV's Canny. Needs, beside the pinned packages, opencv-python-headless 5.0.0.93."""

import json
import pathlib

import cv2
import numpy as np
import torch
from safetensors.torch import save_file

THRESHOLDS = [(100, 200), (50, 50), (20.7, 300.2), (0, 0), (150, 151)]
SIZES = [(61, 47), (32, 32), (3, 9), (1, 5), (7, 1), (1, 1), (2, 2)]


def scene(width: int, height: int, seed: int) -> np.ndarray:
    """Discs, stripes and noise, each of its own in every channel, so that all directions and ties occur."""
    random = np.random.default_rng(seed)
    y, x = np.mgrid[0:height, 0:width]
    layers = []
    for channel in range(3):
        centre = random.integers(0, max(width, height), 2)
        disc = 160 * (np.hypot(x - centre[0], y - centre[1]) < 4 + 5 * channel)
        stripes = 60 * ((x * (channel + 1) + y * 2) // 9 % 2)
        layers.append(disc + stripes + random.integers(0, 25, (height, width)) * (x > width // 2))
    return np.clip(np.stack(layers, -1), 0, 255).astype(np.uint8)


def make(out: pathlib.Path) -> None:
    tensors, listed = {}, []
    for seed, size in enumerate(SIZES):
        picture = scene(*size, seed)
        tensors[f"{seed}.picture"] = torch.from_numpy(picture)
        for number, (low, high) in enumerate(THRESHOLDS):
            key = f"{seed}.{number}"
            tensors[key] = torch.from_numpy(cv2.Canny(picture, low, high, apertureSize=3, L2gradient=False))
            listed.append({"picture": f"{seed}.picture", "edges": key, "low": low, "high": high})
    save_file(tensors, out / "edges.safetensors", metadata={"cases": json.dumps(listed), "opencv": cv2.__version__})
