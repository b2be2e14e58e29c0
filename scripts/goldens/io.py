"""PNG files as Pillow writes them, with every kind of text chunk."""

import pathlib

from PIL import Image, PngImagePlugin


def make(out: pathlib.Path) -> None:
    info = PngImagePlugin.PngInfo()
    info.add_text("plain", "Latin-1: café\nsecond line")
    info.add_text("packed", "z" * 1000, zip=True)
    info.add_itxt("international", "海賊船 🏴", lang="ja", tkey="訳")
    info.add_itxt("packed international", "海" * 500, zip=True)
    picture = Image.new("RGB", (3, 2), (10, 20, 30))
    picture.save(out / "texts.png", pnginfo=info)

    info = PngImagePlugin.PngInfo()
    info.add_text(
        "parameters",
        "a castle, (stone:1.2)\nby a lake\nNegative prompt: people, cars\n"
        "Steps: 25, Sampler: DPM++ 2M, Schedule type: Karras, CFG scale: 6.5, Seed: 18446744073709551615, "
        'Size: 640x384, Model hash: 6ce0161689, Model: v1-5-pruned-emaonly, Clip skip: 2, '
        'Lora hashes: "a: 1, b: 2", Version: v1.9.4',
    )
    picture.save(out / "infotext.png", pnginfo=info)
