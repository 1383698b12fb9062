"""Make a picture worse, as fast motion, a bad sensor and passers-by do."""

import cv2
import numpy as np
from numpy.typing import NDArray

from pavenet_core.data.dataset import Image
from pavenet_core.train.photometric import mapped, table


def motion_blurred(image: Image, length: float, degrees: float) -> Image:
    """Smear along a direction."""
    half = max(1, round(length / 2))
    kernel = np.zeros((2 * half + 1, 2 * half + 1), np.float32)
    reach = half * np.array([np.cos(np.deg2rad(degrees)), np.sin(np.deg2rad(degrees))])
    begin, end = (tuple(int(v) for v in np.rint(half + s * reach)) for s in (-1, 1))
    cv2.line(kernel, begin, end, (1.0,))
    return np.asarray(cv2.filter2D(image, -1, kernel / kernel.sum()), np.uint8)


def blurred(image: Image, sigma: float) -> Image:
    """Put out of focus."""
    return np.asarray(cv2.GaussianBlur(image, (0, 0), sigma), np.uint8)


def noisy(image: Image, sigma: float, rng: np.random.Generator) -> Image:
    """Add a sensor's noise, of its own in every value."""
    noise = rng.standard_normal(image.shape, np.float32) * np.float32(sigma)
    return np.clip(image + noise, 0, 255).astype(np.uint8)


def exposed(image: Image, gain: float) -> Image:
    """Brighten or darken, cut off at white."""
    return mapped(image, table(gain, 0))


def cut_out(
    image: Image,
    person: NDArray[np.float32],
    size: float,
    rng: np.random.Generator,
) -> Image:
    """
    Hide a square around one of a person's known joints (K, 3) behind another part of the picture.

    size  of the square, as a share of the longer side of the person
    """
    known = person[person[:, 2] > 0, :2]
    side = max(4, int(size * max(np.ptp(known, axis=0).max(), 1)))
    height, width = image.shape[:2]
    h, w = min(side, height), min(side, width)
    x, y = known[rng.integers(len(known))]
    left, top = np.clip([int(x) - w // 2, int(y) - h // 2], 0, [width - w, height - h])
    from_x, from_y = rng.integers(0, [width - w + 1, height - h + 1])
    out = image.copy()
    out[top : top + h, left : left + w] = image[from_y : from_y + h, from_x : from_x + w]
    return out
