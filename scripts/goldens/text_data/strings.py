"""The texts that tokenizers are compared on: every Unicode category, and what prompts and their enemies look like."""

import random
import unicodedata

SPECIAL = ["<|startoftext|>", "<|endoftext|>", "<|STARTOFTEXT|>", "<|EndOfText|>", "<|endoftext", "|endoftext|>", "!"]
TOKENS = ["<left>", "<right>", "ship", "Pirate", "PIRATE", "<É>", "<é>", "<E\u0301>", "<cat toy>", "<cat", "<CAT", " sea "]
TOKENS += ["<style>", "<one>", "<two>", "<three>", "<cat-toy>", "<dog-toy>", "<Dog-Toy>", "<a>", "<b>", "of</w>"]
QUOTES = ["'", "’", "ʼ", "＇", "`", "´"]
ENDINGS = ["s", "S", "t", "T", "re", "RE", "rE", "ve", "m", "ll", "LL", "Ll", "d", "D", "ſ", "x", "st", "", " s"]
EMOJI = ["👍", "👍🏽", "👩‍👩‍👧‍👦", "🏳️‍🌈", "🇩🇪🇯🇵", "🇩", "☺", "☺️", "☺︎", "1️⃣", "#️⃣", "👩🏿‍🚀", "🏴󠁧󠁢󠁳󠁣󠁴󠁿", "❤️‍🔥", "🫠", "🪿", "🫩"]
BY_HAND = [
    "", " ", "  ", "\n", "\x00", "\x00\x00", "a\x00b", "\ufeff", "\ufeffa", "a\u200db", "a\u200cb", "a\u00adb", "\ufffd",
    "\u2126", "\u212a", "\u212b", "\u212aelvin \u2126hm \u212bngström", "İstanbul", "ISTANBUL ıstanbul", "ΟΔΥΣΣΕΥΣ ΣΑΣ Σ", "ς σ Σ",
    "ǅ ǆ Ǆ ǈ ǋ ǲ", "ẞ ß ss SS", "ﬁ ﬂ ﬃ ﬆ", "ŉ ǰ ΐ", "ᾳ ᾼ ᾈ ῼ", "Ⅻ ⅻ Ⓐ ⓐ", "²³¹ ½ ¼ ⅓", "①②③ ⒈ ❶", "٣٤٥ ۳۴۵ ३४५ 三四五 ៣៤៥",
    "e\u0301 é E\u0301 É", "n\u0303o\u0308", "a\u0328\u0301 a\u0301\u0328", "\u1112\u1161\u11ab 한 \u1112\u1161", "\uac00\u11a7\uac00\u11a8",
    "が か\u3099 ｶﾞ ガ", "\u0344 \u0958 \u0f73", "q\u0307\u0323 q\u0323\u0307", "\u0301a", "a\u0301\u0302\u0303\u0304\u0305",
    "שלום עולם", "مرحبا بالعالم", "สวัสดีชาวโลก", "नमस्ते दुनिया", "你好，世界！", "こんにちは世界", "안녕하세요 세계", "привет мир ПРИВЕТ", "Γειά σου",
    "a  b\t\tc\n\nd\r\ne", "a\u00a0b\u2003c\u3000d\u202fe\u205ff\u1680g", "a\u0085b\u2028c\u2029d", "a\x1cb\x1dc\x1ed\x1fe", "a\u180eb\u200bc\u2060d",
    "...!!!???", "!!! !! !", "a!b?c.d,e;f:g", "(a:1.2) [b|c] {d}", "--ar 16:9 --v 5", "masterpiece, (best quality:1.2), ((detailed))",
    "C3PO R2-D2 4k 8K 3.14 1,000 10th 1990s", "abc123def456", "1234567890", "1 2 3", "①1一", "x²+y²=z²", "100% $5 €6 ¥7 £8",
    "it's he'll they've we're I'm you'd don't", "IT'S HE'LL THEY'VE WE'RE I'M YOU'D DON'T", "'s's 'll'll ''s '' '", "rock'n'roll 'tis o'clock y'all'd've",
    "https://example.org/a?b=c&d=e#f", "user@example.org", "#hashtag @user", "snake_case camelCase kebab-case", "a_b __c__", "\\n \\t \"quoted\" `code`",
    "<|startoftext|>", "<|endoftext|>", "a <|endoftext|> b", "a<|endoftext|>b", "<|endoftext|><|endoftext|>", "<|startoftext|>a<|endoftext|>",
    "<|ENDOFTEXT|>!!", "!!<|ENDOFTEXT|>", "<|ENDOFTEXT|>'s", "x<|STARTOFTEXT|>y", "< |endoftext| >", "<|endoftext|", "<|<|endoftext|>|>",
    "hello!!", "!", "a!", "!a", "wow! such ship !", "!<|endoftext|>!", "\u00a1hola! ¿qué?", "！", "！!", "!\u0301", "</w>", "a</w> b</w>", "of</w>",
    "ship ships ship's ship, starship ship", "Pirate pirate PIRATE pirates", "_ship_ ship-ship ship\u0301", "1ship ship1 ②ship ship②", "Ⓐship ship\u200d",
    "a <left> b", "a   <left>b", "a <right>   b", "a <É> b <é> c <E\u0301> d", "<cat toy> <cat> <catt", "by the sea side sea  sea", "\u3000<left>\u2003<right>\u3000",
    "<left><left> <right> <right>", "  <left>", "<right>  ", "<style> <STYLE>", "a <cat-toy> on <dog-toy> and <Dog-Toy>", "<one><two> <three>", "<a><b><A>",
]
SUBJECTS = "pirate ship, hot air balloon, castle, sunset, desert, forest, portrait of a woman, robot, red fox, lighthouse, bowl of fruit".split(", ")
PLACES = "near a paradise beach, at night, on a hill, in the snow, under the sea, in Zürich, over São Paulo, by the façade, in 1920s Paris".split(", ")
STYLES = "oil painting, 4k, highly detailed, by Greg Rutkowski, trending on ArtStation, f/1.8, 35mm, masterpiece!!, (vivid:1.3), Ukiyo-e".split(", ")


def groups(items: list, size: int, glue: str) -> list[str]:
    return [glue.join(items[i : i + size]) for i in range(0, len(items), size)]


def strings() -> list[str]:
    rng = random.Random(3)
    code_points = [c for c in range(0x110000) if not 0xD800 <= c <= 0xDFFF]
    by_category: dict[str, list[str]] = {}
    for c in code_points:
        by_category.setdefault(unicodedata.category(chr(c)), []).append(chr(c))
    texts = list(BY_HAND) + EMOJI + ["a" + e + "b" for e in EMOJI]

    for _, members in sorted(by_category.items()):
        for c in rng.sample(members, min(40, len(members))):
            texts += [c, f"a{c}b {c}{c}", f"1{c} {c}x"]
    texts += [f"we{q}{e}" for q in QUOTES for e in ENDINGS] + [f"{e} {q}{e}{q}{e}!" for q in QUOTES for e in ENDINGS]
    zeros = [c for c in by_category["Nd"] if unicodedata.digit(c) == 0]
    texts += ["x" + "".join(chr(ord(zero) + i) for i in (0, 1, 2, 9)) + "y" for zero in zeros]

    cased = [chr(c) for c in code_points if chr(c).lower() != chr(c)]
    texts += groups(cased, 12, "") + groups(cased, 40, " ")[::3]
    parts = [unicodedata.normalize("NFD", chr(c)) for c in code_points if unicodedata.decomposition(chr(c))[:1] not in ("", "<")]
    texts += groups(rng.sample(parts, 700), 7, " ")
    marks = [chr(c) for c in code_points if unicodedata.combining(chr(c))]
    hangul = [chr(c) for c in (*range(0x1100, 0x1200), *range(0xAC00, 0xAC20), *range(0xD7B0, 0xD800))]
    texts += ["".join(rng.choices(marks, k=rng.randint(1, 3)) + [rng.choice("aeonα")] + rng.choices(marks, k=4)) for _ in range(150)]
    texts += ["".join(rng.choices(hangul, k=rng.randint(2, 8))) for _ in range(100)]

    ascii_text = [chr(c) for c in range(0x80)]
    punctuation = [c for c in ascii_text if not c.isalnum() and c.isprintable()]
    texts += ["".join(rng.choices(punctuation, k=rng.randint(1, 12))) for _ in range(200)]
    texts += ["".join(rng.choices(ascii_text, k=rng.randint(1, 30))) for _ in range(300)]
    pieces = SPECIAL + TOKENS + QUOTES + EMOJI + [" ", "  ", "\t", "\u3000", "s", "'s", "ship", "a", "Z", "7", "é", "Σ"]
    texts += ["".join(rng.choices(pieces, k=rng.randint(1, 6))) for _ in range(500)]
    for _ in range(400):
        text = f"a {rng.choice(SUBJECTS)} {rng.choice(PLACES)}, {', '.join(rng.sample(STYLES, rng.randint(0, 3)))}"
        texts.append(rng.choice([str, str.upper, str.title])(text))
    everywhere = [members for _, members in sorted(by_category.items())]
    texts += ["".join(rng.choice(rng.choice(everywhere)) for _ in range(rng.randint(1, 8))) for _ in range(500)]
    assigned = [c for category, members in by_category.items() if category not in ("Cn", "Co") for c in members]
    texts += ["".join(rng.choices(assigned, k=rng.randint(1, 6))) for _ in range(400)]

    long_words = "a pirate ship near a paradise beach at sunset, highly detailed " * 20
    texts += [long_words, "a" * 1000, "lighthouse" * 60, "é" * 300, "!" * 300, "1" * 160, "ab " * 200, "🇩🇪" * 50]
    return texts
