#!/usr/bin/env python3
"""Draws what a child draws with felt pens: a ship on the sea under the sun. For image-to-image's how-to.

    scripts/childs_drawing.py OUT.png [--mask MASK.png] [--size 128] [--seed 1]

MASK.png is white where a balloon fits into the sky of such a picture, on the left. Needs numpy and pillow.
"""

import argparse
import math
import pathlib
import sys

try:
    import numpy
    from PIL import Image, ImageDraw
except ImportError as missing:
    print(f"skipped: {missing}; pip install numpy pillow", file=sys.stderr)
    sys.exit(77)

UNITS = 128  # the drawing's own coordinates, whatever the size
SUPERSAMPLING = 4
PAPER, BLACK, BROWN = (250, 248, 242), (40, 38, 46), (150, 88, 44)
BLUE, SEA, YELLOW, RED, SAND = (118, 184, 240), (40, 130, 190), (250, 208, 50), (214, 60, 50), (236, 206, 136)
MASK = (8, 6, 58, 74)  # left, top, right, bottom of the balloon's place


class FeltPens:
    """Lines and scribbles of an unsteady hand."""

    def __init__(self, size: int, seed: int):
        self.scale = size * SUPERSAMPLING / UNITS
        self.random = numpy.random.default_rng(seed)
        self.image = Image.new("RGB", (size * SUPERSAMPLING,) * 2, PAPER)
        self.draw = ImageDraw.Draw(self.image)

    def shaky(self, points, jitter: float) -> list[tuple[float, float]]:
        """The path through the points, a step every two units, off by a random walk that is pulled back."""
        path, off = [], numpy.zeros(2)
        for start, end in zip(points, points[1:]):
            steps = max(2, int(math.dist(start, end) / 2))
            for t in numpy.linspace(0, 1, steps, endpoint=False):
                off = 0.8 * off + self.random.normal(0, jitter, 2)
                path.append(tuple((numpy.array(start) * (1 - t) + numpy.array(end) * t + off) * self.scale))
        return [*path, tuple(numpy.array(points[-1]) * self.scale)]

    def line(self, points, colour, width: float = 2.2, jitter: float = 0.3):
        path = self.shaky(points, jitter)
        radius = width * self.scale / 2
        self.draw.line(path, fill=colour, width=max(1, int(2 * radius)), joint="curve")
        for x, y in (path[0], path[-1]):
            self.draw.ellipse([x - radius, y - radius, x + radius, y + radius], fill=colour)

    def shape(self, points, colour, outline=BLACK):
        """Filled a little beside its outline, as it happens."""
        self.draw.polygon(self.shaky([*points, points[0]], 0.5), fill=colour)
        self.line([*points, points[0]], outline, 1.6)

    def scribble(self, top: float, bottom: float, colour, gap: float = 3.4, width: float = 4.2):
        """Back and forth from edge to edge; paper shows through."""
        rows = numpy.arange(top, bottom, gap)
        corners = [(-4 if (i + side) % 2 else UNITS + 4, y + side) for i, y in enumerate(rows) for side in (0, 1)]
        self.line(corners, colour, width, 0.35)

    def finished(self) -> Image.Image:
        return self.image.reduce(SUPERSAMPLING)


def circle(x: float, y: float, radius: float) -> list[tuple[float, float]]:
    angles = numpy.linspace(0, 2 * math.pi, 20, endpoint=False)
    return [(x + radius * math.cos(a), y + radius * math.sin(a)) for a in angles]


def draw_ship(pens: FeltPens, x: float, water: float):
    for mast, height in ((-12, 40), (4, 48), (17, 36)):
        pens.line([(x + mast, water - 4), (x + mast, water - height - 4)], BROWN, 2.4)
        for low, high, wide in ((14, height * 0.55, 7), (height * 0.6, height, 5.5)):
            left, right = x + mast - wide, x + mast + wide
            sail = [(left, water - low), (left + 1, water - high), (right - 1, water - high), (right, water - low)]
            pens.shape(sail, (246, 240, 224) if mast == 4 else (70, 66, 78))
    pens.shape([(x + 4, water - 52), (x + 15, water - 49), (x + 4, water - 45)], RED)
    hull = [(x - 27, water - 12), (x - 18, water - 8), (x + 18, water - 8), (x + 29, water - 14), (x + 19, water + 6), (x - 19, water + 6)]
    pens.shape(hull, BROWN)


def drawing(size: int, seed: int) -> Image.Image:
    pens = FeltPens(size, seed)
    pens.scribble(0, 73, BLUE)
    pens.shape(circle(28, 22, 10), YELLOW, (240, 170, 40))
    for angle in numpy.linspace(0, 2 * math.pi, 9, endpoint=False):
        ray = [(28 + r * math.cos(angle), 22 + r * math.sin(angle)) for r in (13, 18)]
        pens.line(ray, YELLOW, 2.4)
    pens.scribble(76, 108, SEA)
    draw_ship(pens, 80, 92)
    pens.scribble(112, 134, SAND)
    for y in (101, 106):
        pens.line([(x, y + 1.6 * math.sin(x / 4)) for x in range(-2, 131, 3)], (225, 242, 250), 1.4)
    return pens.finished()


def balloon_mask(size: int) -> Image.Image:
    mask = Image.new("L", (size, size))
    ImageDraw.Draw(mask).rounded_rectangle([c * size / UNITS for c in MASK], radius=size / 8, fill=255)
    return mask


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("output", type=pathlib.Path)
    parser.add_argument("--mask", type=pathlib.Path, help="where to write the balloon's place")
    parser.add_argument("--size", type=int, default=128, help="pixels (default 128)")
    parser.add_argument("--seed", type=int, default=1, help="of the shaking hand (default 1)")
    args = parser.parse_args()
    if args.size < 16:
        parser.error("--size: 16 or more")
    drawing(args.size, args.seed).save(args.output)
    if args.mask:
        balloon_mask(args.size).save(args.mask)


if __name__ == "__main__":
    sys.exit(main())
