"""From what a file says of each person to the labels of a frame."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pavenet_core.data.dataset import Labels

AREA_OF_EXTENT = 0.7  # a person's area, as a share of the rectangle around its keypoints
AREA_OF_BOX = 0.53  # the same of its box, as in COCO on average
BOX_OF_EXTENT = 1.3  # PoseTrack's boxes are the keypoints' rectangle, so much wider and higher


@dataclass(frozen=True)
class Person:
    """
    One labelled person; None is what the file leaves out.

    keypoints  (K, 3) x, y and 1 where marked, 0 where unknown
    box        x0, y0, x1, y1, as is head_box
    """

    keypoints: NDArray[np.float32]
    box: tuple[float, float, float, float] | None = None
    area: float | None = None
    head_box: tuple[float, float, float, float] | None = None
    track_id: int = -1
    crowd: bool = False


def corners(box: Sequence[float]) -> tuple[float, float, float, float]:
    """Turn x, y, width, height into x0, y0, x1, y1; `ValueError` if they are no 4 numbers."""
    values = [float(value) for value in box]
    if len(values) != 4 or not np.isfinite(values).all():
        raise ValueError(f'a box is 4 numbers, x, y, width and height, but here it is {list(box)}')
    x, y, width, height = values
    return x, y, x + width, y + height


def to_labels(
    people: Sequence[Person], num_keypoints: int, ignore_regions: Sequence[NDArray[np.float32]]
) -> Labels:
    """Gather the people of a frame, filling in boxes and areas; nobody without any place stays."""
    placed = [(person, box) for person in people if (box := _box(person)) is not None]
    nobody = np.full(4, np.nan, np.float32)
    return Labels(
        keypoints=np.array([p.keypoints for p, _ in placed], np.float32).reshape(
            -1, num_keypoints, 3
        ),
        areas=np.array([_area(p, box) for p, box in placed], np.float32),
        boxes=np.array([box for _, box in placed], np.float32).reshape(-1, 4),
        head_boxes=np.array(
            [nobody if p.head_box is None else p.head_box for p, _ in placed], np.float32
        ).reshape(-1, 4),
        track_ids=np.array([p.track_id for p, _ in placed], np.int64),
        crowds=np.array([p.crowd for p, _ in placed], np.bool_),
        ignore_regions=tuple(ignore_regions),
    )


def _extent(person: Person) -> tuple[NDArray[np.float32], NDArray[np.float32]] | None:
    """Return the corners of the rectangle around the marked keypoints."""
    marked = person.keypoints[person.keypoints[:, 2] > 0, :2]
    return (marked.min(0), marked.max(0)) if len(marked) else None


def _box(person: Person) -> tuple[float, float, float, float] | None:
    if person.box is not None:
        return person.box
    extent = _extent(person)
    if extent is None:
        return person.head_box
    centre, half = (extent[0] + extent[1]) / 2, (extent[1] - extent[0]) / 2 * BOX_OF_EXTENT
    (x0, y0), (x1, y1) = (centre - half).tolist(), (centre + half).tolist()
    return x0, y0, x1, y1


def _area(person: Person, box: tuple[float, float, float, float]) -> float:
    if person.area is not None:
        return person.area
    extent = _extent(person)
    inside = 0.0 if extent is None else AREA_OF_EXTENT * float(np.prod(extent[1] - extent[0]))
    # One keypoint, or some in a line, say nothing of a person's size.
    return inside or AREA_OF_BOX * (box[2] - box[0]) * (box[3] - box[1])
