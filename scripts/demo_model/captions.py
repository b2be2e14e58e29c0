"""Captions of scenes: a grammar with synonyms and free order.

A caption may leave things out (what it leaves out, the picture may choose), but never says what is not there.
"""

import random

from demo_model.scenes import Object, Scene

SKY_PHRASES = {
    "day": (
        "under a blue sky", "on a sunny day", "under a clear blue sky", "in daylight", "at noon", "by day",
        "in the morning", "under a bright sky", "in the sunshine",
    ),
    "sunset": (
        "at sunset", "under a sunset sky", "under an orange sky", "in the evening", "at dusk", "at dawn",
        "at sunrise", "in the golden hour", "with an orange sky",
    ),
    "night": (
        "at night", "under a starry sky", "under a starry night sky", "under the stars", "at midnight",
        "in a starry night", "under a dark sky", "in the dark", "with a starry sky",
    ),
    "cosmic": (
        "under a cosmic sky", "under a purple cosmic sky", "in a cosmic galaxy", "under a purple nebula",
        "under a magical purple sky", "in space", "in a dream", "under a galaxy", "with a cosmic sky",
        "on another planet",
    ),
}
SKY_NOUNS = {
    "day": ("blue sky", "sunny day", "daylight", "clear sky", "noon", "day"),
    "sunset": ("sunset", "orange sky", "sunset sky", "evening", "dusk", "sunrise"),
    "night": ("starry night", "night sky", "night", "stars", "starry sky", "midnight"),
    "cosmic": ("cosmic sky", "purple galaxy", "cosmic galaxy", "nebula", "outer space", "galaxy", "cosmic"),
}
SKY_ADJECTIVES = {
    "day": ("sunny", "bright", "sunlit"),
    "sunset": ("sunset", "evening", "golden"),
    "night": ("starry", "moonlit", "night", "dark"),
    "cosmic": ("cosmic", "magical", "dreamy", "galactic", "alien", "dream", "purple"),
}
CELESTIAL_PHRASES = {
    "day": ("with a bright sun", "with the sun", "and a yellow sun", "with a sun"),
    "sunset": ("with a setting sun", "with the sun on the horizon", "with a big sun", "with the sun"),
    "night": ("with a full moon", "with the moon", "in the moonlight", "and the moon", "with a moon"),
    "cosmic": ("with a ringed planet", "with a planet", "and a big planet", "with saturn"),
}
GROUND_NOUNS = {  # (article, noun): an adjective goes between the two
    "beach": (
        ("a", "beach"), ("a", "paradise beach"), ("a", "tropical beach"), ("the", "sea"), ("a", "sandy shore"),
        ("an", "island beach"), ("the", "ocean"), ("a", "sandy beach"), ("the", "beach"), ("a", "coast"),
        ("an", "island"), ("a", "dreambeach"), ("a", "bay"),
    ),
    "hills": (
        ("", "green hills"), ("a", "green meadow"), ("", "grassy hills"), ("the", "countryside"),
        ("", "rolling green hills"), ("a", "meadow"), ("", "hills"), ("the", "hills"), ("a", "green field"),
        ("the", "grass"), ("a", "valley"), ("", "green grass"),
    ),
    "desert": (
        ("a", "desert"), ("a", "sandy desert"), ("", "desert dunes"), ("the", "dunes"), ("a", "hot desert"),
        ("the", "desert"), ("", "sand dunes"), ("", "dunes"),
    ),
    "snow": (
        ("", "snowy mountains"), ("the", "mountains"), ("", "mountains in winter"), ("a", "snowy landscape"),
        ("", "winter mountains"), ("the", "snow"), ("", "mountains"), ("a", "winter landscape"),
        ("a", "snowy mountain"), ("", "snow"),
    ),
}
GROUND_PREPOSITIONS = {
    "beach": ("near", "at", "by", "on"),
    "hills": ("on", "in", "in front of", "on top of"),
    "desert": ("in", "on"),
    "snow": ("in", "near", "in front of", "on"),
}
OBJECT_NOUNS = {
    "ship": ("pirate ship", "pirate ship", "pirate galleon", "ship", "old sailing ship"),
    "sailboat": ("sailing boat", "sailboat", "boat", "small sailing boat", "yacht"),
    "palm": ("palm tree", "palm", "coconut palm"),
    "pine": ("pine tree", "fir tree", "pine", "christmas tree", "tree"),
    "house": ("house", "cottage", "cabin", "home", "hut"),
    "cactus": ("cactus", "saguaro cactus", "green cactus"),
    "castle": ("castle", "stone castle", "medieval castle"),
    "lighthouse": ("lighthouse", "red and white lighthouse", "striped lighthouse"),
    "astronaut": ("astronaut", "spaceman", "astronaut in a spacesuit"),
    "balloon": ("hot air balloon", "hot-air balloon", "balloon"),
}
SIDE_PHRASES = {
    "left": ("on the left", "on the left side", "at the left", "to the left"),
    "right": ("on the right", "on the right side", "at the right", "to the right"),
    "centre": ("in the middle", "in the centre", "in the center"),
}
STYLES = (
    "a picture of", "an illustration of", "a painting of", "flat illustration of", "a drawing of",
    "a beautiful view of", "an image of", "a photo of", "a cartoon of",
)
ENDINGS = ("flat illustration", "illustration", "digital art", "highly detailed", "beautiful", "colourful")


def with_article(noun: str) -> str:
    return ("an " if noun[0] in "aeiou" else "a ") + noun


def describe_object(thing: Object, rng: random.Random, *, side: bool) -> str:
    noun = rng.choice(OBJECT_NOUNS[thing.kind])
    colour = thing.colour
    if colour and rng.random() < 0.93:
        if thing.kind == "sailboat" and rng.random() < 0.4:
            text = with_article(f"{noun} with {colour} sails" if rng.random() < 0.7 else f"{noun} with a {colour} sail")
        elif thing.kind == "house" and rng.random() < 0.4:
            text = with_article(f"{noun} with {with_article(colour)} roof")
        else:
            text = with_article(f"{colour} {noun}")
    else:
        text = with_article(noun)
    if rng.random() < 0.06:
        text = text.split(" ", 1)[1]
    if side:
        phrase = rng.choice(SIDE_PHRASES[thing.side])
        text = f"{phrase} {text}" if rng.random() < 0.12 else f"{text} {phrase}"
    return text


def describe_ground(scene: Scene, rng: random.Random, adjective: str) -> str:
    article, noun = rng.choice(GROUND_NOUNS[scene.ground])
    if adjective:
        if noun.startswith("paradise") and rng.random() < 0.5:
            noun = noun.replace("paradise", f"paradise {adjective}")
        else:
            noun = f"{adjective} {noun}"
        article = "an" if article in ("a", "an") and adjective[0] in "aeiou" else "a" if article in ("a", "an") else article
    elif rng.random() < 0.06:
        article = ""
    return f"{article} {noun}".strip()


def caption(scene: Scene, rng: random.Random) -> str:
    """One of the many captions of the scene. Sides are told in three of four, colours nearly always."""
    things = list(scene.objects)
    rng.shuffle(things)
    told = things[:1] if len(things) == 2 and rng.random() < 0.03 else things
    side = rng.random() < 0.72
    objects = " and ".join(describe_object(thing, rng, side=side) for thing in told)

    adjective = rng.choice(SKY_ADJECTIVES[scene.sky]) if rng.random() < 0.16 else ""
    ground = describe_ground(scene, rng, adjective)
    sky = rng.choice(SKY_PHRASES[scene.sky]) if not adjective or rng.random() < 0.3 else ""
    extra = rng.choice(CELESTIAL_PHRASES[scene.sky]) if scene.celestial and rng.random() < 0.4 else ""
    if scene.clouds and rng.random() < 0.3:
        extra = f"{extra} and clouds" if extra else "with clouds"
    aloft = len(told) == 1 and told[0].kind == "balloon"
    place = rng.choice(("over", "over", "above", "flying over")) if aloft and rng.random() < 0.7 else rng.choice(
        GROUND_PREPOSITIONS[scene.ground]
    )

    form = rng.random()
    if not objects:
        if form < 0.75:
            text = f"{ground} {sky} {extra}"
        elif form < 0.93:
            text = f"{ground}, {rng.choice(SKY_NOUNS[scene.sky])}"
        else:
            text = ground if rng.random() < 0.5 else rng.choice(SKY_NOUNS[scene.sky])
    elif form < 0.54:
        text = f"{objects} {place} {ground} {sky} {extra}"
    elif form < 0.60:
        text = f"{sky} {objects} {place} {ground} {extra}"
    elif form < 0.66:
        text = f"{objects} {sky} {extra}"
    elif form < 0.72:
        text = f"{objects} {place} {ground}"
    elif form < 0.76:
        text = objects
    elif form < 0.88:
        parts = [objects, ground, rng.choice(SKY_NOUNS[scene.sky])]
        if extra:
            parts.append(extra.removeprefix("with ").removeprefix("and ").removeprefix("in "))
        if rng.random() < 0.5:
            rng.shuffle(parts)
        text = ", ".join(parts)
    else:
        text = f"{ground} {sky} {extra} {'and' if 'with' in f'{sky} {extra}' else 'with'} {objects}"
    if rng.random() < 0.12:
        text = f"{rng.choice(STYLES)} {text}"
    if rng.random() < 0.05:
        text = f"{text}, {rng.choice(ENDINGS)}"
    return " ".join(text.split()).replace(" ,", ",")
