"""What a picture of the built-in model can show: a scene is a sky, a ground and up to two objects.

Scenes are drawn from a seeded random.Random. One in ten combinations of sky, ground, object, colour and side is held
out: training never sees it, and scripts/evaluate_demo_model.py asks for nothing else.
"""

import dataclasses
import hashlib
import random

SKIES = ("day", "sunset", "night", "cosmic")
GROUNDS = ("beach", "hills", "desert", "snow")
SIDES = ("left", "centre", "right")
COLOURS = {
    "red": (214, 48, 49),
    "blue": (45, 105, 220),
    "yellow": (250, 205, 50),
    "green": (50, 160, 75),
    "purple": (140, 65, 190),
    "orange": (240, 130, 35),
    "pink": (245, 130, 175),
    "white": (245, 245, 240),
}
COLOURED = ("balloon", "house", "sailboat")  # the objects that come in every colour
STANDING = {  # the objects that a ground carries; a balloon flies over each of them
    "beach": ("ship", "sailboat", "palm", "lighthouse", "house", "astronaut"),
    "hills": ("house", "pine", "lighthouse", "castle", "astronaut"),
    "desert": ("cactus", "palm", "house", "astronaut"),
    "snow": ("pine", "house", "castle", "astronaut"),
}
KINDS = ("ship", "sailboat", "palm", "pine", "house", "cactus", "castle", "lighthouse", "astronaut", "balloon")
VESSELS = frozenset(("ship", "sailboat"))


@dataclasses.dataclass(frozen=True)
class Object:
    kind: str  # one of KINDS
    side: str  # one of SIDES
    colour: str | None  # one of COLOURS for COLOURED kinds, else None


@dataclasses.dataclass(frozen=True)
class Scene:
    sky: str
    ground: str
    objects: tuple[Object, ...]
    celestial: bool  # the sky's own body: sun, moon or ringed planet
    clouds: bool  # by day and at sunset only
    seed: int  # of everything that a caption does not tell: places within a side, waves, stars


def held_out(sky: str, ground: str, thing: Object) -> bool:
    """Whether training leaves this combination out: one in ten, by a hash, so that it never changes."""
    text = f"{sky} {ground} {thing.kind} {thing.colour} {thing.side}"
    return hashlib.sha256(text.encode()).digest()[0] % 10 == 0


def make_scene(rng: random.Random, sky: str, ground: str, objects: tuple[Object, ...]) -> Scene:
    """A scene of the given parts, with a celestial body in three of four and clouds where the sky has them."""
    return Scene(
        sky=sky,
        ground=ground,
        objects=objects,
        celestial=rng.random() < 0.75,
        clouds=sky in ("day", "sunset") and rng.random() < 0.5,
        seed=rng.randrange(1 << 30),
    )


def any_scene(rng: random.Random) -> Scene:
    """A scene of one object mostly, sometimes two or none."""
    sky, ground = rng.choice(SKIES), rng.choice(GROUNDS)
    count = rng.choices((0, 1, 2), (0.08, 0.57, 0.35))[0]
    kinds: list[str] = []
    while len(kinds) < count:
        kind = "balloon" if rng.random() < 0.22 else rng.choice(STANDING[ground])
        if kind not in kinds and not (kind in VESSELS and VESSELS & set(kinds)):
            kinds.append(kind)
    sides = rng.sample(("left", "right") if count == 2 else SIDES, count)
    objects = tuple(
        Object(kind, side, rng.choice(list(COLOURS)) if kind in COLOURED else None)
        for kind, side in zip(kinds, sides, strict=True)
    )
    return make_scene(rng, sky, ground, objects)


def training_scene(rng: random.Random) -> Scene:
    """A scene that holds no held-out combination."""
    while True:
        scene = any_scene(rng)
        if not any(held_out(scene.sky, scene.ground, thing) for thing in scene.objects):
            return scene
