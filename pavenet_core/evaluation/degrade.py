"""Pictures made worse, always in the same way for the same seed."""

from collections.abc import Callable, Mapping

import cv2
import numpy as np
from numpy.typing import NDArray

Image = NDArray[np.uint8]

BLUR_SHARE = 0.015  # of the longer side is how far the camera moves
HOLES, HOLE_SHARE = 8, 0.2  # grey rectangles, and their sides as shares of the picture's
NOISE = 20.0  # grey levels, standard deviation
LIGHT = 0.1  # of the light is left in the dark


def blur(image: Image, rng: np.random.Generator) -> Image:
    """Move the camera straight ahead in some direction while the shutter is open."""
    length = max(3, round(BLUR_SHARE * max(image.shape[:2])))
    kernel = np.zeros((length, length), np.float32)
    middle, angle = (length - 1) / 2, rng.uniform(0, np.pi)
    step = middle * np.array([np.cos(angle), np.sin(angle)])
    (x0, y0), (x1, y1) = np.rint(middle - step).astype(int), np.rint(middle + step).astype(int)
    cv2.line(kernel, (int(x0), int(y0)), (int(x1), int(y1)), 1.0)
    return np.asarray(cv2.filter2D(image, -1, kernel / kernel.sum()), np.uint8)


def cut_out(image: Image, rng: np.random.Generator) -> Image:
    """Hide places behind grey rectangles."""
    holed = image.copy()
    extent = np.array(image.shape[:2])
    for corner in rng.uniform(-HOLE_SHARE / 2, 1 - HOLE_SHARE / 2, (HOLES, 2)):
        top, left = np.maximum(corner * extent, 0).astype(int)
        bottom, right = ((corner + HOLE_SHARE) * extent).astype(int)
        holed[top:bottom, left:right] = 127
    return holed


def noise(image: Image, rng: np.random.Generator) -> Image:
    """Add the grain of a bad sensor."""
    grain = rng.normal(0, NOISE, image.shape).astype(np.float32)
    return np.asarray((image + grain).round().clip(0, 255), np.uint8)


def darken(image: Image, rng: np.random.Generator) -> Image:
    """Take most of the light away, and with it most of the grey levels."""
    return np.asarray(np.rint(image * np.float32(LIGHT)), np.uint8)


CHANGES: Mapping[str, Callable[[Image, np.random.Generator], Image]] = {
    'motion blur': blur,
    'cut-out': cut_out,
    'noise': noise,
    'darkness': darken,
}


def degrade(image: Image, change: str, seed: int) -> Image:
    """Return the picture after one of `CHANGES`."""
    return CHANGES[change](image, np.random.default_rng([seed, list(CHANGES).index(change)]))
