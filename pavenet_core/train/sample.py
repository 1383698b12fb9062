"""One training example after augmentation."""

from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray

from pavenet_core.train.targets import Targets


class Sample(NamedTuple):
    """
    A window as the network shall see it, and the people of its key frame.

    images        (T, H, W, 3) uint8, blue-green-red
    persons       (G, K, 3) float32, x and y in pixels and 1 where known
    areas         (G,) float32, square pixels
    ignore_boxes  (I, 4) float32, x0, y0, x1, y1 in pixels
    """

    images: NDArray[np.uint8]
    persons: NDArray[np.float32]
    areas: NDArray[np.float32]
    ignore_boxes: NDArray[np.float32]

    def targets(self) -> Targets:
        """Return the labels as the losses read them."""
        height, width = self.images.shape[1:3]
        extent = torch.tensor([width, height], dtype=torch.float32)
        return Targets(
            keypoints=torch.from_numpy(self.persons[..., :2]) / extent,
            visible=torch.from_numpy(self.persons[..., 2] > 0),
            areas=torch.from_numpy(self.areas),
            image_size=(height, width),
            ignore_boxes=torch.from_numpy(self.ignore_boxes) / extent.repeat(2),
        )
