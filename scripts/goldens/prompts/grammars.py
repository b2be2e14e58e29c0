"""A1111's and ComfyUI's prompt grammars, read by parsers that share nothing with sdtorch's: brackets are paired by one
stack, from left to right, and whatever closes wrongly takes down all that is open."""

import re

NUMBER = re.compile(r"\s*[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?\s*")


class Wrong(Exception):
    """The column, from 1, of what has no meaning."""


# A1111, editing: text is a string, an edit ("edit", from, to, number), an alternation ("alternate", options).


def paired(text: str) -> dict | None:
    """Each opening bracket that pairs well: its end, and the separators at its level; None where the whole is literal.
    """
    pairs, open_, loose_bars, at = {}, [], [], 0
    while at < len(text):
        sign = text[at]
        if sign == "\\":
            if at + 1 == len(text) or text[at + 1] == "\n":
                return None
            at += 1
        elif sign in "([":
            open_.append((at, []))
        elif sign in ":|":
            if open_:
                open_[-1][1].append(at)
            elif sign == "|":
                return None
        elif sign in ")]":
            if not open_ or text[open_[-1][0]] != {")": "(", "]": "["}[sign]:
                loose_bars += [bar for _, separators in open_ for bar in separators]
                open_ = []
            else:
                start, separators = open_.pop()
                kind = kind_of(text, start, separators, at)
                if kind:
                    pairs[start] = (kind, separators, at)
                else:
                    loose_bars += separators + [bar for _, own in open_ for bar in own]
                    open_ = []
        at += 1
    loose_bars += [bar for _, separators in open_ for bar in separators]
    return None if any(text[bar] == "|" for bar in loose_bars) else pairs


def kind_of(text: str, start: int, separators: list[int], end: int) -> str | None:
    signs = {text[s] for s in separators}
    if text[start] == "(":
        return "plain" if "|" not in signs and len(separators) <= 1 else None
    if not separators:
        return "plain"
    if signs == {"|"}:
        return "alternate"
    if signs == {":"} and len(separators) <= 2 and NUMBER.fullmatch(text[separators[-1] + 1:end]):
        return "edit"
    return None


def tree(text: str, pairs: dict, at: int, end: int) -> list:
    nodes = []

    def add(piece: str) -> None:
        if nodes and isinstance(nodes[-1], str):
            nodes[-1] += piece
        else:
            nodes.append(piece)

    while at < end:
        kind, separators, close = pairs.get(at, ("plain", [], at))
        if kind == "plain":
            step = 2 if text[at] == "\\" else 1
            add(text[at:at + step])
            at += step
            continue
        edges = [at, *separators, close]
        options = [tree(text, pairs, a + 1, b) for a, b in zip(edges, edges[1:])]
        if kind == "edit":
            options = options[:-1]
            nodes.append(("edit", options[0] if len(options) == 2 else [], options[-1],
                          text[separators[-1] + 1:close].strip()))
        else:
            nodes.append(("alternate", options))
        at = close + 1
    return nodes


def last_call(number: str, calls: int, before: int | None) -> int:
    value = float(number)
    if "." in number:
        value = (value - (before is not None)) * calls
    else:
        value -= before or 0
    return min(calls, int(value))


def ends(nodes: list, calls: int, before: int | None) -> set[int]:
    found = set()
    for node in nodes:
        if isinstance(node, str):
            continue
        if node[0] == "edit":
            found |= {last_call(node[3], calls, before)} | ends(node[1], calls, before) | ends(node[2], calls, before)
        else:
            found |= set(range(1, calls + 1)).union(*(ends(option, calls, before) for option in node[1]))
    return {end for end in found if end >= 1}


def at_call(nodes: list, call: int, calls: int, before: int | None) -> str:
    out = ""
    for node in nodes:
        if isinstance(node, str):
            out += node
        elif node[0] == "edit":
            out += at_call(node[1] if call <= last_call(node[3], calls, before) else node[2], call, calls, before)
        else:
            out += at_call(node[1][(call - 1) % len(node[1])], call, calls, before)
    return out


def edited(text: str, calls: int, before: int | None) -> list[tuple[int, str]]:
    pairs = paired(text)
    nodes = [text] if pairs is None else tree(text, pairs, 0, len(text))
    return [(end, at_call(nodes, end, calls, before)) for end in sorted(ends(nodes, calls, before) | {calls})]


# A1111, emphasis.


class Piece:
    def __init__(self, text: str, weight: float = 1.0) -> None:
        self.text, self.weight = text, weight


def emphasised(text: str) -> list[list]:
    """Pairs of text and weight. Each open bracket is a list of the pieces that stand in it so far."""
    pieces: list[Piece] = []
    opened: list[tuple[str, list[Piece]]] = []

    def add(piece: Piece) -> None:
        pieces.append(piece)
        for _, inside in opened:
            inside.append(piece)

    def close(sign: str, factor: float) -> bool:
        for i in range(len(opened) - 1, -1, -1):
            if opened[i][0] == sign:
                for piece in opened.pop(i)[1]:
                    piece.weight *= factor
                return True
        return False

    at = 0
    while at < len(text):
        rest = text[at:]
        escape = re.match(r"\\([()\[\]\\]?)", rest)
        weight = re.match(r":\s*([+-]?[.\d]+)\s*\)", rest)
        if escape:
            add(Piece(escape[1]))
            at += escape.end()
        elif rest[0] in "([":
            opened.append((rest[0], []))
            at += 1
        elif weight and any(sign == "(" for sign, _ in opened):
            try:
                value = float(weight[1])
            except ValueError:
                raise Wrong from None
            close("(", value)
            at += weight.end()
        elif rest[0] == ")" and close("(", 1.1) or rest[0] == "]" and close("[", 1 / 1.1):
            at += 1
        else:
            run = weight[0] if weight else rest[0] if rest[0] in ":)]" else re.match(r"[^\\()\[\]:]+", rest)[0]
            first, *others = re.split(r"\s*\bBREAK\b\s*", run)
            add(Piece(first))
            for other in others:
                add(Piece("BREAK", -1.0))
                add(Piece(other))
            at += len(run)
    for sign, factor in (("(", 1.1), ("[", 1 / 1.1)):
        for _, inside in [entry for entry in opened if entry[0] == sign]:
            for piece in inside:
                piece.weight *= factor
    merged: list[list] = []
    for piece in pieces or [Piece("")]:
        if merged and merged[-1][1] == piece.weight:
            merged[-1][0] += piece.text
        else:
            merged.append([piece.text, piece.weight])
    return merged


def composed(text: str) -> list[tuple[str, float]]:
    parts = []
    for part in re.split(r"\bAND\b", text):
        part = part.rstrip()
        weight = re.search(r"\s*:\s*([-+]?(\d+\.?\d*|\.\d+))\Z", part)
        parts.append((part[:weight.start()], float(weight[1])) if weight else (part, 1.0))
    return parts


def a1111(prompt: str, calls: int, before: int | None = None, negative: bool = False) -> list:
    """[weight, [[last call, [[text, weight], …]], …]] a part."""
    return [[weight, [[end, emphasised(version)] for end, version in edited(part, calls, before)]]
            for part, weight in ([(prompt, 1.0)] if negative else composed(prompt))]


# ComfyUI.


def comfy(text: str) -> list[list]:
    marks = {"\\(": "\ue000", "\\)": "\ue001"}
    for escape in ("\\)", "\\("):
        text = text.replace(escape, marks[escape])
    pieces = [[piece.replace("\ue000", "(").replace("\ue001", ")"), weight] for piece, weight in nested(text, 1.0)]
    return pieces or [["", 1.0]]


def nested(text: str, weight: float) -> list[tuple[str, float]]:
    found, start, depth = [], 0, 0
    cuts = []
    for at, sign in enumerate(text):
        if sign == "(":
            if depth == 0:
                cuts.append(at)
            depth += 1
        elif sign == ")":
            depth -= 1
            if depth == 0:
                cuts.append(at + 1)
    for cut in [*cuts, len(text)]:
        item, start = text[start:cut], cut
        if not item:
            continue
        if len(item) < 2 or item[0] != "(" or item[-1] != ")":
            found.append((item, weight))
            continue
        inner, own = item[1:-1], weight * 1.1
        head, colon, tail = inner.rpartition(":")
        if colon and head:
            try:
                own, inner = float(tail), head
            except ValueError:
                pass
        found += nested(inner, own)
    return found
