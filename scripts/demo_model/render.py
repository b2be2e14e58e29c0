"""Draws a scene as a flat illustration of 128 by 128 pixels: supersampled polygons by Pillow, no anti-aliasing tricks.

Coordinates are those of the finished picture, y downwards; every object is drawn about its foot (a balloon: about the
middle of its envelope).
"""

import math
import random

import numpy
from PIL import Image, ImageDraw

from demo_model.scenes import COLOURS, SIDES, VESSELS, Object, Scene

SIZE = 128
SUPERSAMPLING = 3
WIDTH = SIZE * SUPERSAMPLING

SKY_GRADIENT = {  # top, a third down, at the horizon
    "day": ((62, 142, 222), (128, 192, 242), (214, 238, 250)),
    "sunset": ((92, 52, 122), (236, 98, 82), (255, 204, 108)),
    "night": ((8, 12, 42), (20, 32, 84), (44, 66, 128)),
    "cosmic": ((28, 8, 62), (104, 28, 138), (222, 84, 172)),
}
GROUND_TINT = {"day": (1, 1, 1), "sunset": (0.98, 0.80, 0.74), "night": (0.42, 0.48, 0.72), "cosmic": (0.70, 0.56, 0.92)}
OBJECT_TINT = {"day": (1, 1, 1), "sunset": (0.97, 0.90, 0.86), "night": (0.76, 0.78, 0.90), "cosmic": (0.88, 0.80, 0.97)}
GLITTER = {"day": (200, 240, 245), "sunset": (255, 200, 120), "night": (190, 196, 220), "cosmic": (250, 180, 220)}
PLACE = {"left": (25, 35), "centre": (58, 70), "right": (93, 103)}  # the range of an object's x, by side
WHITE = (255, 255, 255)


def mix(a, b, t):
    return tuple(a[i] + (b[i] - a[i]) * t for i in range(3))


def times(colour, tint):
    return tuple(c * t for c, t in zip(colour, tint, strict=True))


def whole(colour):
    return tuple(int(max(0, min(255, c))) for c in colour)


class Pen:
    """Shapes in the finished picture's coordinates, on a canvas SUPERSAMPLING times as large."""

    def __init__(self, image: Image.Image):
        self.draw = ImageDraw.Draw(image)

    def polygon(self, points, colour):
        self.draw.polygon([(x * SUPERSAMPLING, y * SUPERSAMPLING) for x, y in points], fill=whole(colour))

    def ellipse(self, cx, cy, rx, ry, colour):
        box = [(cx - rx) * SUPERSAMPLING, (cy - ry) * SUPERSAMPLING, (cx + rx) * SUPERSAMPLING, (cy + ry) * SUPERSAMPLING]
        self.draw.ellipse(box, fill=whole(colour))

    def rectangle(self, x0, y0, x1, y1, colour):
        left, right = sorted((x0 * SUPERSAMPLING, x1 * SUPERSAMPLING))
        top, bottom = sorted((y0 * SUPERSAMPLING, y1 * SUPERSAMPLING))
        self.draw.rectangle([left, top, right, bottom], fill=whole(colour))

    def line(self, points, width, colour):
        scaled = [(x * SUPERSAMPLING, y * SUPERSAMPLING) for x, y in points]
        self.draw.line(scaled, fill=whole(colour), width=max(1, int(width * SUPERSAMPLING)), joint="curve")

    def below(self, edge, colour):
        """Everything below the edge, a list of points from left to right."""
        self.polygon([*edge, (132, 132), (-4, 132)], colour)


def draw_sky(scene: Scene, rng: random.Random) -> Image.Image:
    heights = numpy.linspace(0, 1, 64)
    stops = SKY_GRADIENT[scene.sky]
    column = numpy.stack([numpy.interp(heights, [0, 0.34, 0.64], [s[i] for s in stops]) for i in range(3)], -1)
    column = numpy.clip(column + numpy.array([rng.uniform(-6, 6) for _ in range(3)]), 0, 255)
    image = Image.fromarray(column[:, None].astype(numpy.uint8)).resize((WIDTH, WIDTH), Image.BILINEAR)
    if scene.sky == "cosmic":
        cells = numpy.array([[rng.random() ** 1.5 * 94 for _ in range(5)] for _ in range(5)]).astype(numpy.uint8)
        mist = Image.fromarray(cells).resize((WIDTH, WIDTH), Image.BICUBIC)
        image.paste(Image.new("RGB", (WIDTH, WIDTH), (60, 190, 220)), (0, 0), mist)
    if scene.sky in ("night", "cosmic"):
        pen = Pen(image)
        for _ in range(rng.randint(16, 26)):
            x, y, radius = rng.uniform(2, 126), rng.uniform(2, 70), rng.choice((0.7, 0.9, 1.2))
            pen.ellipse(x, y, radius, radius, (255, 250, 225))
    return image


def draw_celestial(pen: Pen, sky: str, rng: random.Random, x: float):
    if sky == "day":
        y, r = rng.uniform(18, 28), rng.uniform(9, 11)
        pen.ellipse(x, y, r * 1.45, r * 1.45, (186, 222, 240))
        pen.ellipse(x, y, r, r, (255, 226, 84))
    elif sky == "sunset":
        y, r = rng.uniform(54, 64), rng.uniform(14, 18)
        pen.ellipse(x, y, r * 1.35, r * 1.35, (250, 150, 90))
        pen.ellipse(x, y, r, r, (255, 226, 130))
    elif sky == "night":
        y, r = rng.uniform(20, 30), rng.uniform(9, 11.5)
        pen.ellipse(x, y, r * 1.5, r * 1.5, (30, 42, 96))
        pen.ellipse(x, y, r, r, (246, 242, 214))
        pen.ellipse(x - r * 0.3, y - r * 0.3, r * 0.22, r * 0.22, (222, 216, 186))
        pen.ellipse(x + r * 0.35, y + r * 0.2, r * 0.28, r * 0.28, (222, 216, 186))
    else:
        y, r = rng.uniform(22, 32), rng.uniform(9, 12)
        pen.ellipse(x, y, r, r, (250, 186, 120))
        pen.rectangle(x - r * 0.9, y - r * 0.1, x + r * 0.9, y + r * 0.2, (226, 140, 110))
        pen.line([(x - r * 1.8, y + r * 0.45), (x, y + r * 0.25), (x + r * 1.8, y - r * 0.45)], 1.7, (255, 226, 190))


def draw_clouds(pen: Pen, sky: str, rng: random.Random):
    colour = (250, 252, 255) if sky == "day" else (255, 182, 150)
    for _ in range(rng.randint(1, 3)):
        x, y, w = rng.uniform(10, 118), rng.uniform(12, 46), rng.uniform(0.8, 1.3)
        pen.ellipse(x - 7 * w, y, 6 * w, 3 * w, colour)
        pen.ellipse(x, y - 2 * w, 7 * w, 5 * w, colour)
        pen.ellipse(x + 8 * w, y, 6 * w, 3.2 * w, colour)


def wave(rng: random.Random, y: float, height: float):
    period, phase = rng.uniform(60, 110), rng.uniform(0, 6.28)
    return [
        (x, y + height * math.sin(phase + x * 6.28 / period) + height * 0.4 * math.sin(2.3 * phase + x * 13.2 / period))
        for x in numpy.linspace(-2, 130, 26)
    ]


def draw_beach(pen: Pen, scene: Scene, rng: random.Random, x: float):
    tint = GROUND_TINT[scene.sky]
    horizon = rng.uniform(72, 76)
    for i, colour in enumerate([(40, 150, 190), (30, 172, 200), (70, 200, 210)]):
        pen.rectangle(-1, horizon + i * 9, 130, 130, times(colour, tint))
    if scene.celestial:
        for i in range(4):
            w, y = 13 - 2 * i + rng.uniform(-2, 2), horizon + 3 + i * 5.5
            pen.rectangle(x - w, y, x + w, y + 1.1, GLITTER[scene.sky])
    shore = wave(rng, 106, 3)
    pen.below([(x, y - 2.5) for x, y in shore], times((235, 250, 250), tint))
    pen.below(shore, times((240, 214, 150), tint))
    pen.below([(x, y + 10) for x, y in wave(rng, 108, 2)], times((226, 194, 126), tint))


def draw_hills(pen: Pen, scene: Scene, rng: random.Random, _x: float):
    far = SKY_GRADIENT[scene.sky][2]
    for y, height, colour, haze in [(74, 7, (120, 190, 120), 0.3), (84, 6, (88, 178, 82), 0.1), (98, 4, (62, 152, 62), 0)]:
        pen.below(wave(rng, y + rng.uniform(-2, 2), height), mix(times(colour, GROUND_TINT[scene.sky]), far, haze))


def draw_desert(pen: Pen, scene: Scene, rng: random.Random, _x: float):
    far, tint = SKY_GRADIENT[scene.sky][2], GROUND_TINT[scene.sky]
    x = rng.uniform(10, 118)
    pen.polygon([(x - 24, 84), (x - 19, 62), (x + 13, 62), (x + 20, 84)], mix(times((204, 120, 80), tint), far, 0.3))
    for y, height, colour, haze in [(80, 3, (236, 180, 110), 0.2), (90, 3.5, (228, 164, 88), 0), (104, 3.5, (212, 144, 72), 0)]:
        pen.below(wave(rng, y + rng.uniform(-2, 2), height), mix(times(colour, tint), far, haze))


def draw_snow(pen: Pen, scene: Scene, rng: random.Random, _x: float):
    far, cap = SKY_GRADIENT[scene.sky][2], times((250, 252, 255), OBJECT_TINT[scene.sky])
    base = 92
    peaks = [(rng.uniform(10, 40), rng.uniform(34, 44), 40), (rng.uniform(84, 118), rng.uniform(34, 46), 40), (rng.uniform(48, 76), rng.uniform(26, 36), 44)]
    for x, top, w in peaks:
        rock = mix(times((112, 128, 158), GROUND_TINT[scene.sky]), far, 0.12)
        pen.polygon([(x - w, base), (x, top), (x + w, base)], rock)
        pen.polygon([(x, top), (x + w, base), (x + 8, base)], mix(rock, (0, 0, 0), 0.16))
        slope, q = (base - top) / w, 11
        edge = [(x, top), (x + q, top + q * slope), (x + q * 0.45, top + q * slope - 4), (x, top + q * slope + 3)]
        pen.polygon([*edge, (x - q * 0.5, top + q * slope - 4), (x - q, top + q * slope)], cap)
    pen.below(wave(rng, 86 + rng.uniform(-2, 2), 3), times((222, 234, 246), OBJECT_TINT[scene.sky]))
    pen.below(wave(rng, 103, 3), times((246, 250, 255), OBJECT_TINT[scene.sky]))


class Figure:
    """A pen in an object's own coordinates: x from its middle, y upwards from its foot, scaled, tinted by the sky."""

    def __init__(self, pen: Pen, scene: Scene, x: float, foot: float, scale: float):
        self.pen, self.x, self.foot, self.scale = pen, x, foot, scale
        self.tint = OBJECT_TINT[scene.sky]
        self.lit = scene.sky in ("night", "cosmic")
        self.snow = scene.ground == "snow"
        self.spray = times((225, 245, 250), GROUND_TINT[scene.sky])

    def at(self, x, y):
        return self.x + x * self.scale, self.foot - y * self.scale

    def polygon(self, points, colour, *, tinted=True):
        self.pen.polygon([self.at(x, y) for x, y in points], times(colour, self.tint) if tinted else colour)

    def rectangle(self, x0, y0, x1, y1, colour, *, tinted=True):
        self.pen.rectangle(*self.at(x0, y0), *self.at(x1, y1), times(colour, self.tint) if tinted else colour)

    def ellipse(self, x, y, rx, ry, colour, *, tinted=True):
        tint = times(colour, self.tint) if tinted else colour
        self.pen.ellipse(*self.at(x, y), rx * self.scale, ry * self.scale, tint)

    def line(self, points, width, colour):
        self.pen.line([self.at(x, y) for x, y in points], width * self.scale, times(colour, self.tint))

    def window(self):
        """The colour of a window: lit from inside in the dark."""
        return (255, 226, 120) if self.lit else times((206, 236, 250), self.tint)


def draw_ship(f: Figure, _colour, _rng):
    dark, wood, cream = (52, 48, 56), (122, 72, 38), (236, 226, 206)
    for mast, height in [(-11, 44), (2, 52), (14, 40)]:
        f.rectangle(mast - 0.9, height, mast + 0.9, 5, (84, 52, 32))
        for top, bottom, w in [(height - 4, height - 17, 6), (height - 19, 13, 7.5)]:
            sail = [(mast - w * 0.8, top), (mast + w * 0.8, top), (mast + w, bottom), (mast - w, bottom)]
            f.polygon(sail, dark if mast != 2 else cream)
    f.polygon([(2, 59), (13, 56), (2, 52)], (24, 22, 26))
    f.ellipse(2, 26, 3, 3, (34, 30, 34))
    f.polygon([(-26, 12), (-19, 7), (16, 7), (21, 14), (28, 14), (19, -6), (-19, -6)], wood)
    f.polygon([(-24, 7), (24.5, 6), (23.5, 3.5), (-22.7, 4)], (226, 170, 70))
    f.line([(26, 14), (35, 20)], 1.2, (84, 52, 32))
    f.rectangle(-24, -5, 24, -7, f.spray, tinted=False)


def draw_sailboat(f: Figure, colour, _rng):
    f.rectangle(-0.7, 46, 0.7, 4, (110, 76, 46))
    f.polygon([(1.5, 45), (20, 8), (1.5, 8)], colour)
    f.polygon([(-1.5, 42), (-14, 8), (-1.5, 8)], mix(colour, WHITE, 0.3))
    f.polygon([(-18, 6), (21, 6), (14, -4), (-13, -4)], (128, 74, 42))
    f.rectangle(-16, -3, 17, -5, f.spray, tinted=False)


def draw_palm(f: Figure, _colour, rng):
    lean = rng.choice((-1, 1))
    trunk = [(0, 0), (lean * 2, 18), (lean * 5, 36), (lean * 9, 50)]
    f.line(trunk, 4.4, (140, 96, 54))
    tx, ty = trunk[-1]
    for degrees, length in [(165, 22), (130, 18), (90, 14), (50, 18), (15, 22), (-165, 18), (-15, 18)]:
        a = math.radians(degrees)
        ex, ey = tx + length * math.cos(a), ty + length * math.sin(a) - 6
        mx, my = tx + 0.55 * length * math.cos(a), ty + 0.55 * length * math.sin(a) + 3
        leaf = [(tx, ty + 2), (mx, my + 2.4), (ex, ey), (mx, my - 2.8), (tx, ty - 2)]
        f.polygon(leaf, (44, 150, 66) if length > 18 else (30, 120, 58))
    f.ellipse(tx - 2, ty - 3, 2, 2, (110, 70, 36))
    f.ellipse(tx + 2.4, ty - 3.4, 2, 2, (110, 70, 36))


def draw_pine(f: Figure, _colour, _rng):
    f.rectangle(-2.5, 9, 2.5, 0, (112, 74, 44))
    for i, (y, w) in enumerate([(8, 17), (22, 14), (35, 10.5)]):
        f.polygon([(-w, y), (0, y + 23), (w, y)], (26, 96 + 12 * i, 66))
        if f.snow:
            f.polygon([(-w * 0.4, y + 14), (0, y + 23), (w * 0.4, y + 14)], (246, 250, 255))


def draw_cactus(f: Figure, _colour, _rng):
    green = (44, 140, 80)
    for x, bottom, top, w in [(0, 0, 44, 5.4), (-14, 20, 32, 3.6), (14, 25, 38, 3.6)]:
        f.rectangle(x - w, top, x + w, bottom, green)
        f.ellipse(x, top, w, w, green)
    f.rectangle(-17.4, 20, 0, 13.5, green)
    f.rectangle(0, 25, 17.6, 18.5, green)
    f.rectangle(-1, 42, 0.8, 2, (80, 172, 110))


def draw_house(f: Figure, colour, _rng):
    f.rectangle(9, 46, 14, 28, (140, 90, 76))
    f.rectangle(-17, 25, 17, 0, mix(colour, (250, 244, 230), 0.55))
    f.polygon([(-22, 23), (0, 45), (22, 23)], colour)
    f.rectangle(-4, 14, 4, 0, (92, 58, 40))
    for x in (-13.5, 7):
        f.rectangle(x, 19, x + 6.5, 11, f.window(), tinted=False)


def draw_lighthouse(f: Figure, _colour, _rng):
    for i in range(4):
        low, high = 9.5 - i * 1.2, 9.5 - (i + 1) * 1.2
        band = [(-low, i * 13), (low, i * 13), (high, i * 13 + 13), (-high, i * 13 + 13)]
        f.polygon(band, (246, 244, 240) if i % 2 else (208, 50, 50))
    f.rectangle(-6.5, 55, 6.5, 52, (60, 60, 70))
    f.rectangle(-4, 61, 4, 55, (255, 232, 130), tinted=False)
    f.polygon([(-6.5, 61), (0, 69), (6.5, 61)], (190, 44, 46))


def draw_castle(f: Figure, _colour, _rng):
    stone, tower, door = (176, 172, 182), (150, 146, 160), (96, 62, 42)
    f.rectangle(-14, 26, 14, 0, stone)
    for i in range(4):
        f.rectangle(-13 + 7.4 * i, 30, -9.6 + 7.4 * i, 26, stone)
    for x in (-18, 18):
        f.rectangle(x - 6, 40, x + 6, 0, tower)
        f.polygon([(x - 8, 40), (x, 57), (x + 8, 40)], (70, 90, 190))
        f.rectangle(x - 1.6, 32, x + 1.6, 25, (255, 226, 120) if f.lit else (70, 66, 84), tinted=not f.lit)
    f.rectangle(-5, 11, 5, 0, door)
    f.ellipse(0, 11, 5, 5, door)


def draw_astronaut(f: Figure, _colour, _rng):
    suit, shade, dark = (240, 242, 248), (196, 202, 216), (70, 80, 104)
    f.rectangle(-12, 38, 12, 17, shade)
    for x in (-6, 6):
        f.rectangle(x - 4.4, 16, x + 4.4, 2, suit)
        f.rectangle(x - 5, 4, x + 5, 0, dark)
    f.polygon([(-9, 36), (-17, 22), (-13, 17), (-6, 30)], suit)
    f.polygon([(9, 36), (17, 22), (13, 17), (6, 30)], suit)
    f.rectangle(-9.5, 38, 9.5, 14, suit)
    f.rectangle(-4.5, 29, 4.5, 22, (230, 92, 60))
    f.ellipse(0, 46, 12, 11.5, suit)
    f.ellipse(0, 46, 8.6, 7.4, (36, 56, 104))
    f.ellipse(-3, 49, 2.6, 1.8, (150, 190, 236))


def draw_balloon(f: Figure, colour, _rng):
    pale = mix(colour, WHITE, 0.35)
    f.polygon([(-15.2, -8), (-3.5, -24), (3.5, -24), (15.2, -8)], colour)
    f.ellipse(0, 0, 17, 17, colour)
    f.ellipse(0, 0, 10.5, 17, pale)
    f.polygon([(-9.4, -8), (-2.4, -24), (2.4, -24), (9.4, -8)], pale)
    f.ellipse(0, 0, 5.5, 17, colour)
    f.polygon([(-5, -8), (-1.2, -24), (1.2, -24), (5, -8)], colour)
    f.line([(-3.2, -24), (-3, -31)], 0.8, (80, 60, 44))
    f.line([(3.2, -24), (3, -31)], 0.8, (80, 60, 44))
    f.rectangle(-4.4, -30, 4.4, -37, (150, 98, 54))


DRAW_GROUND = {"beach": draw_beach, "hills": draw_hills, "desert": draw_desert, "snow": draw_snow}
DRAW_OBJECT = {
    "ship": draw_ship,
    "sailboat": draw_sailboat,
    "palm": draw_palm,
    "pine": draw_pine,
    "house": draw_house,
    "cactus": draw_cactus,
    "castle": draw_castle,
    "lighthouse": draw_lighthouse,
    "astronaut": draw_astronaut,
    "balloon": draw_balloon,
}


def draw_object(pen: Pen, scene: Scene, thing: Object, rng: random.Random):
    x, scale = rng.uniform(*PLACE[thing.side]), rng.uniform(0.94, 1.1)
    if thing.kind == "balloon":
        foot = rng.uniform(28, 38)
    elif thing.kind in VESSELS:
        foot = rng.uniform(90, 96)
    else:
        foot = rng.uniform(112, 116) if scene.ground == "beach" else rng.uniform(105, 112)
    colour = COLOURS[thing.colour] if thing.colour else None
    DRAW_OBJECT[thing.kind](Figure(pen, scene, x, foot, scale), colour, rng)


def celestial_place(scene: Scene, rng: random.Random) -> float:
    """x of the sun, moon or planet: away from balloons, and mostly away from the only object."""
    taken = [thing.side for thing in scene.objects if thing.kind == "balloon"]
    if len(scene.objects) == 1 and not taken and rng.random() < 0.8:
        taken = [scene.objects[0].side]
    return rng.uniform(*PLACE[rng.choice([side for side in SIDES if side not in taken])])


def render(scene: Scene) -> numpy.ndarray:
    """The scene as uint8 [128, 128, 3]; the same scene gives the same picture."""
    rng = random.Random(scene.seed)
    x = celestial_place(scene, rng)
    image = draw_sky(scene, rng)
    pen = Pen(image)
    if scene.celestial:
        draw_celestial(pen, scene.sky, rng, x)
    if scene.clouds:
        draw_clouds(pen, scene.sky, rng)
    DRAW_GROUND[scene.ground](pen, scene, rng, x)
    for thing in sorted(scene.objects, key=lambda thing: thing.kind not in VESSELS):
        draw_object(pen, scene, thing, rng)
    return numpy.asarray(image.reduce(SUPERSAMPLING))
