"""Labelled windows on disk: a few frames of one place and the people of the key frame."""

import json
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class Window:
    """
    One labelled key frame and its neighbours.

    frames        image files in time order; a still has one
    key           index of the labelled frame
    persons       (G, K, 3) float32, x and y in pixels and 1 where the keypoint is known
    ignore_boxes  (I, 4) float32, x0 y0 x1 y1 in pixels: people that are not labelled
    """

    frames: tuple[str, ...]
    key: int
    persons: NDArray[np.float32]
    ignore_boxes: NDArray[np.float32]

    def read(self, offset: int) -> NDArray[np.uint8]:
        """Read the frame at an offset from the key frame; beyond the ends the last one repeats."""
        path = self.frames[min(max(self.key + offset, 0), len(self.frames) - 1)]
        image = cv2.imread(path, cv2.IMREAD_COLOR)
        if image is None:
            raise ValueError(f'cannot read the training image {path}')
        return image.astype(np.uint8, copy=False)


def read_windows(path: Path, num_keypoints: int) -> list[Window]:
    """Read a file of one JSON object a line, with the fields of `Window`."""
    windows = []
    for number, line in enumerate(path.read_text(encoding='utf-8').splitlines(), 1):
        data = json.loads(line)
        persons = np.array(data['persons'], np.float32).reshape(-1, 3)
        if len(persons) % num_keypoints:
            raise ValueError(f'{path}:{number} has people of other than {num_keypoints} keypoints')
        windows.append(
            Window(
                frames=tuple(str(path.parent / name) for name in data['frames']),
                key=int(data['key']),
                persons=persons.reshape(-1, num_keypoints, 3),
                ignore_boxes=np.array(data['ignore_boxes'], np.float32).reshape(-1, 4),
            )
        )
    if not windows:
        raise ValueError(f'{path} has no windows')
    return windows
