"""Small data sets and answers, made in memory."""

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pytest

from pavenet_core.data.dataset import Clip, Dataset, LabelledFrame, Labels
from pavenet_core.poses import Poses
from pavenet_core.skeleton import Skeleton


def make_labels(
    keypoints: np.ndarray,
    *,
    area: float = 150.0**2,
    head_box: Sequence[float] | None = None,
    crowds: Sequence[int] = (),
    ignore_regions: Sequence[Sequence[Sequence[float]]] = (),
) -> Labels:
    """Label people (G, K, 3), all of one area and head box."""
    points = np.asarray(keypoints, np.float32)
    count = len(points)
    boxes = np.tile([50, 50, 250, 250], (count, 1))
    heads = np.tile([np.nan] * 4 if head_box is None else head_box, (count, 1))
    return Labels(
        keypoints=points,
        areas=np.full(count, area, np.float32),
        boxes=boxes.astype(np.float32).reshape(-1, 4),
        head_boxes=heads.astype(np.float32).reshape(-1, 4),
        track_ids=np.full(count, -1, np.int64),
        crowds=np.isin(np.arange(count), crowds),
        ignore_regions=tuple(np.array(region, np.float32) for region in ignore_regions),
    )


def make_dataset(skeleton: Skeleton, frames: Sequence[Labels]) -> Dataset:
    """Give each frame a clip of its own, whose picture is never read."""
    return Dataset(
        'made up',
        skeleton,
        tuple(
            LabelledFrame(Clip(str(i), (Path(f'{i}.jpg'),)), 0, i, labels)
            for i, labels in enumerate(frames)
        ),
    )


def make_poses(
    keypoints: np.ndarray, scores: Sequence[float], keypoint_scores: object = 0.8
) -> Poses:
    """Answer with people (N, K, 2)."""
    points = np.asarray(keypoints, np.float32)
    each = np.broadcast_to(np.asarray(keypoint_scores, np.float32), points.shape[:2])
    return Poses(0, points, each.copy(), np.array(scores, np.float32))


@pytest.fixture
def label() -> Callable[..., Labels]:
    """Give the maker of one frame's labels."""
    return make_labels


@pytest.fixture
def collect() -> Callable[..., Dataset]:
    """Give the maker of data sets."""
    return make_dataset


@pytest.fixture
def answer() -> Callable[..., Poses]:
    """Give the maker of one frame's answers."""
    return make_poses
