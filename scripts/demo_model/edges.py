"""Edges as OpenCV's Canny finds them in RGB pictures (Canny 1986), at aperture 3 and with the L1 norm.

It gives what `sdtorch --control-preprocess canny` gives, byte for byte, so that training needs no OpenCV.
"""

import numpy
from scipy.ndimage import binary_propagation

LOW, HIGH = 100, 200
TANGENT = 13573  # of 22.5 degrees, in 32768ths, as OpenCV rounds it; that of 67.5 degrees is larger by 2


def strongest_gradients(picture: numpy.ndarray) -> tuple[numpy.ndarray, numpy.ndarray]:
    """Sobel's dx and dy, int64 [H, W], of the channel that changes most; the first one of equals."""
    p = numpy.pad(picture.astype(numpy.int64), ((1, 1), (1, 1), (0, 0)), mode="edge")
    columns = p[:-2] + 2 * p[1:-1] + p[2:]
    rows = p[:, :-2] + 2 * p[:, 1:-1] + p[:, 2:]
    dx, dy = columns[:, 2:] - columns[:, :-2], rows[2:] - rows[:-2]
    best = (abs(dx) + abs(dy)).argmax(-1)[..., None]
    return numpy.take_along_axis(dx, best, -1)[..., 0], numpy.take_along_axis(dy, best, -1)[..., 0]


def ridges(dx: numpy.ndarray, dy: numpy.ndarray) -> numpy.ndarray:
    """Where no neighbour across the edge is stronger, bool [H, W]."""
    size = abs(dx) + abs(dy)
    around = numpy.pad(size, 1)

    def at(x: int, y: int) -> numpy.ndarray:
        return around[1 + y : 1 + y + size.shape[0], 1 + x : 1 + x + size.shape[1]]

    across, down = abs(dx) * TANGENT, abs(dy) << 15
    falling = (dx ^ dy) < 0
    slope = (size > numpy.where(falling, at(1, -1), at(-1, -1))) & (size > numpy.where(falling, at(-1, 1), at(1, 1)))
    flat = (size > at(0, -1)) & (size >= at(0, 1))
    steep = (size > at(-1, 0)) & (size >= at(1, 0))
    return numpy.where(down < across, steep, numpy.where(down > across + (abs(dx) << 16), flat, slope))


def canny(picture: numpy.ndarray, low: float = LOW, high: float = HIGH) -> numpy.ndarray:
    """Edges of a picture, uint8 [H, W, 3], as bool [H, W]."""
    dx, dy = strongest_gradients(picture)
    size = abs(dx) + abs(dy)
    candidates = (size > low) & ridges(dx, dy)
    return binary_propagation(candidates & (size > high), structure=numpy.ones((3, 3)), mask=candidates)
