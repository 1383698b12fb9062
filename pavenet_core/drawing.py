"""Skeletons on a picture, with ids: orange is the person's left, blue the right."""

import cv2
import numpy as np
from numpy.typing import NDArray

from pavenet_core.poses import Poses
from pavenet_core.skeleton import Skeleton

Image = NDArray[np.uint8]
Color = tuple[int, int, int]

LEFT, RIGHT, MIDDLE = (0, 140, 255), (255, 130, 30), (110, 220, 120)  # BGR
OUTLINE, WHITE = (25, 25, 25), (255, 255, 255)
# OpenCV draws at fractions of a pixel when coordinates come as integers of 2^-4.
FRACTION_BITS = 4
FARTHEST_PX = 1e5


def draw_poses(
    image: Image, poses: Poses, skeleton: Skeleton, *, keypoint_threshold: float = 0.3
) -> Image:
    """Return a copy with the people drawn on, the best on top; unsure keypoints are left out."""
    canvas: Image = image.copy()
    names = poses.id_names
    for person in reversed(range(len(poses))):
        points = poses.keypoints_px[person]
        near = (np.abs(points) < FARTHEST_PX).all(axis=1)  # also False for what is no number
        visible = (poses.keypoint_scores[person] >= keypoint_threshold) & near
        if visible.any():
            width = _line_width(points[visible], image.shape[0], image.shape[1])
            _draw_person(canvas, points, visible, skeleton, width)
            _write(canvas, names[person], points[visible], width)
    return canvas


def _draw_person(
    canvas: Image,
    points: NDArray[np.float32],
    visible: NDArray[np.bool_],
    skeleton: Skeleton,
    width: float,
) -> None:
    limbs = [(a, b) for a, b in skeleton.edges if visible[a] and visible[b]]
    joints = [joint for joint in range(len(skeleton)) if visible[joint]]
    rim = max(0.5, width / 4)
    for a, b in limbs:
        _line(canvas, points[a], points[b], OUTLINE, width + 2 * rim)
    for joint in joints:
        _disc(canvas, points[joint], OUTLINE, 0.9 * width + rim)
    for a, b in limbs:
        _line(canvas, points[a], points[b], limb_color(skeleton, a, b), width)
    for joint in joints:
        _disc(canvas, points[joint], limb_color(skeleton, joint, joint), 0.9 * width)
        _disc(canvas, points[joint], WHITE, 0.4 * width)


def _write(canvas: Image, text: str, points: NDArray[np.float32], width: float) -> None:
    """Write above the topmost of the points."""
    left, top = np.rint(points[points[:, 1].argmin()] - [0, 5 * width]).astype(int).tolist()
    font, size = cv2.FONT_HERSHEY_SIMPLEX, max(0.4, 0.25 * width)
    for color, share in ((OUTLINE, 5), (WHITE, 1.5)):
        thickness = max(1, round(share * size))
        cv2.putText(canvas, text, (left, top), font, size, color, thickness, cv2.LINE_AA)


def _line_width(points: NDArray[np.float32], height: int, width: int) -> float:
    """Return a width that suits the person, within what suits the picture."""
    person = float(np.hypot(*(points.max(axis=0) - points.min(axis=0))))
    picture = float(np.hypot(height, width))
    return float(np.clip(0.014 * person, max(1.5, 0.002 * picture), max(2.0, 0.005 * picture)))


def limb_color(skeleton: Skeleton, a: int, b: int) -> Color:
    """Return the colour of the person's side that both ends are on."""
    sides = {skeleton.names[i].split('_')[0] for i in (a, b)}
    if 'left' in sides and 'right' not in sides:
        return LEFT
    return RIGHT if 'right' in sides and 'left' not in sides else MIDDLE


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
