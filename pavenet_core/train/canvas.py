"""Compose training pictures: windows warped, mirrored and laid side by side, then recoloured."""

from dataclasses import dataclass, replace
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from pavenet_core.data.dataset import Dataset, LabelledFrame, Neighbours
from pavenet_core.train.augmentation import FINETUNE, Augmentation
from pavenet_core.train.degradation import blurred, noisy
from pavenet_core.train.sample import Sample
from pavenet_core.train.warp import Matrix, People, move_people, scale, shift, turn, warp
from pavenet_core.train.window import as_video, read_window

Cell = tuple[int, int, int, int]  # x, y, width, height in pixels of the canvas

# Rows x columns of windows on one canvas, with how often each is drawn. Small people and crowds
# are what the stills lack: most canvases hold several windows.
LAYOUTS = ((1, 1), (1, 2), (2, 2), (2, 3), (3, 4))
LAYOUT_SHARES = (0.35, 0.15, 0.25, 0.15, 0.1)
ZOOM = (0.6, 1.8)  # of a window that just fills its cell
# The trunk has learned what blue, green and red are.
CANVAS_COLORS = replace(
    FINETUNE,
    channel_share=0,
    blur_share=0.3,
    cut_out_share=0.25,
    noise_share=0.15,
    exposure_share=0.2,
)
LEAST_JOINTS = 4  # known in a cell, to be somebody there


@dataclass(frozen=True)
class CanvasMaker:
    """
    Draw random canvases from a dataset; the same generator state gives the same canvas.

    colors  its photometric distortion is used, its neighbours, how stills turn, and how key frames
            are spoiled
    """

    dataset: Dataset
    neighbours: Neighbours
    colors: Augmentation = CANVAS_COLORS
    max_rotation: float = 20.0  # degrees
    blank_share: float = 0.1  # of cells that show one colour and nobody, as a covered lens does
    blur_share: float = 0.2  # of canvases out of focus, and as many with a sensor's noise

    def make(self, height: int, width: int, rng: np.random.Generator) -> Sample:
        """Compose one canvas."""
        rows, columns = LAYOUTS[rng.choice(len(LAYOUTS), p=LAYOUT_SHARES)]
        if height > width:
            rows, columns = columns, rows
        images = np.empty((self.neighbours.num_frames, height, width, 3), np.uint8)
        cells = split(height, width, rows, columns, rng)
        parts = [self._fill(images, cell, rng) for cell in cells]
        persons, areas, ignored = (np.concatenate(part) for part in zip(*parts, strict=True))
        images = self._recolor(images, rng)
        key = len(images) // 2
        images[key] = self.colors.degrade(images[key], persons, rng)
        return Sample(images, persons, areas, ignored)

    def _fill(self, images: NDArray[np.uint8], cell: Cell, rng: np.random.Generator) -> People:
        """Warp one random window into a cell of all frames; return its people on the canvas."""
        x, y, width, height = cell
        room = images[:, y : y + height, x : x + width]
        skeleton = self.dataset.skeleton
        if rng.random() < self.blank_share:
            room[:] = rng.integers(0, 256, 3)
            return nobody(len(skeleton))
        frame = self.dataset.frames[rng.integers(len(self.dataset.frames))]
        window = as_video(
            read_window(frame, self.colors.neighbours(self.neighbours, rng)),
            self.colors.draw_turn(rng),
        )
        mirrored = bool(rng.random() < 0.5)
        matrix = random_matrix(frame, window[0].shape, cell, mirrored, self.max_rotation, rng)
        blue, green, red = rng.integers(0, 256, 3).tolist()
        for image, part in zip(window, room, strict=True):
            part[:] = warp(image, matrix, (height, width), (blue, green, red))
        order = skeleton.mirror if mirrored else None
        least = min(LEAST_JOINTS, len(skeleton))
        people = move_people(frame.labels, matrix, (height, width), order, least)
        return moved(people, x, y)

    def _recolor(self, images: NDArray[np.uint8], rng: np.random.Generator) -> NDArray[np.uint8]:
        """Change colours and sharpness, alike in all frames."""
        distortion = self.colors.draw_distortion(rng)
        for image in images:
            image[:] = distortion(image)
        if rng.random() < self.blur_share:
            sigma = rng.uniform(0.5, 2)
            for image in images:
                image[:] = blurred(image, sigma)
        if rng.random() < self.blur_share:
            sigma = rng.uniform(2, 10)
            for image in images:
                image[:] = noisy(image, sigma, rng)
        return images


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
    frame: LabelledFrame,
    shape: tuple[int, ...],
    cell: Cell,
    mirrored: bool,
    max_rotation: float,
    rng: np.random.Generator,
) -> Matrix:
    """Return the map from the window's pixels to the cell's, near one of its people."""
    _, _, width, height = cell
    zoom = max(width / shape[1], height / shape[0])
    zoom *= np.exp(rng.uniform(*np.log(ZOOM)))
    focus = np.array([shape[1] / 2, shape[0] / 2])
    persons = frame.labels.keypoints
    if len(persons):
        person = persons[rng.integers(len(persons))]
        known = person[person[:, 2] > 0, :2]
        if len(known):
            focus = focus + rng.uniform(0.2, 1) * (known.mean(0) - focus)
    degrees = np.clip(rng.normal(0, max_rotation / 2), -max_rotation, max_rotation)
    target = np.array([width, height]) * rng.uniform(0.35, 0.65, 2)
    mirror = scale(-1 if mirrored else 1, 1)
    return shift(*target) @ turn(degrees, (0, 0)) @ mirror @ scale(zoom, zoom) @ shift(*-focus)


def nobody(num_keypoints: int) -> People:
    """Return no people."""
    return People(
        np.zeros((0, num_keypoints, 3), np.float32),
        np.zeros(0, np.float32),
        np.zeros((0, 4), np.float32),
    )


def moved(people: People, x: int, y: int) -> People:
    """Return people of a cell on the canvas."""
    corner = np.array([x, y], np.float32)
    known = people.persons[..., 2:] > 0
    persons = people.persons.copy()
    persons[..., :2] += corner * known
    return People(persons, people.areas, people.ignore_boxes + np.tile(corner, 2))
