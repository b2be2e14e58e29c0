"""Token ids by transformers' CLIPTokenizer, and the Unicode classes that its library sees.

tests/golden/text/strings.jsonl   the texts, a JSON string a line
tests/golden/text/cases.json      tokenizers: their files, and the ids of what they name
tests/golden/text/NAME.ids        a line a text: its ids, or `=` where they are those of the case's `base`
tests/golden/text/small/          a vocabulary of 828 pieces, kept as it is, for cases of many kinds
tests/golden/text/small_json/     the same as transformers 5 writes it, kept as it is
tests/golden/text/unicode.json    ranges of code points by class, and lower case
CLIP's own vocabulary is that of scripts/bootstrap, in .deps/clip.
"""

import json
import pathlib
import shutil
import sys
import tempfile

from text_data.strings import strings
from tokenizers import AddedToken, Regex, Tokenizer, normalizers
from tokenizers.models import BPE

ROOT = pathlib.Path(__file__).resolve().parents[2]
START, END = "<|startoftext|>", "<|endoftext|>"
CODE_POINTS = [c for c in range(0x110000) if not 0xD800 <= c <= 0xDFFF]


def flags(content: str, **changes) -> dict:
    return {"content": content, "lstrip": False, "normalized": True, "rstrip": False, "single_word": False, **changes}


def typed(content: str) -> dict:
    return {"__type": "AddedToken", **flags(content)}


def special_map(pad: str) -> dict:
    return {"bos_token": flags(START), "eos_token": flags(END), "pad_token": pad, "unk_token": flags(END)}


# As the models' repositories have them: Stable Diffusion 1, and 2, which names its pad in the map alone.
CONFIG = {
    "add_prefix_space": False,
    "bos_token": typed(START),
    "do_lower_case": True,
    "eos_token": typed(END),
    "errors": "replace",
    "model_max_length": 77,
    "pad_token": END,
    "tokenizer_class": "CLIPTokenizer",
    "unk_token": typed(END),
}


def decoder(entries: dict[int, dict], **config) -> dict:
    """tokenizer_config.json as transformers 4.40 and later write it."""
    names = {"bos_token": START, "eos_token": END, "pad_token": END, "unk_token": END}
    added = {str(index): token for index, token in entries.items()}
    return {"tokenizer_config.json": {**names, "added_tokens_decoder": added, **config}}


def special(content: str, **changes) -> dict:
    return flags(content, special=True, **changes)


def small_ends(**changes) -> dict[int, dict]:
    return {826: special(START, **changes), 827: special(END, **changes)}


# name: (vocabulary, base, files beside it). Files are what from_pretrained reads.
CASES = {
    "sd1": ("clip", None, {"tokenizer_config.json": CONFIG, "special_tokens_map.json": special_map(END)}),
    "sd2": ("clip", "sd1", {"tokenizer_config.json": CONFIG, "special_tokens_map.json": special_map("!")}),
    "bare": ("clip", "sd1", {}),
    "sd2_decoder": (
        "clip",
        "sd2",
        decoder({0: special("!", normalized=False), 49406: special(START), 49407: special(END)}, pad_token="!"),
    ),
    "small": ("small", None, {}),
    "small_json": ("small_json", "small", {"tokenizer_config.json": {"model_max_length": int(1e30)}}),
    "small_json_old": ("small_json_old", "small", {"tokenizer_config.json": {"model_max_length": 20}}),
    "flags": (
        "small",
        "small",
        decoder(
            {
                **small_ends(normalized=False),
                828: flags("<left>", lstrip=True, normalized=False),
                829: flags("<right>", rstrip=True, normalized=False),
                830: flags("ship", single_word=True, normalized=False),
                831: flags("Pirate", single_word=True),
                832: flags("<É>", lstrip=True, rstrip=True),
                833: special("<cat toy>", normalized=False),
                834: flags("<cat"),
                835: flags(" sea "),
            }
        ),
    ),
    "added": (
        "small",
        "small",
        {
            "tokenizer_config.json": CONFIG | {"style_token": "<style>", "additional_special_tokens": ["<one>", "<two>"]},
            "special_tokens_map.json": special_map("!") | {"additional_special_tokens": ["<three>"]},
            "added_tokens.json": {"<cat-toy>": 828, "<Dog-Toy>": 829},
        },
    ),
    "map": (
        "small",
        "small",
        {"special_tokens_map.json": {"additional_special_tokens": ["<a>", "<b>"], "pad_token": "of</w>"}},
    ),
    "split": ("small", "small", {"tokenizer_config.json": CONFIG | {"split_special_tokens": True, "pad_token": "!"}}),
}


def old_tokenizer_json(whole: dict) -> dict:
    """tokenizer.json as early releases of the tokenizers library wrote it: merges as strings, the models' own split."""
    old = json.loads(json.dumps(whole))
    old["model"]["merges"] = [" ".join(merge) for merge in whole["model"]["merges"]]
    for key in ("type", "byte_fallback", "ignore_merges"):
        old["model"].pop(key)
    split, byte_level = old["pre_tokenizer"]["pretokenizers"]
    split["pattern"]["Regex"] = split["pattern"]["Regex"].removeprefix(r"<\|startoftext\|>|<\|endoftext\|>|")
    byte_level.pop("use_regex")
    return old


def vocabularies(out: pathlib.Path) -> dict[str, pathlib.Path]:
    clip = ROOT / ".deps" / "clip"
    if not clip.is_dir():
        sys.exit("error: .deps/clip: missing; run scripts/bootstrap")
    folders = {"clip": clip, "small": out / "small", "small_json": out / "small_json"}
    whole = json.loads((folders["small_json"] / "tokenizer.json").read_text())
    folders["small_json_old"] = out / "small_json_old"
    folders["small_json_old"].mkdir(exist_ok=True)
    text = json.dumps(old_tokenizer_json(whole), ensure_ascii=False, separators=(",", ":"))
    (folders["small_json_old"] / "tokenizer.json").write_text(text + "\n")
    return folders


def encode(folder: pathlib.Path, texts: list[str]):
    from transformers import CLIPTokenizer

    tokenizer = CLIPTokenizer.from_pretrained(folder)
    ids = tokenizer(texts, add_special_tokens=False, verbose=False).input_ids
    names = {
        "start": tokenizer.bos_token_id,
        "end": tokenizer.eos_token_id,
        "pad": tokenizer.pad_token_id,
        "model_max_length": min(tokenizer.model_max_length, 77),
        "added": {str(index): tokenizer.convert_ids_to_tokens(index) for index in tokenizer.added_tokens_decoder},
        "vocab_size": len(tokenizer),
    }
    return names, ids


def make_ids(out: pathlib.Path) -> None:
    texts = strings()
    with open(out / "strings.jsonl", "w", encoding="utf-8") as file:
        file.writelines(json.dumps(text, ensure_ascii=False) + "\n" for text in texts)
    folders = vocabularies(out)
    cases, all_ids = {}, {}
    for name, (vocabulary, base, files) in CASES.items():
        with tempfile.TemporaryDirectory() as temporary:
            folder = pathlib.Path(temporary)
            for path in folders[vocabulary].iterdir():
                shutil.copy(path, folder)
            for file, content in files.items():
                (folder / file).write_text(json.dumps(content))
            names, ids = encode(folder, texts)
        all_ids[name] = ids
        cases[name] = {"vocabulary": vocabulary, "base": base, "files": files, **names}
        lines = ["=" if base and ids[i] == all_ids[base][i] else " ".join(map(str, ids[i])) for i in range(len(texts))]
        (out / f"{name}.ids").write_text("\n".join(lines) + "\n")
    (out / "cases.json").write_text(json.dumps(cases, indent=1) + "\n")


def ranges(members) -> list[list[int]]:
    found: list[list[int]] = []
    for c in sorted(members):
        if found and found[-1][1] == c - 1:
            found[-1][1] = c
        else:
            found.append([c, c])
    return found


def make_unicode(out: pathlib.Path) -> None:
    """Classes by what the library's expressions take out of a text of every code point."""
    everything = "".join(map(chr, CODE_POINTS))

    def taken_by(expression: str) -> list[list[int]]:
        left = set(normalizers.Replace(Regex(expression), "").normalize_str(everything))
        return ranges(c for c in CODE_POINTS if chr(c) not in left)

    # A token that must be a word of its own is not found behind a character of words.
    probe = Tokenizer(BPE(vocab={"a": 0}, merges=[]))
    probe.add_tokens([AddedToken("zz", single_word=True, normalized=False)])
    found = probe.encode_batch([chr(c) + "zz" for c in CODE_POINTS])
    words = [c for c, encoding in zip(CODE_POINTS, found) if "zz" not in encoding.tokens]

    lower = normalizers.Lowercase()
    composed = normalizers.NFC()
    pairs = [(c, lower.normalize_str(chr(c))) for c in CODE_POINTS]
    tables = {
        "letter": taken_by(r"\p{L}"),
        "number": taken_by(r"\p{N}"),
        "space": taken_by(r"\s"),
        "word": ranges(words),
        "lower": [[c, *map(ord, text)] for c, text in pairs if text != chr(c)],
        "nfc": [[c, *map(ord, text)] for c in CODE_POINTS if (text := composed.normalize_str(chr(c))) != chr(c)],
    }
    lines = [f"{json.dumps(name)}: {json.dumps(table, separators=(',', ':'))}" for name, table in tables.items()]
    (out / "unicode.json").write_text("{" + ",\n".join(lines) + "}\n")


def make(out: pathlib.Path) -> None:
    make_ids(out)
    make_unicode(out)
