"""Pixel rules: what a picture shows, told from its pixels alone, never from the prompt.

The sky is the class whose bare render has the colours of the top strip, the ground the same of the bottom band. What
neither explains is left for the objects. Each kind is searched for with its own drawing, in every colour, at every
place and at four scales: a place's score is the part of all that the background leaves unexplained, in the drawing
and just around it, that the drawing explains. 1 is the drawing itself; a thing of another shape, a blob or a bare
place leaves much unexplained inside or around it. A kind is present where its best score is high enough, and no other
kind explains more there.

Everything happens at half size, 64 by 64, and softened, so that a soft edge or a pixel's shift costs little.
"""

import dataclasses
import functools
import random
import types

import numpy
from PIL import Image, ImageFilter

from demo_model.render import DRAW_OBJECT, SIZE, SUPERSAMPLING, Figure, Pen, render
from demo_model.scenes import COLOURED, COLOURS, GROUNDS, KINDS, SIDES, SKIES, VESSELS, Scene

HALF = SIZE // 2
PRESENT = 0.62  # the least score of an object that is said to be there
FAINT = 0.4  # the least score of one whose side and colour can be told
RIVAL = 0.95  # how much of what another kind explains at the same place a kind must explain
NEAR = 6  # half-size pixels: two places this close are the same one
FLOOR = 300.0  # squared colour distance that a place must exceed to count as more than noise
RING = 2  # half-size pixels around a drawing that must look like background
CAP = 64.0  # colour distance beyond which a pixel is simply something else
UNLIKE = 44.0  # mean capped distance beyond which no class is recognised
SHADES = 5  # background colours in a row
SKY_ROWS = slice(0, 13)  # above the mountains
GROUND_ROWS = slice(39, 64)  # below the horizon
SCALES = (0.88, 0.96, 1.04, 1.12)
ROWS = {"balloon": (8, 28), "vessel": (40, 53), "standing": (46, 61)}  # half-size: where a figure's foot is looked for
COLUMNS = (6, 58)
CANVAS = (72, 96)  # half-size height and width, with room for a figure that leaves the picture
ANCHOR = (46, 48)  # a figure's foot on its canvas
SIDE_BOUNDS = (46.5, 81.5)  # midway between the places of render.PLACE


@dataclasses.dataclass(frozen=True)
class Place:
    """Where a kind's drawing scores best, in half-size pixels."""

    score: float
    gain: float  # squared colour distance that the drawing explains
    middle: float  # row of the drawing's middle
    column: int  # of the foot, from COLUMNS[0]
    colour: str | None


@dataclasses.dataclass(frozen=True)
class Match:
    """The best match of a kind's drawing in a picture."""

    score: float
    present: bool
    side: str | None  # None where the match is too faint to tell
    colour: str | None  # likewise, and for kinds that have none


@dataclasses.dataclass(frozen=True)
class Sight:
    """What a picture shows."""

    sky: str | None
    ground: str | None
    matches: dict[str, Match]  # of every kind


def soften(layer: numpy.ndarray) -> numpy.ndarray:
    """float32 [h, w, 3], each pixel mixed with its neighbours by 1, 2, 1 in both directions."""
    for _ in range(2):
        padded = numpy.pad(layer, ((1, 1), (0, 0), (0, 0)), mode="edge")
        layer = ((padded[:-2] + padded[2:]) / 4 + padded[1:-1] / 2).transpose(1, 0, 2)
    return layer


def half_size(picture: numpy.ndarray) -> numpy.ndarray:
    """uint8 [128, 128, 3] → float32 [64, 64, 3], averaged two by two and softened."""
    return soften(picture.astype(numpy.float32).reshape(HALF, 2, HALF, 2, 3).mean((1, 3)))


@functools.cache
def shades(sky: str, ground: str) -> numpy.ndarray:
    """The colours of each row of bare landscapes of this class, [64, SHADES, 3], by k-means over twelve renders."""
    bare = [render(Scene(sky, ground, (), celestial=False, clouds=False, seed=seed)) for seed in range(12)]
    rows = numpy.concatenate([half_size(picture)[:, ::2] for picture in bare], axis=1)
    order = rows.sum(-1).argsort(1)
    ranks = ((numpy.arange(SHADES) + 0.5) / SHADES * rows.shape[1]).astype(int)
    centres = numpy.take_along_axis(rows, order[:, ranks, None], axis=1)
    for _ in range(6):
        nearest = numpy.square(rows[:, :, None] - centres[:, None]).sum(-1).argmin(-1)
        for k in range(SHADES):
            mine = (nearest == k)[..., None]
            count = mine.sum(1)
            centres[:, k] = numpy.where(count > 0, (rows * mine).sum(1) / numpy.maximum(count, 1), centres[:, k])
    return centres


def background(view: numpy.ndarray, sky: str, ground: str, rows: slice = slice(0, HALF)) -> numpy.ndarray:
    """For each pixel of these rows the nearest of its row's background colours, [rows, 64, 3]."""
    colours = shades(sky, ground)[rows]
    nearest = numpy.square(view[rows, :, None] - colours[:, None]).sum(-1).argmin(-1)
    return numpy.take_along_axis(colours, nearest[..., None], axis=1)


def unexplained(view: numpy.ndarray, sky: str, ground: str, rows: slice) -> float:
    """How far these rows are from this landscape's colours: the mean distance, each pixel's capped."""
    distance = numpy.linalg.norm(view[rows] - background(view, sky, ground, rows), axis=-1)
    return float(numpy.minimum(distance, CAP).mean())


@dataclasses.dataclass(frozen=True)
class Drawings:
    """A kind's drawings, one for each colour, scale and variant, as spectra to correlate pictures with."""

    colours: list[str | None]
    spectra: numpy.ndarray  # [N, 8, h, w]: see `planes`
    surroundings: numpy.ndarray  # [N, h, w]: mask and ring
    own: numpy.ndarray  # [N, rows, columns]: the drawing's squared colours within the picture, by place
    areas: numpy.ndarray  # [N]: pixels of mask and ring
    rows: numpy.ndarray  # the shifts at which the drawing is looked for
    columns: numpy.ndarray
    middle: float  # from the foot to the drawing's middle, downwards


def places(spectra: numpy.ndarray, rows: numpy.ndarray, columns: numpy.ndarray) -> numpy.ndarray:
    """A product of spectra, [N, h, w], as correlations at the given shifts, [N, rows, columns]."""
    return numpy.fft.irfft2(spectra, s=CANVAS)[:, rows[:, None], columns]


def figure(kind: str, colour: str | None, scale: float, lean: int, scene: Scene) -> tuple[numpy.ndarray, numpy.ndarray]:
    """An object on a transparent canvas: mask [h, w] in [0, 1] and colours times mask [h, w, 3]."""
    layers = []
    for paper in (0, 255):
        image = Image.new("RGB", (CANVAS[1] * 2 * SUPERSAMPLING, CANVAS[0] * 2 * SUPERSAMPLING), (paper,) * 3)
        shape = Figure(Pen(image), scene, ANCHOR[1] * 2, ANCHOR[0] * 2, scale)
        variant = types.SimpleNamespace(choice=lambda _: lean)  # the one thing that a drawing leaves to chance
        DRAW_OBJECT[kind](shape, COLOURS[colour] if colour else None, variant)
        layers.append(soften(numpy.asarray(image.reduce(2 * SUPERSAMPLING), dtype=numpy.float32)))
    mask = 1 - (layers[1] - layers[0]).mean(-1) / 255
    return numpy.where(mask < 0.02, 0, mask), numpy.where(mask[..., None] < 0.02, 0, layers[0])


@functools.cache
def drawings(kind: str, sky: str, snow: bool) -> Drawings:
    """The drawings of a kind as they look under this sky, on snow or not."""
    scene = Scene(sky, "snow" if snow else "beach", (), celestial=False, clouds=False, seed=0)
    colours, masks, inks, around = [], [], [], []
    for colour in COLOURS if kind in COLOURED else (None,):
        for scale in SCALES:
            for lean in (-1, 1) if kind == "palm" else (1,):
                mask, ink = figure(kind, colour, scale, lean, scene)
                wide = Image.fromarray((mask * 255).astype(numpy.uint8)).filter(ImageFilter.MaxFilter(2 * RING + 1))
                colours.append(colour)
                masks.append(mask)
                inks.append(ink)
                around.append(numpy.asarray(wide, dtype=numpy.float32) / 255)
    mask, ink, wide = numpy.stack(masks), numpy.stack(inks), numpy.stack(around)
    first, last = ROWS["balloon" if kind == "balloon" else "vessel" if kind in VESSELS else "standing"]
    rows = numpy.arange(first, last + 1) - ANCHOR[0]
    columns = numpy.arange(COLUMNS[0], COLUMNS[1] + 1) - ANCHOR[1]
    squares = numpy.square(ink).sum(-1)
    inside = spectrum(numpy.ones((HALF, HALF), numpy.float32))
    inks, cover = ink.transpose(0, 3, 1, 2), mask[:, None]
    parts = numpy.concatenate([inks, inks * cover, cover, numpy.square(cover)], axis=1)
    return Drawings(
        colours=colours,
        spectra=numpy.conj(numpy.fft.rfft2(parts)).astype(numpy.complex64),
        surroundings=numpy.conj(numpy.fft.rfft2(wide)).astype(numpy.complex64),
        own=places(numpy.conj(numpy.fft.rfft2(squares)) * inside, rows, columns).astype(numpy.float32),
        areas=wide.sum((1, 2)),
        rows=rows,
        columns=columns,
        middle=float(numpy.average(numpy.arange(CANVAS[0]), weights=mask.sum((0, 2))) - ANCHOR[0]),
    )


def spectrum(plane: numpy.ndarray) -> numpy.ndarray:
    return numpy.fft.rfft2(plane, s=CANVAS).astype(numpy.complex64)


def planes(left: numpy.ndarray, behind: numpy.ndarray) -> numpy.ndarray:
    """What a drawing's parts are correlated with, [8, h, w].

    With r = picture - background and d = ink - mask * background, a drawing explains |r|^2 - |r - d|^2 = 2 r d - |d|^2,
    of which each product of a part of the drawing (ink, ink * mask, mask, mask^2) and of the picture is one plane; the
    rest, |ink|^2, is the drawing's own.
    """
    products = [*(2 * left[..., c] for c in range(3)), *(2 * behind[..., c] for c in range(3))]
    products += [-2 * (left * behind).sum(-1), -numpy.square(behind).sum(-1)]
    return spectrum(numpy.stack(products))


def search(view: numpy.ndarray, sky: str, ground: str) -> dict[str, Match]:
    """The best match of each kind in a half-size picture of this sky and ground."""
    behind = background(view, sky, ground)
    left = view - behind
    products = planes(left, behind)
    energy = spectrum(numpy.square(left).sum(-1))
    gains, best = {}, {}
    for kind in KINDS:
        own = drawings(kind, sky, ground == "snow")
        gain = places((own.spectra * products).sum(1), own.rows, own.columns) - own.own
        around = places(own.surroundings * energy, own.rows, own.columns)
        score = gain / (numpy.maximum(around, 0) + FLOOR * own.areas[:, None, None])
        which, row, column = numpy.unravel_index(score.argmax(), score.shape)
        gains[kind] = (own.rows + own.middle, gain.max(0))
        best[kind] = Place(
            score=float(score[which, row, column]),
            gain=float(gain[which, row, column]),
            middle=own.rows[row] + own.middle,
            column=int(column),
            colour=own.colours[which],
        )
    return {kind: match(place, [gains[other] for other in KINDS if other != kind]) for kind, place in best.items()}


def match(place: Place, others: list[tuple[numpy.ndarray, numpy.ndarray]]) -> Match:
    """What a kind's best place tells, given the middles of the other kinds' rows and what they explain where."""
    columns = slice(max(0, place.column - NEAR), place.column + NEAR + 1)
    rivals = [gain[abs(middles - place.middle) <= NEAR, columns] for middles, gain in others]
    rival = max((float(gain.max()) for gain in rivals if gain.size), default=0.0)
    told = place.score >= FAINT
    return Match(
        score=place.score,
        present=place.score >= PRESENT and place.gain >= RIVAL * rival,
        side=SIDES[sum(2 * (place.column + COLUMNS[0]) > bound for bound in SIDE_BOUNDS)] if told else None,
        colour=place.colour if told else None,
    )


def look(picture: numpy.ndarray) -> Sight:
    """What the picture, uint8 [128, 128, 3], shows."""
    view = half_size(picture)
    skies = {name: unexplained(view, name, "beach", SKY_ROWS) for name in SKIES}
    sky = min(skies, key=skies.__getitem__)
    grounds = {name: unexplained(view, sky, name, GROUND_ROWS) for name in GROUNDS}
    ground = min(grounds, key=grounds.__getitem__)
    return Sight(
        sky=sky if skies[sky] < UNLIKE else None,
        ground=ground if grounds[ground] < UNLIKE else None,
        matches=search(view, sky, ground),
    )


ATTRIBUTES = ("sky", "ground", "object", "colour", "side")


def judge(sight: Sight, scene: Scene) -> dict[str, list[bool]]:
    """Whether what is seen is what the scene tells: `object` once a picture, for all of them; colours and sides each."""
    seen = [(sight.matches[thing.kind], thing) for thing in scene.objects]
    return {
        "sky": [sight.sky == scene.sky],
        "ground": [sight.ground == scene.ground],
        "object": [all(match.present for match, _ in seen)],
        "colour": [match.colour == thing.colour for match, thing in seen if thing.colour],
        "side": [match.side == thing.side for match, thing in seen],
    }
