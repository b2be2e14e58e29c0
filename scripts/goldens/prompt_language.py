"""Prompts and what their grammars say: A1111's and ComfyUI's by the parsers of prompts/grammars.py, compel's by compel
itself (prompt_requirements.txt pins it)."""

import json
import math
import pathlib
import random

from compel.prompt_parser import Blend, PromptParser
from prompts import grammars

PLAIN = ["a", "cat", "a cat", "red, blue", " ", "é", "日本", "hand", "1e1", "+2", ",", "\n", "\t", "\u3000", "\xa0",
         "BREAK", "BREAKx", "AND", "aANDb", "_AND_", "-AND-", "1", ".5", "<x>", "{a}"]
SIGNS = [":", "\\(", "\\)", "\\[", "\\]", "\\\\", "\\:", "\\|", "\\x", "(", ")", "[", "]", "|"]
WHOLE = ["[a:b:c:3]", "(a:1.2:3)", "()", "[]", "[|]", "[:]", "[::]", "[a||b]", "[(x:1.2)::0.5]", "(a:1.2.3)", "\\", "]:",
         " BREAK "]
NUMBERS = ["3", "0.5", ".5", "1.", "-1", "0", "1.0", "0.25", "12", " 2", "2 ", "1e0", "+1", "0.99", "1.5", "4"]
WEIGHTS = ["1.3", ".5", "1.", "-1", "0", "2", "1.2", "+1.1", " 1.4", "0.9 "]
BY_HAND = ["", " ", "AND", "a AND", "a AND b:0.7 AND c : -1", "a cat:2", "16:9", "a BREAK b", "BREAK", "BREAK BREAK a",
           "(a BREAK b)", "(a BREAK b:1)", "a AND b BREAK c", "[a:b:3]", "[a:b:1.0]", "[a:b:0]", "[a|b]", "[a|b|]",
           "a [b:c:3] d", "[[a:b:2]:[c|d]:4]", "([a:b:.5]:1.3)", "(([x:y:2]))", "\\(a\\) (b)", "a\\", "a|b", "[a|b", "((a",
           "a))", "[a(b]c)", "[a:b:3]]", "(:1.2)", "a:1.2)", "(a: 1.2 )", "\\\\(a)", "a AND [b:c:2]:0.5", "[a AND b:c:2]"]


def text(r: random.Random) -> str:
    return "".join(r.choice(SIGNS if r.random() < 0.08 else PLAIN) for _ in range(r.randint(0, 3)))


def item(r: random.Random, depth: int) -> str:
    if depth == 0 or r.random() < 0.35:
        return text(r)
    inner = [sequence(r, depth - 1) for _ in range(3)]
    shapes = [(3, f"({inner[0]})"), (4, f"({inner[0]}:{r.choice(WEIGHTS)})"), (3, f"[{inner[0]}]"),
              (4, f"[{inner[0]}:{inner[1]}:{r.choice(NUMBERS)}]"), (2, f"[{inner[0]}:{r.choice(NUMBERS)}]"),
              (2, f"[{inner[0]}::{r.choice(NUMBERS)}]"), (3, f"[{'|'.join(inner[:r.randint(2, 3)])}]"),
              (2, r.choice(WHOLE))]
    return r.choices([shape for _, shape in shapes], [share for share, _ in shapes])[0]


def sequence(r: random.Random, depth: int) -> str:
    return "".join(item(r, depth) for _ in range(r.randint(0, 3)))


def a1111_cases(r: random.Random) -> list[dict]:
    prompts = list(BY_HAND)
    while len(prompts) < 500:
        parts = [sequence(r, r.randint(0, 3)) for _ in range(r.choice([1, 1, 1, 2, 3]))]
        prompt = parts[0] + "".join(r.choice([" AND ", "AND", " AND\n"]) + part for part in parts[1:])
        if len(prompt) < 120:
            prompts.append(prompt + (f":{r.choice(WEIGHTS)}" if r.random() < 0.15 else ""))
    cases = []
    for prompt in prompts:
        case = {"prompt": prompt, "calls": r.randint(1, 6)}
        if r.random() < 0.15:
            case["before"] = r.randint(1, 5)
        if r.random() < 0.1:
            case["negative"] = True
        try:
            case["parts"] = grammars.a1111(**case)
        except grammars.Wrong:
            case["wrong"] = True
        cases.append(case)
    return cases


def comfy_cases(r: random.Random) -> list[dict]:
    plain = ["a", "a cat", " ", "[b]", "[c:d:3]", "BREAK", "AND", "é", "\\(", "\\)", "\\\\", ":", "\n", "(", ")"]
    weights = ["1.3", ".5", "1.", "-1", " 2", "1e1", "x", "1.2.3", "", "+1", "1_0"]

    def part(depth: int) -> str:
        if depth == 0 or r.random() < 0.4:
            return r.choice(plain[:8] if r.random() < 0.7 else plain)
        inner = "".join(part(depth - 1) for _ in range(r.randint(0, 3)))
        return f"({inner})" if r.random() < 0.4 else f"({inner}:{r.choice(weights)})"

    prompts = ["", "(a (b:0.5) c:1.2)", "((a))", "[a]", "(a", "a)", ")a(", "\\(a\\)", "(a:b:1.2)", "(a:1.2"]
    prompts += ["".join(part(3) for _ in range(r.randint(1, 4))) for _ in range(140)]
    return [{"prompt": prompt, "pieces": grammars.comfy(prompt)} for prompt in prompts]


def compel_cases(r: random.Random) -> list[dict]:
    plain = ["a", "cat", "a cat", "red, blue", "well-known", "a+b", "x=y", "é", "1.3", "+", "--", ".", "\\(", "\\)", "\\\"",
             "\\+", "(", ")", '"', "\n", "well-known++", "cat.attend(0.5)", "dog++", "mat-"]
    after = ["", "+", "--", "1.3", "0.5", ".7", "2", "-1", ".attend(1.2)", ".attend(+)", " +"]

    def part(depth: int) -> str:
        if depth == 0 or r.random() < 0.4:
            return r.choice(plain[:9] if r.random() < 0.6 else plain)
        inner = r.choice(["", " "]).join(part(depth - 1) for _ in range(r.randint(0, 3)))
        return (f"({inner})" if r.random() < 0.6 else '"' + inner.replace('"', '\\"') + '"') + r.choice(after)

    def operation() -> str:
        count = r.randint(1, 3)
        targets = ", ".join(r.choice([f'"{part(1)}"' if r.random() < 0.7 else f"({part(1)})", "word"]) for _ in range(count))
        weights = r.choice(["", ", ".join(r.choice(["1", ".5", "-0.5", "0.3", "2."]) for _ in range(count)), "1", "x"])
        return f"({targets}){r.choice(['.blend', '.and', '.add'])}({weights})" + r.choice([""] * 6 + [" more"])

    prompts = ["", "a cat++ b", "(a b)1.3", '("a", "b c").blend(.5,.5)', '("a", "b").and()', '("a", "b").and(1, .5) more',
               '("a","b").blend(1,1) more', '("a","b").blend(1)', '("a","b").blend(x,1)', '("a","b").blend(1,2,no_normalize)',
               "(a (b c)0.5 d)1.5", "a- b", "a -b", "(a)-1.5", "()", "a,b", '"a \\"b\\"++ c"-']
    prompts += [" ".join(part(2) for _ in range(r.randint(1, 4))) for _ in range(130)] + [operation() for _ in range(60)]
    parser, cases = PromptParser(), []
    for prompt in prompts:
        try:
            read = parser.parse_conjunction(prompt)
            joined = [[weight, part.normalize_weights, [float(w) for w in part.weights],
                       [[[f.text, f.weight] for f in own.children] for own in part.prompts]] if isinstance(part, Blend)
                      else [weight, True, [1.0], [[[f.text, f.weight] for f in part.children]]]
                      for part, weight in zip(read.prompts, read.weights, strict=True)]
            empty = [1.0, True, [1.0], [[["", 1.0]]]]  # of nothing compel makes nothing; sdtorch takes it for no words
            cases.append({"prompt": prompt, "joined": joined or [empty]})
        except Exception:  # several kinds, for several mistakes
            cases.append({"prompt": prompt, "wrong": True})
    return [case for case in cases if not any(math.isnan(blend[0]) for blend in case.get("joined", []))]


def make(out: pathlib.Path) -> None:
    r = random.Random(13)
    for name, cases in (("a1111", a1111_cases(r)), ("comfy", comfy_cases(r)), ("compel", compel_cases(r))):
        lines = ",\n".join(json.dumps(case, ensure_ascii=False) for case in cases)
        (out / f"{name}.json").write_text(f"[\n{lines}\n]\n", "utf-8")
