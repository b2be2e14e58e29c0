"""The prompts that the model is measured with: scenes that training has left out, told whole, in training's words."""

import dataclasses
import random

from demo_model.captions import (
    GROUND_NOUNS,
    GROUND_PREPOSITIONS,
    OBJECT_NOUNS,
    SIDE_PHRASES,
    SKY_NOUNS,
    SKY_PHRASES,
    with_article,
)
from demo_model.scenes import COLOURED, COLOURS, GROUNDS, SIDES, SKIES, STANDING, VESSELS, Object, Scene, any_scene, held_out


def unseen_scene(rng: random.Random) -> Scene:
    """A scene of one object, or in a third of cases two, each in a combination that training has never seen."""
    count = 1 if rng.random() < 2 / 3 else 2
    while True:
        scene = any_scene(rng)
        if len(scene.objects) == count and all(held_out(scene.sky, scene.ground, thing) for thing in scene.objects):
            return scene


def tell_object(thing: Object, rng: random.Random) -> str:
    noun, colour = rng.choice(OBJECT_NOUNS[thing.kind]), thing.colour
    if colour is None:
        text = with_article(noun)
    elif thing.kind == "sailboat" and rng.random() < 0.4:
        text = with_article(f"{noun} with {colour} sails")
    elif thing.kind == "house" and rng.random() < 0.4:
        text = with_article(f"{noun} with {with_article(colour)} roof")
    else:
        text = with_article(f"{colour} {noun}")
    return f"{text} {rng.choice(SIDE_PHRASES[thing.side])}"


def tell(scene: Scene, rng: random.Random) -> str:
    """A prompt that names the sky, the ground, and every object with its colour and side."""
    objects = " and ".join(tell_object(thing, rng) for thing in rng.sample(scene.objects, len(scene.objects)))
    ground = " ".join(rng.choice(GROUND_NOUNS[scene.ground])).strip()
    sky = rng.choice(SKY_PHRASES[scene.sky])
    aloft = all(thing.kind == "balloon" for thing in scene.objects)
    place = rng.choice(("over", "above") if aloft else GROUND_PREPOSITIONS[scene.ground])
    form = rng.random()
    if form < 0.6:
        return f"{objects} {place} {ground} {sky}"
    if form < 0.75:
        return f"{sky} {objects} {place} {ground}"
    if form < 0.9:
        return f"{objects}, {ground}, {rng.choice(SKY_NOUNS[scene.sky])}"
    return f"{ground} {sky} {'and' if 'with' in sky else 'with'} {objects}"


def unlike(value: str, values, rng: random.Random) -> str:
    return rng.choice([other for other in values if other != value])


def other_sky_and_objects(scene: Scene, rng: random.Random) -> Scene:
    """The scene under another sky, with other objects that its ground carries, at the same sides."""
    taken = {thing.kind for thing in scene.objects}
    kinds = [kind for kind in (*STANDING[scene.ground], "balloon") if kind not in taken]
    rng.shuffle(kinds)
    if VESSELS <= set(kinds[:2]):  # they do not sail together
        kinds[1], kinds[2] = kinds[2], kinds[1]
    sides = [thing.side for thing in scene.objects]
    drawn = tuple(
        Object(kind, side, rng.choice(list(COLOURS)) if kind in COLOURED else None)
        for kind, side in zip(kinds, sides, strict=False)
    )
    return dataclasses.replace(
        scene, sky=unlike(scene.sky, SKIES, rng), objects=drawn, clouds=False, seed=rng.randrange(1 << 30)
    )


def other_ground_sides_and_colours(scene: Scene, rng: random.Random) -> Scene:
    """The scene's objects on another ground, each in another colour and at another side."""
    sides = [thing.side for thing in scene.objects]
    moved = sides[::-1] if len(sides) == 2 else [unlike(side, SIDES, rng) for side in sides]
    drawn = tuple(
        Object(thing.kind, side, unlike(thing.colour, COLOURS, rng) if thing.colour else None)
        for thing, side in zip(scene.objects, moved, strict=True)
    )
    return dataclasses.replace(
        scene, ground=unlike(scene.ground, GROUNDS, rng), objects=drawn, seed=rng.randrange(1 << 30)
    )
