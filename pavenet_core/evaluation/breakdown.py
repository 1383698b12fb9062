"""Where the mistakes are: by size, by crowding, by motion, and frame by frame."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pavenet_core.data.dataset import Dataset
from pavenet_core.metrics.motion import speeds
from pavenet_core.metrics.people import FramePeople
from pavenet_core.poses import Poses

Floats = NDArray[np.float64]
Bounds = Sequence[tuple[str, float, float]]

SIZES: Bounds = (
    *(('under 32', 0, 32), ('32 to 96', 32, 96), ('96 to 192', 96, 192)),
    ('192 and more', 192, np.inf),
)
COMPANY: Bounds = (
    *(('one', 1, 2), ('2 or 3', 2, 4), ('4 to 6', 4, 7)),
    ('7 and more', 7, np.inf),
)
OVERLAPS: Bounds = (
    *(('none', 0, 1e-9), ('up to 10 %', 1e-9, 0.1), ('10 to 30 %', 0.1, 0.3)),
    ('more than 30 %', 0.3, np.inf),
)


@dataclass(frozen=True)
class PeopleTable:
    """
    Every labelled person that counts, a row each.

    size     pixels, the root of the area
    company  labelled people in the frame, this one too
    overlap  greatest share of two boxes' union that this person's has in common with another's
    speed    sizes per frame; NaN if unknown
    found    whether it was
    error    mean distance of its marked joints in sizes; NaN if not found
    """

    size: Floats
    company: Floats
    overlap: Floats
    speed: Floats
    found: NDArray[np.bool_]
    error: Floats


@dataclass(frozen=True)
class Group:
    """Some of the people: how many, the share not found, and the found ones' median error."""

    name: str
    people: int
    missed: float
    error: float | None


def tabulate(
    dataset: Dataset, poses: Sequence[Poses], matches: Sequence[FramePeople]
) -> PeopleTable:
    """Gather the people of all frames."""
    columns: list[Floats] = []
    for frame, answer, match, moved in zip(
        dataset.frames, poses, matches, speeds(dataset), strict=True
    ):
        labels, counted = frame.labels, match.counted
        sizes = np.sqrt(labels.areas.astype(float))
        people = np.full(len(sizes), counted.sum())
        errors = np.full(len(sizes), np.nan)
        for person in np.flatnonzero(match.found >= 0):
            marked = labels.keypoints[person, :, 2] > 0
            off = answer.keypoints_px[match.found[person]] - labels.keypoints[person, :, :2]
            errors[person] = np.hypot(*off[marked].T).mean() / max(sizes[person], 1e-6)
        rows = (sizes, people, overlaps(labels.boxes), moved, match.found >= 0, errors)
        columns.append(np.stack(rows, 1)[counted])
    size, company, overlap, speed, found, error = np.concatenate([np.zeros((0, 6)), *columns]).T
    return PeopleTable(size, company, overlap, speed, found > 0, error)


def overlaps(boxes: NDArray[np.float32]) -> Floats:
    """Return each box's greatest intersection over union with another, (G,)."""
    a, b = boxes[:, None].astype(float), boxes[None].astype(float)
    shared = (np.minimum(a[..., 2:], b[..., 2:]) - np.maximum(a[..., :2], b[..., :2])).clip(0)
    both = shared.prod(-1)
    area = (boxes[:, 2:] - boxes[:, :2]).astype(float).prod(-1)
    union = np.maximum(area[:, None] + area - both, 1e-6)
    others = np.where(np.eye(len(boxes), dtype=bool), 0, both / union)
    return np.asarray(others.max(1, initial=0), float)


def break_down(table: PeopleTable) -> dict[str, list[Group]]:
    """Return the groups of people by each question; a question without an answer is left out."""
    questions = (
        ('Size of the person, in pixels', table.size, SIZES),
        ('People in the frame', table.company, COMPANY),
        ('Overlap with the nearest other, of both boxes', table.overlap, OVERLAPS),
        ('Speed, in sizes of the person per frame', table.speed, _thirds(table.speed)),
    )
    return {
        title: [
            _group(table, name, (low <= values) & (values < high)) for name, low, high in bounds
        ]
        for title, values, bounds in questions
        if bounds
    }


def worst_frames(matches: Sequence[FramePeople], count: int) -> list[tuple[int, float]]:
    """
    Return the frames of least worth, and of equal ones those with the most people.

    A frame's worth is the mean OKS of those labelled and those invented, who have 0.
    """
    people = [int(match.counted.sum()) + match.invented for match in matches]
    worth = [
        (place, float(match.oks[match.counted].sum()) / people[place])
        for place, match in enumerate(matches)
        if people[place]
    ]
    return sorted(worth, key=lambda frame: (frame[1], -people[frame[0]]))[:count]


def _group(table: PeopleTable, name: str, members: NDArray[np.bool_]) -> Group:
    people = int(members.sum())
    errors = table.error[members & table.found]
    missed = 1 - float(table.found[members].mean()) if people else 0.0
    return Group(name, people, missed, float(np.median(errors)) if len(errors) else None)


def _thirds(values: Floats) -> Bounds:
    known = values[np.isfinite(values)]
    if len(known) < 3:
        return ()
    low, high = np.quantile(known, (1 / 3, 2 / 3)).tolist()
    return (
        (f'slowest third, under {low:.2g}', 0, low),
        ('middle third', low, high),
        (f'fastest third, {high:.2g} and more', high, np.inf),
    )
