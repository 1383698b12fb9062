"""What training knows of an image."""

from dataclasses import dataclass, replace

import torch
from torch import Tensor


@dataclass(frozen=True)
class Targets:
    """
    Hold the labelled people of one key frame; G may be zero.

    keypoints     (G, K, 2)  x then y in [0, 1] of the valid image
    visible       (G, K)     bool: the keypoint is labelled and counts
    areas         (G,)       person area in pixels of the valid image
    image_size    (h, w)     of the valid image in pixels
    ignore_boxes  (I, 4)     x0, y0, x1, y1 in [0, 1]: finding people here is no mistake
    """

    keypoints: Tensor
    visible: Tensor
    areas: Tensor
    image_size: tuple[int, int]
    ignore_boxes: Tensor

    def to(self, device: torch.device) -> 'Targets':
        """Return them on a device."""
        return replace(
            self,
            keypoints=self.keypoints.to(device),
            visible=self.visible.to(device),
            areas=self.areas.to(device),
            ignore_boxes=self.ignore_boxes.to(device),
        )
