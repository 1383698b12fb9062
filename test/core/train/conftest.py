"""Labelled clips made of coloured dots."""

from collections.abc import Callable, Iterator

import cv2
import numpy as np
import pytest

from pavenet_core.data.dataset import Clip, Dataset, LabelledFrame, Labels
from pavenet_core.skeleton import COCO17

COLOURS = [
    tuple(
        int(v)
        for v in cv2.cvtColor(np.uint8([[[170 * k // 17, 255, 255]]]), cv2.COLOR_HSV2BGR)[0, 0]
    )
    for k in range(len(COCO17))
]
IGNORED = (280, 200, 310, 230)  # a box in every picture


def dotted_person(rng: np.random.Generator) -> np.ndarray:
    """Place 17 keypoints in the middle of pixels, on a grid of 5 by 4, each moved a little."""
    cells = np.stack(np.meshgrid(np.arange(5), np.arange(4)), -1).reshape(-1, 2)[:17]
    return np.rint(40 + 44.0 * cells + rng.uniform(-6, 6, (17, 2))) + 0.5


def dotted_picture(person: np.ndarray) -> np.ndarray:
    """Draw a gray picture with a dot of its own colour at each keypoint."""
    image = np.full((240, 320, 3), 128, np.uint8)
    for (x, y), colour in zip(person, COLOURS, strict=True):
        cv2.circle(image, (int(x), int(y)), 9, colour, -1)
    return image


def labels_of(*persons: np.ndarray) -> Labels:
    """Label dotted people, and one of whom only the box is known."""
    count = len(persons)
    keypoints = np.zeros((count + 1, 17, 3), np.float32)
    boxes = np.array([[0, 0, 0, 0]] * count + [IGNORED], np.float32)
    for index, person in enumerate(persons):
        keypoints[index] = np.column_stack([person, np.ones(17)])
        boxes[index] = [*(person.min(0) - 9), *(person.max(0) + 9)]
    return Labels(
        keypoints=keypoints,
        areas=np.array([20000] * count + [900], np.float32),
        boxes=boxes,
        head_boxes=np.full((count + 1, 4), np.nan, np.float32),
        track_ids=np.full(count + 1, -1),
        crowds=np.zeros(count + 1, bool),
    )


@pytest.fixture(scope='session')
def dotted(tmp_path_factory: pytest.TempPathFactory) -> Dataset:
    """Write three clips of three frames and three stills of one dotted person each."""
    folder = tmp_path_factory.mktemp('dotted')
    rng = np.random.default_rng(0)
    frames = []
    for index in range(6):
        person = dotted_person(rng)
        length = 1 if index % 2 else 3
        files = tuple(folder / f'{index}_{frame}.png' for frame in range(length))
        for path in files:
            cv2.imwrite(str(path), dotted_picture(person))
        clip = Clip(str(index), files)
        frames.append(LabelledFrame(clip, length // 2, index, labels_of(person)))
    return Dataset('dotted', COCO17, tuple(frames))


@pytest.fixture(scope='session')
def keypoint_colours() -> list[tuple[int, int, int]]:
    """Give the colour of each keypoint's dot, BGR."""
    return COLOURS


@pytest.fixture(scope='session')
def find_dot() -> Callable[..., np.ndarray | None]:
    """Give the finder of where a keypoint's dot is near a place; None if it is not there."""

    def find(
        image: np.ndarray, keypoint: int, x: float, y: float, reach: int
    ) -> np.ndarray | None:
        left, top = max(0, int(x) - reach), max(0, int(y) - reach)
        part = image[top : int(y) + reach, left : int(x) + reach].astype(int)
        near = np.abs(part - COLOURS[keypoint]).max(-1) < 40
        dot = np.argwhere(near)[:, ::-1]
        return dot.mean(0) + np.array([left + 0.5, top + 0.5]) if len(dot) else None

    return find


@pytest.fixture
def small_shards(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Make cache shards of 8 small canvases."""
    from pavenet_core.train import feature_cache

    monkeypatch.setattr(feature_cache, 'SHARD', 8)
    monkeypatch.setattr(feature_cache, 'CANVAS', (128, 160))
    yield
