"""Compose training pictures: windows warped, mirrored, recoloured and laid side by side."""

from dataclasses import dataclass
from itertools import pairwise

import cv2
import numpy as np
from numpy.typing import NDArray

from pavenet_core.skeleton import Skeleton
from pavenet_core.train.sample import Sample
from pavenet_core.train.windows import Window

Cell = tuple[int, int, int, int]  # x, y, width, height in pixels of the canvas

# Rows x columns of windows on one canvas, with how often each is drawn. Small people and crowds
# are what the stills lack: most canvases hold several windows.
LAYOUTS = ((1, 1), (1, 2), (2, 2), (2, 3))
LAYOUT_SHARES = (0.4, 0.15, 0.3, 0.15)
# One cell's people, their areas, and its ignored boxes.
Placed = tuple[list[NDArray[np.float64]], list[float], list[list[float]]]
AREA_OF_EXTENT = 0.7  # a person's area, as a share of its keypoints' bounding box


@dataclass(frozen=True)
class CanvasMaker:
    """Draw random canvases from windows; the same generator state gives the same canvas."""

    windows: list[Window]
    skeleton: Skeleton
    num_frames: int
    max_rotation: float = 20.0  # degrees
    blank_share: float = 0.1  # of cells that show one colour and nobody, as a covered lens does
    still_motion: float = 5.0  # degrees a still turns from frame to frame, as the paper's stage B

    def make(self, height: int, width: int, rng: np.random.Generator) -> Sample:
        """Compose one canvas."""
        rows, columns = LAYOUTS[rng.choice(len(LAYOUTS), p=LAYOUT_SHARES)]
        if height > width:
            rows, columns = columns, rows
        images = np.empty((self.num_frames, height, width, 3), np.uint8)
        persons, areas, ignored = [], [], []
        for cell in split(height, width, rows, columns, rng):
            part = self._fill(images, cell, rng)
            persons += part[0]
            areas += part[1]
            ignored += part[2]
        keypoints = len(self.skeleton)
        return Sample(
            recolour(images, rng),
            np.array(persons, np.float32).reshape(-1, keypoints, 3),
            np.array(areas, np.float32),
            np.array(ignored, np.float32).reshape(-1, 4),
        )

    def _fill(self, images: NDArray[np.uint8], cell: Cell, rng: np.random.Generator) -> Placed:
        """Warp one random window into a cell of all frames; return its people, in pixels."""
        x, y, width, height = cell
        if rng.random() < self.blank_share:
            images[:, y : y + height, x : x + width] = rng.integers(0, 256, 3)
            return [], [], []
        window = self.windows[rng.integers(len(self.windows))]
        key = window.read(0)
        mirrored = rng.random() < 0.5
        matrix = random_matrix(window, key.shape, cell, mirrored, self.max_rotation, rng)
        turn = rng.uniform(-self.still_motion, self.still_motion)
        border = tuple(int(v) for v in rng.integers(0, 256, 3))
        for frame in range(self.num_frames):
            offset = frame - self.num_frames // 2
            still = len(window.frames) == 1
            source = key if offset == 0 or still else window.read(offset)
            warp = turned(matrix, turn * offset, cell) if still else matrix
            images[frame, y : y + height, x : x + width] = cv2.warpAffine(
                source, warp, (width, height), flags=cv2.INTER_LINEAR, borderValue=border
            )
        order = list(self.skeleton.mirror) if mirrored else slice(None)
        return placed(window, matrix, cell, order)


def split(
    height: int, width: int, rows: int, columns: int, rng: np.random.Generator
) -> list[Cell]:
    """Cut a canvas into rows x columns cells at slightly random places."""
    ys = [0, *(int(height * (i + rng.uniform(-0.2, 0.2)) / rows) for i in range(1, rows)), height]
    cells = []
    for top, bottom in pairwise(ys):
        inner = (int(width * (i + rng.uniform(-0.2, 0.2)) / columns) for i in range(1, columns))
        xs = [0, *inner, width]
        cells += [(x0, top, x1 - x0, bottom - top) for x0, x1 in pairwise(xs)]
    return cells


def random_matrix(
    window: Window,
    shape: tuple[int, ...],
    cell: Cell,
    mirrored: bool,
    max_rotation: float,
    rng: np.random.Generator,
) -> NDArray[np.float64]:
    """Return the (2, 3) map from the window's pixels to the cell's, near one of its people."""
    _, _, width, height = cell
    fit = max(width / shape[1], height / shape[0])
    scale = fit * np.exp(rng.uniform(np.log(0.75), np.log(1.8)))
    focus = np.array([shape[1] / 2, shape[0] / 2])
    if len(window.persons):
        person = window.persons[rng.integers(len(window.persons))]
        known = person[person[:, 2] > 0, :2]
        if len(known):
            focus = focus + rng.uniform(0.2, 1) * (known.mean(0) - focus)
    angle = np.deg2rad(np.clip(rng.normal(0, max_rotation / 2), -max_rotation, max_rotation))
    linear = scale * np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    if mirrored:
        linear = linear @ np.diag([-1.0, 1.0])
    target = np.array([width, height]) * rng.uniform(0.35, 0.65, 2)
    return np.column_stack([linear, target - linear @ focus])


def turned(matrix: NDArray[np.float64], degrees: float, cell: Cell) -> NDArray[np.float64]:
    """Turn a map about the centre of its cell."""
    turn = cv2.getRotationMatrix2D((cell[2] / 2, cell[3] / 2), degrees, 1.0)
    return turn @ np.vstack([matrix, [0, 0, 1]])


def placed(
    window: Window, matrix: NDArray[np.float64], cell: Cell, order: list[int] | slice
) -> Placed:
    """
    Map people and ignored boxes onto the canvas.

    A keypoint outside the cell is unknown; who keeps fewer than four known ones is ignored.
    """
    x, y, width, height = cell
    persons, areas, ignored = [], [], []
    for person in window.persons:
        points = (person[:, :2] @ matrix[:, :2].T + matrix[:, 2])[order]
        known = person[order, 2] > 0
        if not known.any():
            continue
        extent = np.maximum(np.ptp(points[known], axis=0), 1)
        extent = np.maximum(extent, 0.3 * extent.max())  # a straight line of joints has a width
        inside = known & (points > 0).all(1) & (points < (width, height)).all(1)
        if inside.sum() >= 4:
            persons.append(np.column_stack([points + np.array([x, y]), inside]))
            areas.append(AREA_OF_EXTENT * extent.prod())
        elif inside.any():
            ignored.append(_box(points[known], cell))
    for x0, y0, x1, y1 in window.ignore_boxes:
        corners = np.array([[x0, y0], [x1, y0], [x1, y1], [x0, y1]])
        ignored.append(_box(corners @ matrix[:, :2].T + matrix[:, 2], cell))
    return persons, areas, [box for box in ignored if box[2] > box[0] and box[3] > box[1]]


def _box(points: NDArray[np.float64], cell: Cell) -> list[float]:
    """Return the bounding box of points of a cell, cut to it, in pixels of the canvas."""
    x, y, width, height = cell
    low = np.clip(points.min(0), 0, (width, height)) + np.array([x, y])
    high = np.clip(points.max(0), 0, (width, height)) + np.array([x, y])
    return [*low, *high]


def recolour(images: NDArray[np.uint8], rng: np.random.Generator) -> NDArray[np.uint8]:
    """Change exposure, contrast, tint and sharpness, alike in all frames."""
    gain = rng.uniform(0.7, 1.3) * rng.uniform(0.9, 1.1, 3)
    levels = np.arange(256)[:, None] / 255
    curve = levels ** np.exp(rng.uniform(-0.4, 0.4)) * gain + rng.uniform(-0.1, 0.1)
    table = np.clip(curve * 255, 0, 255).astype(np.uint8)
    out = np.stack([table[..., c][images[..., c]] for c in range(3)], -1)
    if rng.random() < 0.1:
        out[:] = out.mean(-1, keepdims=True).astype(np.uint8)
    if rng.random() < 0.2:
        sigma = rng.uniform(0.5, 2)
        out = np.stack([cv2.GaussianBlur(image, (0, 0), sigma) for image in out])
    if rng.random() < 0.2:
        noise = rng.normal(0, rng.uniform(2, 10), out.shape[1:])
        out = np.clip(out + noise, 0, 255).astype(np.uint8)
    return out
