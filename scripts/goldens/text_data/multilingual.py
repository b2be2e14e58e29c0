"""Texts in many scripts: what small sentencepiece models are trained on, and what tokenizers are compared on."""

TRAINING = [
    "赤い屋根の家と猫、水彩画", "緑の丘の上の赤い家、星空の下で", "美しい海と空、夕焼け、油絵", "夜の街を歩く猫", "サラリーマンの油絵",
    "富士山の上の月、浮世絵", "桜の木の下で本を読む少女", "カタカナ ひらがな 漢字", "ラーメンを食べるロボット", "東京の夜景、雨、ネオン",
    "红色的房子在绿色的山丘上，油画", "黑暗精灵公主，非常详细，幻想，数字绘画，概念艺术", "一只猫在草地上", "山水画，水墨，云雾", "模糊，低质量",
    "星空下的灯塔", "一个女孩在花园里", "未来城市，霓虹灯，雨夜", "金色的龙在云中", "雪山和湖泊的风景",
    "빨간 지붕 집과 고양이", "초록 언덕 위의 집", "밤하늘의 별", "장미 정원의 소녀",
    "красный дом на зелёных холмах", "кошка на крыше, масло", "звёздное небо над городом", "un château rouge sur des collines vertes",
    "une peinture à l'huile d'un phare", "ein rotes Haus auf grünen Hügeln", "Ölgemälde, höchste Qualität, größer", "una casa roja en las colinas",
    "señora con sombrero, pintura al óleo", "uma casa vermelha, São Paulo à noite", "ngôi nhà đỏ trên đồi xanh", "tranh sơn dầu, chất lượng cao",
    "بيت أحمر على تلال خضراء", "לוחות שמן, בית אדום", "बरामदे में लाल घर", "บ้านสีแดงบนเนินเขา", "κόκκινο σπίτι στους λόφους",
    "a red house on green hills, oil painting", "a pirate ship near a paradise beach at sunset", "portrait of a woman, highly detailed, 4k",
    "a hot air balloon over snowy mountains", "the lighthouse in a starry night, by the sea", "an astronaut riding a horse, digital art",
    "masterpiece, best quality, trending on artstation, sharp focus", "robot, red fox, castle, forest, desert, bowl of fruit",
    "1920s Paris, 35mm film, f/1.8, 8K", "A Red House, HIGHLY DETAILED", "don't stop, it's 10:30 (really)", "🙂 🎨 ❤️ 🏠",
]  # fmt: skip

BY_HAND = [
    *TRAINING, "", " ", "\n", "\t\n", "　", "▁", "▁▁", "a▁b", "▁a ▁ b▁", "a  b   c", " a ", "a\tb\nc\r\nd", "a　b", "a\u00a0b\u2003c\u202fd", "a\u0085b",
    "a\u200bb\u200cc\u200dd\ufeffe\u2060f\u00adg", "a\x00b", "\x01\x02\x1b[31m\x7f", "\ufffd", "ＡＢＣ　ａｂｃ　１２３！？", "（全角）［記号］｛｝〜～ー―", "ｱｲｳｴｵ ｶﾞｷﾞｸﾞ ﾊﾟﾋﾟﾌﾟ ﾃﾞﾙﾀ",
    "が か\u3099 ｶﾞ ガ カ\u3099", "は\u309aひ\u309a", "㌔㍍㌘ ㍿ ㈱ ㊙ ㋿ ℃ № ℡ ™ ①②③ ⑩ Ⅷ ⅷ ½ ¼ ²³", "ﬁ ﬂ ﬃ ﬆ ß ẞ ŉ", "é e\u0301 ế e\u0302\u0301 ṩ s\u0323\u0307 q\u0323\u0307",
    "ngôi nhà đỏ trên đồi xanh".replace("ô", "o\u0302").replace("à", "a\u0300"), "한 \u1112\u1161\u11ab 안녕", "İstanbul".replace("İ", "I\u0307"), "Å Å A\u030a Ω K",
    "…⋯‥ ‘’“” – — ― − ・･ 、､ 。｡ 「」｢｣", "❤️ ❤ ☺︎ ☺️ 1️⃣ #️⃣ ½\ufe0f", "👩‍👩‍👧‍👦 🏳️‍🌈 🇩🇪🇯🇵 👍🏽 👩🏿‍🚀", "ﷺ ﷲ ﻻ", "ๅำ ກຳ", "क़ ड़ \u0915\u093c", "\u0344 \u0f73 \u0958",
    "赤い,屋根。の・家!", "赤い屋根の家と猫 a red house красный дом", "水彩 水彩画 水 彩", "<sym>", "a<sym>b <sym> <SYM>", "<s>", "</s>", "<unk>", "<pad>", "<mask>", "[PAD]", "[MASK] [CLS][SEP]",
    "a <mask> b", "a   <mask>   b", "<mask><mask>", "a</s>b", "<s>赤い</s>", "<extra_id_0> <extra_id_1> <extra_id_99><extra_id_100>", "＜s＞ ＜mask＞", "< s >", "<MASK> <Mask>",
    "A RED HOUSE", "A Red House On Green Hills", "ABCdefGHI", "Ünïcödé ÜNÏCÖDÉ", "ÀÉÎÕÜ", "ПРИВЕТ Мир", "ǅ Ǆ ǆ", "don’t DON'T", "100% $5 €6 ¥7 £8 ₩9", "x²+y²=z²",
    "https://example.org/a?b=c&d=e#f", "(a:1.2) [b|c] {d} --ar 16:9", "!!! ??? ...", "，，，、、、", "猫" * 30, "a" * 100, "ab " * 60, "赤い屋根の家 " * 30, "🙂" * 20,
]  # fmt: skip
