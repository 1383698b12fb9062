"""Change the colours of pictures."""

import cv2
import numpy as np
from numpy.typing import NDArray

from pavenet_core.data.dataset import Image

HUES = 256 / 360  # steps of an 8-bit hue a degree
Table = NDArray[np.uint8]


class Distortion:
    """
    One draw of mmdet's photometric distortion, to be applied to all frames of a window.

    Each change comes with a probability: brightness adds, contrast and saturation multiply, hue
    turns by degrees, channels change places. Contrast comes either right after brightness or after
    hue. Values end at 0 and 255 between changes; theirs, at the network's door or not at all.
    """

    def __init__(
        self,
        rng: np.random.Generator,
        *,
        share: float,
        channel_share: float,
        brightness: float,
        contrast: tuple[float, float],
        saturation: tuple[float, float],
        hue: float,
    ) -> None:
        """Draw."""

        def drawn(low: float, high: float, neutral: float) -> float:
            value = rng.uniform(low, high)
            return float(value) if rng.random() < share else neutral

        self.brightness = drawn(-brightness, brightness, 0)
        self.contrast = drawn(*contrast, 1)
        self.contrast_first = rng.random() < 0.5
        self.saturation = drawn(*saturation, 1)
        self.hue = drawn(-hue, hue, 0)
        order = rng.permutation(3)
        self.channels = order if rng.random() < channel_share else np.arange(3)

    def __call__(self, image: Image) -> Image:
        """Return the picture distorted."""
        first = self.contrast if self.contrast_first else 1
        image = mapped(image, table(first, first * self.brightness))
        if self.saturation != 1 or self.hue != 0:
            image = self._turned(image)
        if not self.contrast_first:
            image = mapped(image, table(self.contrast, 0))
        if (self.channels != np.arange(3)).any():
            image = np.ascontiguousarray(image[..., self.channels])
        return image

    def _turned(self, image: Image) -> Image:
        """Change hue and saturation."""
        hsv = cv2.cvtColor(image, cv2.COLOR_BGR2HSV_FULL)
        hues = np.rint(np.arange(256) + HUES * self.hue).astype(np.int64) % 256
        tables = np.stack([hues, table(self.saturation, 0), np.arange(256)], -1)
        turned = cv2.LUT(hsv, tables[None].astype(np.uint8))
        return np.asarray(cv2.cvtColor(turned, cv2.COLOR_HSV2BGR_FULL), np.uint8)


def table(gain: float, offset: float) -> Table:
    """Return for each value 0-255 what it becomes: times a gain, plus an offset."""
    return np.clip(np.rint(np.arange(256) * gain + offset), 0, 255).astype(np.uint8)


def mapped(image: Image, values: Table) -> Image:
    """Look every value up; spare the work where none changes."""
    if (values == np.arange(256)).all():
        return image
    return np.asarray(cv2.LUT(image, values), np.uint8)
