"""Skeletons on a picture, tagged: orange is the person's left, blue the right."""

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from pavenet_core.poses import Poses
from pavenet_core.skeleton import Skeleton

Image = NDArray[np.uint8]
Color = tuple[int, int, int]
_Line = tuple[NDArray[np.float32], NDArray[np.float32], Color, float]
_Disc = tuple[NDArray[np.float32], Color, float]

LEFT, RIGHT, MIDDLE = (0, 140, 255), (255, 130, 30), (110, 220, 120)  # BGR
OUTLINE, WHITE = (25, 25, 25), (255, 255, 255)
# OpenCV draws at fractions of a pixel when coordinates come as integers of 2^-4.
FRACTION_BITS = 4
FARTHEST_PX = 1e5
THIN_PX = 2.0  # below, rims and dots would hide the lines
FONT, CAPITAL_PX = cv2.FONT_HERSHEY_SIMPLEX, 21  # the height of its letters at size 1
LEAST_LETTER_PX = 8.0
DIMMED = 0.3  # of the picture behind a tag


def draw_poses(
    image: Image,
    poses: Poses,
    skeleton: Skeleton,
    *,
    keypoint_threshold: float = 0.3,
    tags: bool = True,
) -> Image:
    """
    Return a copy with the people drawn on, the best on top; unsure keypoints are left out.

    Lines and letters follow the size of the person and of the picture. A tag has the person's id
    and score, the id alone if that is too much for the person's size, and is left out where a
    surer one's is in its place.
    """
    canvas: Image = image.copy()
    picture = float(np.hypot(*image.shape[:2]))
    near = (np.abs(poses.keypoints_px) < FARTHEST_PX).all(axis=2)  # also False for no number
    visible = (poses.keypoint_scores >= keypoint_threshold) & near
    people = [person for person in range(len(poses)) if visible[person].any()]
    for person in reversed(people):
        points = poses.keypoints_px[person]
        width = _line_width(_extent(points[visible[person]]), picture)
        _draw_person(canvas, points, visible[person], skeleton, width)
    if tags:
        _tag(canvas, poses, [(p, poses.keypoints_px[p][visible[p]]) for p in people], picture)
    return canvas


def limb_color(skeleton: Skeleton, a: int, b: int) -> Color:
    """Return the colour of the side that both ends are on, or one is."""
    sides = {skeleton.sides[a], skeleton.sides[b]} - {''}
    if len(sides) != 1:
        return MIDDLE
    return LEFT if 'left' in sides else RIGHT


def _extent(points: NDArray[np.float32]) -> float:
    """Return the diagonal of the box around the points."""
    return float(np.hypot(*np.ptp(points, axis=0)))


def _line_width(person: float, picture: float) -> float:
    """Return a width that suits the person, within what suits the picture; from diagonals."""
    return float(np.clip(0.016 * person, 1.0, max(2.0, 0.005 * picture)))


def _draw_person(
    canvas: Image,
    points: NDArray[np.float32],
    visible: NDArray[np.bool_],
    skeleton: Skeleton,
    width: float,
) -> None:
    limbs = [(a, b) for a, b in skeleton.edges if visible[a] and visible[b]]
    lengths = [float(np.hypot(*(points[a] - points[b]))) for a, b in limbs]
    lines = [
        (points[a], points[b], limb_color(skeleton, a, b), max(1.0, min(width, 0.5 * length)))
        for (a, b), length in zip(limbs, lengths, strict=True)
    ]
    radii = np.full(len(skeleton), 0.9 * width)
    for limb, length in zip(limbs, lengths, strict=True):
        for joint in limb:  # the joints of a face are near each other
            radii[joint] = min(radii[joint], max(0.3 * length, 0.5 * width))
    discs = [
        (points[joint], limb_color(skeleton, joint, joint), float(radii[joint]))
        for joint in range(len(skeleton))
        if visible[joint]
    ]
    _draw(canvas, lines, discs, width)


def _draw(canvas: Image, lines: Sequence[_Line], discs: Sequence[_Disc], width: float) -> None:
    rim = max(0.5, width / 4) if width >= THIN_PX else 0.0
    if rim:
        for a, b, _, thickness in lines:
            _line(canvas, a, b, OUTLINE, thickness + 2 * rim)
        for center, _, radius in discs:
            _disc(canvas, center, OUTLINE, radius + rim)
    for line in lines:
        _line(canvas, *line)
    for center, color, radius in discs:
        _disc(canvas, center, color, radius)
        if rim:
            _disc(canvas, center, WHITE, 0.4 * radius)


def _fixed(values: NDArray[np.float32]) -> tuple[int, int]:
    x, y = np.rint(values * 2**FRACTION_BITS).astype(int)
    return int(x), int(y)


def _line(
    canvas: Image, a: NDArray[np.float32], b: NDArray[np.float32], color: Color, width: float
) -> None:
    thickness = max(1, round(width))
    cv2.line(canvas, _fixed(a), _fixed(b), color, thickness, cv2.LINE_AA, FRACTION_BITS)


def _disc(canvas: Image, center: NDArray[np.float32], color: Color, radius: float) -> None:
    size = round(radius * 2**FRACTION_BITS)
    cv2.circle(canvas, _fixed(center), size, color, cv2.FILLED, cv2.LINE_AA, FRACTION_BITS)


@dataclass(frozen=True)
class _Plate:
    """Where a tag is, in whole pixels; its text has a margin of `pad` around it."""

    left: int
    top: int
    width: int
    height: int
    pad: int

    def overlaps(self, other: '_Plate') -> bool:
        return (
            abs(2 * (self.left - other.left) + self.width - other.width) < self.width + other.width
        ) and (
            abs(2 * (self.top - other.top) + self.height - other.height)
            < self.height + other.height
        )


def _tag(
    canvas: Image,
    poses: Poses,
    people: Sequence[tuple[int, NDArray[np.float32]]],
    picture: float,
) -> None:
    """Write above each person (its index and the points that are visible), best first."""
    taken: list[_Plate] = []
    names = poses.id_names
    for person, points in people:
        extent = _extent(points)
        lowest = max(LEAST_LETTER_PX, 0.006 * picture)
        letters = float(np.clip(0.05 * extent, lowest, 2 * lowest))
        size, thickness = letters / CAPITAL_PX, max(1, round(letters / 8))
        text = f'{names[person]}  {poses.scores[person]:.2f}'.strip()
        if _wide(text, size, thickness) > 0.5 * extent:
            text = names[person]
        if not text:
            continue
        highest = points[:, 1].min()
        middle = points[points[:, 1] <= highest + 0.1 * extent, 0].mean()
        top = np.array([middle, highest - 0.08 * extent])  # of the head, not of the eyes
        plate = _place(canvas, _wide(text, size, thickness), letters, top)
        if any(plate.overlaps(other) for other in taken):
            continue
        taken.append(plate)
        place = canvas[plate.top : plate.top + plate.height, plate.left : plate.left + plate.width]
        place[:] = place * DIMMED
        start = (plate.left + plate.pad, plate.top + plate.height - plate.pad)
        cv2.putText(canvas, text, start, FONT, size, WHITE, thickness, cv2.LINE_AA)


def _wide(text: str, size: float, thickness: int) -> int:
    return int(cv2.getTextSize(text, FONT, size, thickness)[0][0])


def _place(canvas: Image, wide: int, letters: float, top: NDArray[np.floating]) -> _Plate:
    """Return the plate of a text that stands on a point, moved into the picture."""
    pad = round(0.4 * letters)
    width, height = wide + 2 * pad, round(letters) + 2 * pad
    x, y = np.rint(top - [width / 2, height]).astype(int).tolist()
    left = min(max(0, x), max(0, canvas.shape[1] - width))
    return _Plate(left, min(max(0, y), max(0, canvas.shape[0] - height)), width, height, pad)
