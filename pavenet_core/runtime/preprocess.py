"""From a picture of any size to the encoder's input."""

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from pavenet_core.poses import check_picture


@dataclass(frozen=True)
class FittedImage:
    """
    A picture as the spatial encoder takes it; valid until the fitter is called again.

    pixels      (1, H, W, 3) uint8 BGR; the picture top-left, the rest zero
    valid_size  (1, 2) float32, height and width of the picture's part of it
    """

    pixels: NDArray[np.uint8]
    valid_size: NDArray[np.float32]

    @property
    def picture(self) -> NDArray[np.uint8]:
        """Return the picture without the padding, (height, width, 3)."""
        height, width = self.valid_size[0].astype(int)
        return self.pixels[0, :height, :width]


class ImageFitter:
    """
    Resize pictures to one longer side, keeping the ratio, and pad them to the alignment.

    Coordinates of the network are shares of the valid part, which is the whole source picture:
    multiplied by the source's width and height they are pixels of the source, whatever the
    resize did.
    """

    def __init__(self, long_side: int, alignment: int) -> None:
        self.long_side = long_side
        self.alignment = alignment
        self._valid = (0, 0)
        self._pixels = np.zeros((1, 0, 0, 3), np.uint8)

    def __call__(self, image: NDArray[np.uint8]) -> FittedImage:
        """Write the picture, (h, w, 3) uint8, into the reused input."""
        check_picture(image)  # OpenCV would leave the input as it was, without a word
        height, width = valid = self.valid_size(image.shape[0], image.shape[1])
        if valid != self._valid:
            padded = (-(-side // self.alignment) * self.alignment for side in valid)
            self._pixels = np.zeros((1, *padded, 3), np.uint8)
            self._valid = valid
        inside = self._pixels[0, :height, :width]
        cv2.resize(image, (width, height), dst=inside, interpolation=cv2.INTER_LINEAR)
        return FittedImage(self._pixels, np.array([valid], np.float32))

    def valid_size(self, height: int, width: int) -> tuple[int, int]:
        """Return the height and width that a source picture gets, padding not included."""
        scale = self.long_side / max(height, width)
        return max(1, int(height * scale + 0.5)), max(1, int(width * scale + 0.5))
