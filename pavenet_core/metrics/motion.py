"""How fast labelled people move, and how steadily they are followed."""

from collections import defaultdict
from collections.abc import Iterator, Sequence
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from pavenet_core.data.dataset import Dataset
from pavenet_core.metrics.people import FramePeople
from pavenet_core.poses import Poses

Place = tuple[int, int]  # of a frame in its dataset, and of a person in its labels
Floats = NDArray[np.float64]


def tracks(dataset: Dataset) -> Iterator[list[tuple[int, Place]]]:
    """Yield every person's places by the frame's index in its clip, in time order."""
    places: dict[tuple[str, int], list[tuple[int, Place]]] = defaultdict(list)
    for number, frame in enumerate(dataset.frames):
        for person, track in enumerate(frame.labels.track_ids):
            if track >= 0:
                places[frame.clip.name, int(track)].append((frame.index, (number, person)))
    for found in places.values():
        yield sorted(found)


def speeds(dataset: Dataset) -> list[Floats]:
    """
    Return how far each person's joints move, in sizes of the person per frame, (G,) each frame.

    A size is the root of the area. NaN without another labelled frame of that person.
    """
    sums = [np.zeros((2, len(frame.labels.areas))) for frame in dataset.frames]
    for track in tracks(dataset):
        for (index_a, a), (index_b, b) in pairwise(track):
            (one, both), (two, _) = _labelled(dataset, a, b), _labelled(dataset, b, a)
            if not both.any() or index_a == index_b:
                continue
            moved = np.hypot(*(two - one)[both].T).mean() / (index_b - index_a)
            for number, person in (a, b):
                size = np.sqrt(dataset.frames[number].labels.areas[person])
                sums[number][:, person] += moved / max(size, 1e-6), 1
    with np.errstate(invalid='ignore'):
        return [total / count for total, count in sums]


def jitter(
    dataset: Dataset, poses: Sequence[Poses], matches: Sequence[FramePeople]
) -> float | None:
    """
    Return the mean acceleration of found keypoints beyond the labels', in sizes per step squared.

    Of people found in three labelled frames that follow each other at equal steps, and of the
    joints marked in all three; None if there are none.
    """
    accelerations = []
    for track in tracks(dataset):
        for three in zip(track, track[1:], track[2:], strict=False):
            (i, a), (j, b), (k, c) = three
            seen = [matches[number].found[person] for number, person in (a, b, c)]
            if j - i != k - j or i == j or min(seen) < 0:
                continue
            off = [
                poses[number].keypoints_px[person] - _labelled(dataset, place, place)[0]
                for (number, _), person, place in zip((a, b, c), seen, (a, b, c), strict=True)
            ]
            marked = _labelled(dataset, a, b)[1] & _labelled(dataset, b, c)[1]
            size = np.sqrt(dataset.frames[b[0]].labels.areas[b[1]])
            bent = np.hypot(*(off[0] - 2 * off[1] + off[2])[marked].T)
            accelerations += (bent / max(size, 1e-6)).tolist()
    return float(np.mean(accelerations)) if accelerations else None


def _labelled(dataset: Dataset, a: Place, b: Place) -> tuple[Floats, NDArray[np.bool_]]:
    """Return where the joints are labelled at one place, and which are at both."""
    here, there = (dataset.frames[number].labels.keypoints[person] for number, person in (a, b))
    return here[:, :2].astype(float), (here[:, 2] > 0) & (there[:, 2] > 0)
