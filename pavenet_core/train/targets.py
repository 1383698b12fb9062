"""What training knows of an image, and of a batch of them."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence

from pavenet_core.train.transfer import send


@dataclass(frozen=True)
class Targets:
    """
    Hold the labelled people of one key frame, on the host; G may be zero.

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


@dataclass(frozen=True)
class BatchTargets:
    """
    Hold the G people of B key frames who have a visible keypoint, image by image, on a device.

    keypoints     (G, K, 2)  float32, x then y in [0, 1] of the valid image
    visible       (G, K)     bool
    areas         (G,)       float32, in pixels
    image_sizes   (G, 2)     float32, width and height in pixels of the person's image
    images        (G,)       int64, which image the person is in
    ignore_boxes  (B, I, 4)  float32; NaN, in which nothing lies, where an image has fewer than I
    counts        (B,)       on the host: people of each image
    seen          (G, K)     on the host: as `visible`
    """

    keypoints: Tensor
    visible: Tensor
    areas: Tensor
    image_sizes: Tensor
    images: Tensor
    ignore_boxes: Tensor
    counts: NDArray[np.int64]
    seen: NDArray[np.bool_]

    @classmethod
    def of(cls, targets: Sequence[Targets], device: torch.device) -> 'BatchTargets':
        """Put the people of a batch one after another and send them to a device."""
        visible = torch.cat([target.visible for target in targets])
        present = visible.any(-1)
        people = [len(target.areas) for target in targets]
        images = torch.from_numpy(np.repeat(np.arange(len(targets)), people))[present]
        visible = visible[present]
        sizes = torch.tensor([target.image_size[::-1] for target in targets]).float()
        boxes = pad_sequence(
            [target.ignore_boxes for target in targets],
            batch_first=True,
            padding_value=float('nan'),
        )
        return cls(
            keypoints=send(torch.cat([t.keypoints for t in targets])[present].float(), device),
            visible=send(visible, device),
            areas=send(torch.cat([t.areas for t in targets])[present].float(), device),
            image_sizes=send(sizes[images], device),
            images=send(images, device),
            ignore_boxes=send(boxes.float(), device),
            counts=images.bincount(minlength=len(targets)).numpy(),
            seen=visible.numpy(),
        )
