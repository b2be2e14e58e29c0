"""A CLIP-style byte-level BPE vocabulary, learnt from the grammar's own captions, and a fast encoder for training."""

import collections
import json
import pathlib
import random
import re

from demo_model.captions import caption
from demo_model.networks import TOKENS
from demo_model.scenes import any_scene

CAPTIONS = 40_000
START, END = "<|startoftext|>", "<|endoftext|>"
WORD = re.compile(r"[^\W\d_]+|\d|[^\s\w]+")


def byte_symbols() -> dict[int, str]:
    """GPT-2's printable stand-ins for the 256 bytes, in the order of CLIP's vocabulary."""
    printable = [*range(33, 127), *range(161, 173), *range(174, 256)]
    others = [b for b in range(256) if b not in printable]
    return {b: chr(b) for b in printable} | {b: chr(256 + i) for i, b in enumerate(others)}


def learn_merges(counts: collections.Counter, symbols: dict[int, str]) -> list[tuple[str, str]]:
    """Byte-pair merges until every counted word is one token (Sennrich et al. 2016, algorithm 1)."""
    words = {w: [symbols[b] for b in w.encode()[:-1]] + [symbols[w.encode()[-1]] + "</w>"] for w in counts}
    merges = []
    while True:
        pairs = collections.Counter()
        for word, parts in words.items():
            for pair in zip(parts, parts[1:]):
                pairs[pair] += counts[word]
        if not pairs:
            return merges
        best = max(pairs, key=lambda pair: (pairs[pair], pair))
        merges.append(best)
        for word, parts in words.items():
            joined = []
            for part in parts:
                if joined and (joined[-1], part) == best:
                    joined[-1] += part
                else:
                    joined.append(part)
            words[word] = joined


def write_tokenizer(folder: pathlib.Path):
    """vocab.json, merges.txt and tokenizer_config.json, as CLIPTokenizer reads them."""
    rng = random.Random("vocabulary")
    counts = collections.Counter(w for _ in range(CAPTIONS) for w in WORD.findall(caption(any_scene(rng), rng).lower()))
    symbols = byte_symbols()
    merges = learn_merges(counts, symbols)
    tokens = list(symbols.values())
    tokens += [token + "</w>" for token in tokens] + [a + b for a, b in merges] + [START, END]
    folder.mkdir(parents=True, exist_ok=True)
    vocabulary = {token: i for i, token in enumerate(tokens)}
    (folder / "vocab.json").write_text(json.dumps(vocabulary, ensure_ascii=False) + "\n", encoding="utf-8")
    lines = ["#version: 0.2", *(f"{a} {b}" for a, b in merges)]
    (folder / "merges.txt").write_text("\n".join(lines) + "\n", encoding="utf-8")
    config = {
        "tokenizer_class": "CLIPTokenizer",
        "bos_token": START,
        "eos_token": END,
        "pad_token": END,
        "unk_token": END,
        "do_lower_case": True,
        "errors": "replace",
        "add_prefix_space": False,
        "model_max_length": TOKENS,
    }
    (folder / "tokenizer_config.json").write_text(json.dumps(config, indent=2) + "\n", encoding="utf-8")


class Encoder:
    """Captions of the grammar to ids: every word of theirs is one token."""

    def __init__(self, folder: pathlib.Path):
        self.vocabulary = json.loads((folder / "vocab.json").read_text(encoding="utf-8"))

    def __call__(self, text: str, length: int = TOKENS) -> list[int]:
        ids = [self.vocabulary[word + "</w>"] for word in WORD.findall(text)][: length - 2]
        ids = [self.vocabulary[START], *ids, self.vocabulary[END]]
        return ids + [self.vocabulary[END]] * (length - len(ids))
