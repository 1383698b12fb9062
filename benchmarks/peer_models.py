"""
Our model and other people's: a picture in, its people out.

A peer does what its authors' programs do around the graph, preparing and decoding, and no more.
"""

import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Protocol

import cv2
import numpy as np
import onnxruntime as ort
from numpy.typing import NDArray
from stream import time_in_graphs

from pavenet_core.metrics.oks import MAX_PEOPLE
from pavenet_core.poses import Frame, Poses
from pavenet_core.runtime import PoseModel, VideoPoseEstimator
from pavenet_core.runtime.preprocess import FittedImage, ImageFitter
from pavenet_core.runtime.session import SessionConfig

Image = NDArray[np.uint8]
Floats = NDArray[np.float32]
MIN_SCORE = 0.01  # as low as for measuring AP; a robot would take a higher one


class Graph:
    """An ONNX graph under the same settings as ours; it notes how long it ran."""

    def __init__(self, path: Path, threads: int, spent: list[float]) -> None:
        if not path.is_file():
            raise ValueError(f'{path} is not there')
        options = SessionConfig(num_threads=threads).options()
        self.session = ort.InferenceSession(path, options, providers=['CPUExecutionProvider'])
        self.input = self.session.get_inputs()[0].name
        self.spent = spent

    def __call__(self, tensor: NDArray[Any]) -> list[Floats]:
        """Run it."""
        began = time.perf_counter()
        results = self.session.run(None, {self.input: tensor})
        self.spent.append(1e3 * (time.perf_counter() - began))
        return list(results)


class PosesIn(Protocol):
    """
    A model of people's poses; it need not use `places`.

    image   (h, w, 3) uint8 BGR
    places  (N, 4) x0, y0, x1, y1 of the people who are known to be there
    """

    def __call__(self, image: Image, places: Floats | None = None) -> Poses:
        """Return the people of a picture."""


class Ours:
    """Ours: the next frame of a video, with N people decoded if N places are given; or a still."""

    def __init__(self, name: str, threads: int) -> None:
        model = PoseModel(name, num_threads=threads)
        self.spent = time_in_graphs(model)
        self.estimator = VideoPoseEstimator(model, score_threshold=0.0)
        self.stamp_ns = 0

    def __call__(self, image: Image, places: Floats | None = None) -> Poses:
        """Push it."""
        if places is None:
            self.estimator.reset()
        self.estimator.max_people = MAX_PEOPLE if places is None else len(places)
        self.stamp_ns += 40_000_000
        poses = self.estimator.push(Frame(image, self.stamp_ns))
        assert poses is not None  # it looks at no later frame
        return poses


class MoveNetMultiPose:
    """Google's graph as published, decoding inside: one stage, never more than 6 people."""

    def __init__(self, folder: Path, long_side: int, threads: int, spent: list[float]) -> None:
        self.fit = ImageFitter(long_side, alignment=32)
        self.graph = Graph(folder / 'movenet-multipose.onnx', threads, spent)

    def __call__(self, image: Image, places: Floats | None = None) -> Poses:
        """Return its 6 guesses."""
        fitted = self.fit(image)
        people = self.graph(fitted.pixels[..., ::-1].astype(np.int32))[0][0]
        height, width = fitted.pixels.shape[1:3]
        keypoints = people[:, :51].reshape(-1, 17, 3)  # y, x as shares of the input, score
        points = keypoints[..., 1::-1] * np.array([width, height], np.float32)
        return to_poses(points * to_source(fitted, image), keypoints[..., 2], people[:, 55])


class Yolo11Pose:
    """Ultralytics' smallest: one stage, a guess at every cell, then non-maximum suppression."""

    def __init__(self, folder: Path, long_side: int, threads: int, spent: list[float]) -> None:
        self.fit = ImageFitter(long_side, alignment=32)
        self.graph = Graph(folder / 'yolo11n-pose.onnx', threads, spent)

    def __call__(self, image: Image, places: Floats | None = None) -> Poses:
        """Return the guesses that no better one covers."""
        fitted = self.fit(image)
        people = self.graph(rgb_planes(fitted.pixels) / np.float32(255))[0][0].T
        people = people[people[:, 4] > MIN_SCORE]  # centre, size, score, 17 times x, y, score
        corners = people[:, :2] - people[:, 2:4] / 2
        people = people[best_boxes(np.hstack([corners, people[:, 2:4]]), people[:, 4], 0.7)]
        keypoints = people[:, 5:].reshape(-1, 17, 3)
        points = keypoints[..., :2] * to_source(fitted, image)
        return to_poses(points, keypoints[..., 2], people[:, 4])


class NanoDet:
    """A detector of 80 kinds of things at 416x416, of which people are taken."""

    side, strides, bins = 416, (8, 16, 32), 11
    min_score = 0.05  # its authors'; below it are hundreds of boxes
    # Blue, green, red.
    mean = np.array([103.53, 116.28, 123.675], np.float32).reshape(3, 1, 1)
    deviation = np.array([57.375, 57.12, 58.395], np.float32).reshape(3, 1, 1)

    def __init__(self, folder: Path, threads: int, spent: list[float]) -> None:
        self.fit = ImageFitter(self.side, alignment=self.side)
        self.graph = Graph(folder / 'nanodet.onnx', threads, spent)

    def __call__(self, image: Image) -> tuple[Floats, Floats]:
        """Return boxes (N, 4) x0, y0, x1, y1 in the picture's pixels, and scores (N,)."""
        fitted = self.fit(image)
        planes = fitted.pixels.transpose(0, 3, 1, 2).astype(np.float32, order='C')
        planes -= self.mean
        planes /= self.deviation
        outputs = {(result.shape[1], result.shape[2]): result[0] for result in self.graph(planes)}
        found = [self.boxes_of(stride, outputs) for stride in self.strides]
        boxes, scores = (np.concatenate(parts) for parts in zip(*found, strict=True))
        kept = best_boxes(np.hstack([boxes[:, :2], boxes[:, 2:] - boxes[:, :2]]), scores, 0.6)
        scale = to_source(fitted, image)
        return boxes[kept] * np.hstack([scale, scale]), scores[kept]

    def boxes_of(
        self, stride: int, outputs: Mapping[tuple[int, int], Floats]
    ) -> tuple[Floats, Floats]:
        """Return one level's boxes: cell centres, and four distances as sums over bins."""
        cells = self.side // stride
        scores = outputs[cells**2, 80][:, 0]
        likely = np.flatnonzero(scores > self.min_score)
        bins = np.exp(outputs[cells**2, 4 * self.bins][likely].reshape(-1, 4, self.bins))
        distances = bins @ np.arange(self.bins, dtype=np.float32) / bins.sum(-1) * stride
        centres = (np.stack([likely % cells, likely // cells], 1) + 0.5) * stride
        boxes = np.hstack([centres - distances[:, :2], centres + distances[:, 2:]])
        return boxes.astype(np.float32), scores[likely]


class TopDown:
    """
    A detector, then MoveNet SinglePose on every person's square; its graph takes one at a time.

    Places are taken instead of the detector's boxes, but the detector runs all the same.
    """

    margin = 1.25

    def __init__(self, folder: Path, crop_model: str, threads: int, spent: list[float]) -> None:
        self.detect = NanoDet(folder, threads, spent)
        self.graph = Graph(folder / f'{crop_model}.onnx', threads, spent)
        self.side = int(self.graph.session.get_inputs()[0].shape[1])

    def __call__(self, image: Image, places: Floats | None = None) -> Poses:
        """Return a pose in every box."""
        boxes, scores = self.detect(image)
        if places is not None:
            boxes, scores = places, np.ones(len(places), np.float32)
        boxes, scores = boxes[:MAX_PEOPLE], scores[:MAX_PEOPLE]
        keypoints = np.zeros((len(boxes), 17, 3), np.float32)
        for pose, box in zip(keypoints, boxes, strict=True):
            pose[:] = self.pose_in(image, box)
        sure = keypoints[..., 2].mean(1)
        return to_poses(keypoints[..., :2], keypoints[..., 2], scores * sure)

    def pose_in(self, image: Image, box: Floats) -> Floats:
        """Return x, y in the picture's pixels and score of 17 keypoints."""
        reach = max(1.0, self.margin * float(max(box[2:] - box[:2])))
        corner = (box[:2] + box[2:]) / 2 - reach / 2
        scale = self.side / reach
        turn = np.float32([[scale, 0, -scale * corner[0]], [0, scale, -scale * corner[1]]])
        crop = cv2.warpAffine(image, turn, (self.side, self.side), flags=cv2.INTER_LINEAR)
        pose = self.graph(crop[None, ..., ::-1].astype(np.int32))[0][0, 0]  # y, x, score
        return np.hstack([pose[:, 1::-1] * reach + corner, pose[:, 2:]])


def rgb_planes(pixels: Image) -> Floats:
    """Turn (1, H, W, 3) BGR into (1, 3, H, W) RGB."""
    return np.ascontiguousarray(pixels[..., ::-1].transpose(0, 3, 1, 2), np.float32)


def to_source(fitted: FittedImage, image: Image) -> Floats:
    """Return what turns x, y of a fitted picture into those of the source."""
    height, width = fitted.valid_size[0]
    return np.array([image.shape[1] / width, image.shape[0] / height], np.float32)


def best_boxes(boxes: Floats, scores: Floats, overlap: float) -> NDArray[np.intp]:
    """Return which of the boxes x, y, width, height no better one covers so far."""
    kept = cv2.dnn.NMSBoxes(boxes.tolist(), scores.tolist(), MIN_SCORE, overlap)
    return np.asarray(kept, np.intp).ravel()


def to_poses(points: Floats, keypoint_scores: Floats, scores: Floats) -> Poses:
    """Put the best people first."""
    return Poses(0, points, keypoint_scores, scores).take(np.argsort(-scores)[:MAX_PEOPLE])
