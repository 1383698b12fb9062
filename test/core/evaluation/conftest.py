"""A clip on disk, each frame of one brightness, which the stand-in model's answers show."""

from collections.abc import Callable, Sequence
from pathlib import Path

import cv2
import numpy as np
import pytest

from pavenet_core.data.dataset import Clip, Dataset, LabelledFrame, Labels
from pavenet_core.skeleton import COCO17

SIZE = (60, 40)


def label_one_person() -> Labels:
    points = np.column_stack([np.linspace([10, 5], [40, 35], 17), np.ones(17)])
    return Labels(
        keypoints=points[None].astype(np.float32),
        areas=np.array([900], np.float32),
        boxes=np.array([[10, 5, 40, 35]], np.float32),
        head_boxes=np.full((1, 4), np.nan, np.float32),
        track_ids=np.array([1]),
        crowds=np.zeros(1, bool),
    )


@pytest.fixture
def write_clip(tmp_path: Path) -> Callable[..., Dataset]:
    """Give the writer of a clip of some brightness, of which some frames are labelled."""

    def write(brightness: Sequence[int], labelled: Sequence[int], name: str = 'clip') -> Dataset:
        files = tuple(tmp_path / f'{name}{i:02d}.png' for i in range(len(brightness)))
        for file, value in zip(files, brightness, strict=True):
            cv2.imwrite(str(file), np.full((SIZE[1], SIZE[0], 3), value, np.uint8))
        clip = Clip(name, files)
        frames = [LabelledFrame(clip, i, i, label_one_person()) for i in labelled]
        return Dataset(name, COCO17, tuple(frames))

    return write
