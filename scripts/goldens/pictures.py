"""Small picture files of every kind, what Pillow reads from them, and what it and diffusers make of pictures.

The PNG files are put together here, since Pillow writes neither interlaced ones nor all depths. Where Pillow itself
departs from PNG (16-bit grey is cut off at 255, tRNS is not scaled with 2 and 4 bits, nor compared in 16), what is
expected comes from the samples; elsewhere Pillow must agree with them.
"""

import io
import pathlib
import struct
import zlib

import numpy as np
import torch
from diffusers.image_processor import VaeImageProcessor
from PIL import Image, ImageFilter, ImageOps
from safetensors.torch import save_file

GREY, RGB, PALETTE, GREY_ALPHA, RGBA = 0, 2, 3, 4, 6
CHANNELS = {GREY: 1, RGB: 3, PALETTE: 1, GREY_ALPHA: 2, RGBA: 4}
DEPTHS = {GREY: (1, 2, 4, 8, 16), RGB: (8, 16), PALETTE: (1, 2, 4, 8), GREY_ALPHA: (8, 16), RGBA: (8, 16)}
NAMES = {GREY: "grey", RGB: "rgb", PALETTE: "palette", GREY_ALPHA: "grey-alpha", RGBA: "rgba"}
ADAM7 = ((0, 0, 8, 8), (4, 0, 8, 8), (0, 4, 4, 8), (2, 0, 4, 4), (0, 2, 2, 4), (1, 0, 2, 2), (0, 1, 1, 2))
FILTERS = {name: getattr(Image.Resampling, name.upper()) for name in ("nearest", "box", "bilinear", "bicubic", "lanczos")}


def scene(width: int, height: int, seed: int) -> np.ndarray:
    """Smooth colours, a hard edge, and noise: uint8 [height, width, 3]."""
    y, x = np.mgrid[0:height, 0:width]
    base = np.stack([x * 255 / max(width - 1, 1), y * 255 / max(height - 1, 1), 128 + 90 * np.sin(x / 5 + y / 3)], -1)
    base[(x - width / 2) ** 2 + (y - height / 2) ** 2 < (min(width, height) / 3) ** 2] = (250, 5, 130)
    noise = np.random.default_rng(seed).integers(-40, 41, base.shape)
    return np.clip(base + noise, 0, 255).astype(np.uint8)


def chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def packed_rows(samples: np.ndarray, depth: int) -> bytes:
    """Rows without filter; samples: [height, width, channels]."""
    rows = b""
    for row in samples.reshape(samples.shape[0], -1):
        if depth == 16:
            rows += b"\0" + row.astype(">u2").tobytes()
        else:
            bits = ((row[:, None] >> np.arange(depth - 1, -1, -1)) & 1).reshape(-1)
            rows += b"\0" + np.packbits(bits.astype(np.uint8)).tobytes()
    return rows


def png_file(samples: np.ndarray, kind: int, depth: int, interlaced: bool, before: bytes = b"", after: bytes = b"") -> bytes:
    height, width = samples.shape[:2]
    parts = [samples[y::dy, x::dx] for x, y, dx, dy in ADAM7] if interlaced else [samples]
    rows = b"".join(packed_rows(part, depth) for part in parts if part.size)
    header = struct.pack(">IIBBBBB", width, height, depth, kind, 0, 0, interlaced)
    return (b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + before + chunk(b"IDAT", zlib.compress(rows, 9)) + after
            + chunk(b"IEND", b""))


def expected_png(samples: np.ndarray, kind: int, depth: int, palette: np.ndarray, clear: list[int] | None) -> np.ndarray:
    """What the samples mean: uint8 [height, width, 3 or 4]."""
    if kind == PALETTE:
        colours = palette[samples[..., 0]]
        if clear is None:
            return colours
        alpha = np.concatenate([np.array(clear), np.full(len(palette) - len(clear), 255)])[samples[..., 0]]
        return np.concatenate([colours, alpha[..., None]], -1).astype(np.uint8)
    full = samples >> 8 if depth == 16 else samples * 255 // (2**depth - 1)
    if kind in (GREY, GREY_ALPHA):
        full = np.concatenate([full[..., :1].repeat(3, -1), full[..., 1:]], -1)
    if clear is not None:
        alpha = np.where((samples == np.array(clear)).all(-1), 0, 255)
        full = np.concatenate([full, alpha[..., None]], -1)
    return full.astype(np.uint8)


def as_pillow(data: bytes, channels: int) -> np.ndarray:
    picture = ImageOps.exif_transpose(Image.open(io.BytesIO(data)))
    return np.array(picture.convert("RGBA" if channels == 4 else "RGB"))


def make_pngs() -> dict[str, tuple[bytes, np.ndarray]]:
    files = {}
    random = np.random.default_rng(1)
    for kind, depths in DEPTHS.items():
        for depth in depths:
            for interlaced in (False, True):
                width, height = (13, 11) if interlaced else (11, 5)
                samples = random.integers(0, 2**depth, (height, width, CHANNELS[kind]))
                palette = random.integers(0, 256, (2**depth, 3))
                clear = None
                if kind in (GREY, RGB) and (interlaced or depth in (1, 4)):
                    clear = [int(value) for value in samples[2, 3]]
                    samples[0, 0] = samples[2, 3]
                    if depth == 16:
                        samples[0, 1] = samples[2, 3] ^ 1  # transparent in its upper 8 bits alone
                if kind == PALETTE and interlaced:
                    clear = [int(value) for value in random.integers(0, 256, 2**depth - 1)]
                before = chunk(b"gAMA", struct.pack(">I", 100000)) if interlaced else b""
                if kind == PALETTE:
                    before += chunk(b"PLTE", palette.astype(np.uint8).tobytes())
                if clear is not None:
                    before += chunk(b"tRNS", bytes(clear) if kind == PALETTE else struct.pack(f">{len(clear)}H", *clear))
                name = f"{NAMES[kind]}{depth}{'-trns' if clear is not None else ''}{'-interlaced' if interlaced else ''}.png"
                data = png_file(samples, kind, depth, interlaced, before)
                expected = expected_png(samples, kind, depth, palette, clear)
                differs = (kind == GREY and depth == 16) or (clear is not None and kind != PALETTE and depth in (2, 4, 16))
                if not differs:
                    assert np.array_equal(as_pillow(data, expected.shape[-1]), expected), name
                files[name] = (data, expected)
    pillow = io.BytesIO()
    Image.fromarray(scene(37, 23, 2)).save(pillow, "png")
    files["filtered.png"] = (pillow.getvalue(), as_pillow(pillow.getvalue(), 3))
    for name, before, after in (("exif-before.png", orientation(6), b""), ("exif-behind.png", b"", orientation(7))):
        data = png_file(scene(7, 4, 3).astype(int), RGB, 8, False, *(chunk(b"eXIf", exif) if exif else b"" for exif in (before, after)))
        files[name] = (data, as_pillow(data, 3))
    return files


def orientation(value: int, endian: str = ">") -> bytes:
    """A TIFF block of two entries."""
    mark = b"MM" if endian == ">" else b"II"
    entries = struct.pack(endian + "HHIHH", 256, 3, 1, 7, 0) + struct.pack(endian + "HHIHH", 274, 3, 1, value, 0)
    return mark + struct.pack(endian + "HIH", 42, 8, 2) + entries + struct.pack(endian + "I", 0)


def saved(picture: Image.Image, **options) -> bytes:
    out = io.BytesIO()
    picture.save(out, **options)
    return out.getvalue()


def make_jpegs() -> dict[str, tuple[bytes, np.ndarray]]:
    picture = Image.fromarray(scene(37, 23, 4))
    cmyk = Image.fromarray(np.concatenate([scene(21, 13, 5), scene(21, 13, 6)[..., :1]], -1), "CMYK")
    data = {
        "baseline.jpg": saved(picture, format="jpeg", quality=85),
        "full-colour.jpg": saved(picture, format="jpeg", quality=90, subsampling=0),
        "half-colour.jpg": saved(picture, format="jpeg", quality=90, subsampling=1, restart_marker_blocks=2),
        "progressive.jpg": saved(picture, format="jpeg", quality=80, progressive=True),
        "rgb.jpg": saved(picture, format="jpeg", quality=90, keep_rgb=True),
        "grey.jpg": saved(picture.convert("L"), format="jpeg", quality=75),
        "grey-progressive.jpg": saved(picture.convert("L"), format="jpeg", quality=75, progressive=True),
        "cmyk.jpg": saved(cmyk, format="jpeg", quality=95),
    }
    adobe = data["cmyk.jpg"].index(b"Adobe")
    assert data["cmyk.jpg"][adobe + 11] == 0
    data["ycck.jpg"] = data["cmyk.jpg"][:adobe + 11] + b"\2" + data["cmyk.jpg"][adobe + 12:]
    small = Image.fromarray(scene(12, 7, 7))
    for value in range(1, 9):
        exif = b"Exif\0\0" + orientation(value, "<>"[value % 2])
        data[f"exif{value}.jpg"] = saved(small, format="jpeg", quality=90, exif=exif)
    return {name: (file, as_pillow(file, 3)) for name, file in data.items()}


def make_webps() -> dict[str, tuple[bytes, np.ndarray]]:
    colours = scene(29, 19, 8)
    picture = Image.fromarray(colours)
    alpha = scene(29, 19, 9)[..., :1]
    alpha[:4] = 0
    clear = Image.fromarray(np.concatenate([colours, alpha], -1))
    data = {
        "lossy.webp": saved(picture, format="webp", quality=80),
        "lossless.webp": saved(picture, format="webp", lossless=True),
        "lossy-alpha.webp": saved(clear, format="webp", quality=80),
        "lossless-alpha.webp": saved(clear, format="webp", lossless=True, exact=True),
        "exif.webp": saved(picture, format="webp", lossless=True, exif=b"Exif\0\0" + orientation(8)),
    }
    return {name: (file, as_pillow(file, 4 if "alpha" in name else 3)) for name, file in data.items()}


def tensor(picture) -> torch.Tensor:
    return torch.from_numpy(np.array(picture, order="C"))


def make_resized() -> dict[str, torch.Tensor]:
    """KIND.SOURCE.FILTER.WIDTHxHEIGHT, the sources themselves, and by diffusers fit.SOURCE.MODE.WIDTHxHEIGHT."""
    tensors = {}
    sources = {"odd": scene(37, 23, 10), "large": scene(120, 90, 11), "wide": scene(301, 2, 12), "thin": scene(1, 97, 13)}
    sizes = {
        "odd": [(64, 48), (16, 8), (37, 40), (50, 23), (1, 1), (200, 3), (5, 40), (37, 23), (36, 22), (36, 21), (36, 20)],
        "large": [(64, 64), (40, 16)],
        "wide": [(7, 9), (640, 1)],
        "thin": [(4, 5), (1, 200)],
    }
    for source, colours in sources.items():
        tensors[source] = tensor(colours)
        for mode in ("RGB", "L"):
            picture = Image.fromarray(colours).convert(mode)
            for name, resampling in FILTERS.items():
                for size in sizes[source]:
                    tensors[f"{mode}.{source}.{name}.{size[0]}x{size[1]}"] = tensor(picture.resize(size, resampling))
    processor = VaeImageProcessor()
    for source in ("odd", "large", "wide", "thin"):
        for width, height in ((64, 48), (24, 64), (32, 32), (64, 8), (74, 46)):
            for mode in ("default", "crop", "fill"):
                picture = Image.fromarray(sources[source])
                if mode == "fill" and source in ("wide", "thin"):
                    if min(picture.width * height // picture.height, picture.height * width // picture.width) < 1:
                        continue  # a side of no pixels, which diffusers cannot make
                fitted = processor.resize(picture, height, width, resize_mode=mode)
                tensors[f"fit.{source}.{mode}.{width}x{height}"] = tensor(fitted)
    return tensors


def make_blurred() -> dict[str, torch.Tensor]:
    tensors = {}
    for width, height in ((61, 41), (1, 9), (9, 1), (300, 3)):
        grey = Image.fromarray(scene(width, height, 14)).convert("L")
        tensors[f"{width}x{height}"] = tensor(grey)
        for radius in (0, 0.3, 1, 2, 4, 7.5, 33, 200):
            tensors[f"{width}x{height}.{radius}"] = tensor(grey.filter(ImageFilter.GaussianBlur(radius)))
    return tensors


def make_composed(files: dict[str, tuple[bytes, np.ndarray]]) -> dict[str, torch.Tensor]:
    """Transparent pictures before white, as Pillow pastes them; and every third value under every alpha."""
    values, alphas = np.meshgrid(np.arange(0, 256, 3), np.arange(256))
    every = np.stack([values, 255 - values, values // 2, alphas], -1).astype(np.uint8)
    data = saved(Image.fromarray(every), format="png", optimize=True)
    files["every-alpha.png"] = (data, every)
    tensors = {}
    for name in ("every-alpha.png", "lossless-alpha.webp"):
        picture = Image.fromarray(files[name][1])
        white = Image.new("RGB", picture.size, "white")
        white.paste(picture.convert("RGB"), mask=picture.getchannel("A"))
        tensors[name] = tensor(white)
    return tensors


def make(out: pathlib.Path) -> None:
    files = {**make_pngs(), **make_jpegs(), **make_webps()}
    save_file(make_composed(files), out / "composed.safetensors")
    for name, (data, _) in files.items():
        (out / name).write_bytes(data)
    decoded = {name: tensor(pixels) for name, (_, pixels) in files.items()}
    save_file(decoded, out / "decoded.safetensors")
    greys = {name: tensor(Image.open(out / name).convert("RGB").convert("L")) for name in ("filtered.png", "lossy.webp")}
    save_file(greys, out / "greys.safetensors")
    save_file(make_resized(), out / "resized.safetensors")
    save_file(make_blurred(), out / "blurred.safetensors")
    frames = [Image.fromarray(scene(8, 8, seed)) for seed in (15, 16)]
    (out / "animation.webp").write_bytes(saved(frames[0], format="webp", save_all=True, append_images=frames[1:]))
