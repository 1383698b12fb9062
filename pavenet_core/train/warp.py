"""
Move pictures and their labels alike.

Maps are (3, 3) matrices from the source's to the result's pixels, counted from the corner: the
centre of the first pixel is (0.5, 0.5). So a map that scales by w/W and h/H is `cv2.resize`, and
one that sends x to W - x is `cv2.flip`.
"""

from collections.abc import Sequence
from typing import NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

from pavenet_core.data.dataset import Image, Labels

Matrix = NDArray[np.float64]
Points = NDArray[np.float64]
Color = tuple[float, float, float]  # blue, green, red


class People(NamedTuple):
    """
    Who is in a picture, in its pixels.

    persons       (G, K, 3) float32  x, y and 1; all zero where unknown
    areas         (G,) float32       square pixels
    ignore_boxes  (I, 4) float32     x0, y0, x1, y1
    """

    persons: NDArray[np.float32]
    areas: NDArray[np.float32]
    ignore_boxes: NDArray[np.float32]


def shift(x: float, y: float) -> Matrix:
    """Return the map that adds x and y."""
    return np.array([[1, 0, x], [0, 1, y], [0, 0, 1]], np.float64)


def scale(x: float, y: float) -> Matrix:
    """Return the map that multiplies by x and y."""
    return np.diag([x, y, 1.0])


def turn(degrees: float, center: tuple[float, float]) -> Matrix:
    """Return the map that turns clockwise, as one sees the picture, about a point."""
    cos, sin = np.cos(np.deg2rad(degrees)), np.sin(np.deg2rad(degrees))
    around = np.array([[cos, -sin, 0], [sin, cos, 0], [0, 0, 1]])
    return shift(*center) @ around @ shift(-center[0], -center[1])


def warp(image: Image, matrix: Matrix, size: tuple[int, int], border: Color | None) -> Image:
    """Return the moved picture, of a height and width; without a border colour, edges go on."""
    # OpenCV counts from the centre of the first pixel.
    centred = shift(-0.5, -0.5) @ matrix @ shift(0.5, 0.5)
    mode = cv2.BORDER_REPLICATE if border is None else cv2.BORDER_CONSTANT
    moved = cv2.warpAffine(
        image,
        centred[:2],
        size[::-1],
        flags=cv2.INTER_LINEAR,
        borderMode=mode,
        borderValue=border or (0, 0, 0),
    )
    return np.asarray(moved, np.uint8)


def move_points(matrix: Matrix, points: NDArray[np.floating]) -> Points:
    """Move points (..., 2)."""
    return points @ matrix[:2, :2].T + matrix[:2, 2]


def move_people(
    labels: Labels,
    matrix: Matrix,
    size: tuple[int, int],
    order: Sequence[int] | None = None,
    least_joints: int = 1,
) -> People:
    """
    Move labels into a picture of a size (height, width).

    A joint that leaves the picture is unknown, and who keeps too few is dropped. Areas change with
    the scale alone. People of whom the box alone is known, crowds and unlabelled regions become
    boxes to ignore: upright ones around the moved corners, cut to the picture.

    order  which source joint each joint of the result is, in a mirrored picture
    """
    limits = np.array(size[::-1])
    keypoints = labels.keypoints if order is None else labels.keypoints[:, list(order)]
    points = move_points(matrix, keypoints[..., :2])
    was_known = keypoints[..., 2] > 0
    inside = (points >= 0).all(-1) & (points < limits).all(-1)
    known = was_known & inside
    labelled = was_known.any(1) & ~labels.crowds
    kept = labelled & (known.sum(1) >= least_joints)
    persons = np.concatenate([points, np.ones_like(points[..., :1])], -1) * known[..., None]
    zoom = abs(np.linalg.det(matrix[:2, :2]))
    hidden = [corners(box) for box in labels.boxes[~labelled]]
    return People(
        persons[kept].astype(np.float32),
        (labels.areas[kept] * zoom).astype(np.float32),
        boxes_shown([*hidden, *labels.ignore_regions], matrix, size),
    )


def boxes_shown(
    regions: Sequence[NDArray[np.float32]], matrix: Matrix, size: tuple[int, int]
) -> NDArray[np.float32]:
    """Move polygons (n, 2) into a picture; return the boxes (I, 4) around what shows of them."""
    limits = np.array(size[::-1])
    boxes = []
    for region in regions:
        points = np.clip(move_points(matrix, region), 0, limits)
        low, high = points.min(0), points.max(0)
        if (high > low).all():
            boxes.append([*low, *high])
    return np.array(boxes, np.float32).reshape(-1, 4)


def corners(box: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return a box, x0, y0, x1, y1, as a polygon (4, 2)."""
    x0, y0, x1, y1 = box
    return np.array([[x0, y0], [x1, y0], [x1, y1], [x0, y1]], np.float32)
