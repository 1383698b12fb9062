"""Pictures of one size with a known number of people in them."""

from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

HEIGHT, WIDTH = 480, 640
ROWS, COLUMNS = 3, 7
# A woman walking, whole and alone: frame, then x, y, width and height in the clip's pixels.
FRAME, TILE = 60, (1280, 525, 260, 425)
PERSON = (13, 15, 234, 398)  # in the tile


@dataclass(frozen=True)
class Scene:
    """
    A picture of N people, all of one size.

    image  (480, 640, 3) uint8 BGR
    boxes  (N, 4) x0, y0, x1, y1 in its pixels
    """

    image: NDArray[np.uint8]
    boxes: NDArray[np.float32]


def scene_of(people: int, clip: Path) -> Scene:
    """Set the clip's person so many times side by side on grey."""
    if not 1 <= people <= ROWS * COLUMNS:
        raise ValueError(f'a scene has 1 to {ROWS * COLUMNS} people, not {people}')
    tile = read_tile(clip)
    scale = min(HEIGHT / ROWS / tile.shape[0], WIDTH / COLUMNS / tile.shape[1])
    small = cv2.resize(tile, None, fx=scale, fy=scale)
    x, y, width, height = (scale * side for side in PERSON)
    image = np.full((HEIGHT, WIDTH, 3), 128, np.uint8)
    boxes = []
    # In any order, so that few people do not all stand in one corner.
    for cell in np.random.default_rng(0).permutation(ROWS * COLUMNS)[:people]:
        top = int(cell // COLUMNS * HEIGHT / ROWS)
        left = int(cell % COLUMNS * WIDTH / COLUMNS)
        image[top : top + small.shape[0], left : left + small.shape[1]] = small
        boxes.append((left + x, top + y, left + x + width, top + y + height))
    return Scene(image, np.array(boxes, np.float32))


def read_tile(clip: Path) -> NDArray[np.uint8]:
    """Cut the person out of the clip."""
    capture = cv2.VideoCapture(str(clip))
    capture.set(cv2.CAP_PROP_POS_FRAMES, FRAME)
    read, frame = capture.read()
    capture.release()
    if not read:
        raise ValueError(f'{clip} cannot be read; fetch it with benchmarks/peer_fetch.py')
    x, y, width, height = TILE
    return np.asarray(frame[y : y + height, x : x + width], np.uint8)
