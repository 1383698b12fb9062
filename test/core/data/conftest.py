"""Small twins of each layout: the official names, a few grey pictures, made-up people."""

import json
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from pavenet_core.skeleton import COCO17, POSETRACK_SLOT_NAMES

SIZE = (64, 48)  # width, height


def write_picture(path: Path, brightness: int) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    image = np.full((SIZE[1], SIZE[0], 3), brightness, np.uint8)
    assert cv2.imwrite(str(path), image)


@pytest.fixture
def write_pictures() -> Callable[..., None]:
    """Give a writer of numbered pictures, each as bright as ten times its place in the folder."""

    def write(folder: Path, numbers: Iterable[int], digits: int = 6) -> None:
        for place, number in enumerate(numbers):
            write_picture(folder / f'{number:0{digits}d}.jpg', 10 * place)

    return write


@pytest.fixture
def write_json() -> Callable[[Path, Any], Path]:
    """Give a writer that makes the folders too."""

    def write(path: Path, data: Any) -> Path:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(data))
        return path

    return write


@pytest.fixture
def write_video() -> Callable[..., Path]:
    """Give a writer of videos whose frame n is 8 n bright."""

    def write(path: Path, frames: int, fps: float = 20.0) -> Path:
        path.parent.mkdir(parents=True, exist_ok=True)
        writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*'MJPG'), fps, SIZE)
        for number in range(frames):
            writer.write(np.full((SIZE[1], SIZE[0], 3), 8 * number, np.uint8))
        writer.release()
        return path

    return write


def posetrack18_keypoints() -> list[float]:
    """Place keypoint k at (k + 1, 2 k + 1); the ears are unused, the right ankle is unknown."""
    values: list[float] = []
    for k in range(17):
        values += [0, 0, 0] if k in (3, 4, 16) else [k + 1, 2 * k + 1, 1]
    return values


@pytest.fixture
def posetrack18_file() -> dict[str, Any]:
    """Give one sequence's file as PoseTrack18 has it: frames 0 to 4, of which 1 is labelled."""
    return {
        'categories': [
            {
                'supercategory': 'person',
                'id': 1,
                'name': 'person',
                'keypoints': list(POSETRACK_SLOT_NAMES),
                'skeleton': [[16, 14], [14, 12]],
            }
        ],
        'images': [
            {
                'has_no_densepose': True,
                'is_labeled': number == 1,
                'file_name': f'images/val/000342_mpii_test/{number:06d}.jpg',
                'nframes': 5,
                'frame_id': 10003420000 + number,
                'vid_id': '000342',
                'ignore_regions_x': [[0, 10, 10], [20, 30]] if number == 1 else [],
                'ignore_regions_y': [[0, 0, 10], [20, 30]] if number == 1 else [],
                'id': 10003420000 + number,
            }
            for number in range(5)
        ],
        'annotations': [
            {
                'bbox_head': [1, 2, 3, 4],
                'keypoints': posetrack18_keypoints(),
                'track_id': 7,
                'image_id': 10003420001,
                'bbox': [1, 1, 20, 40],
                'scores': [],
                'category_id': 1,
                'id': 1000342000100,
            },
            {
                'keypoints': posetrack18_keypoints(),
                'track_id': 8,
                'image_id': 10003420002,  # of a frame that is not labelled
                'category_id': 1,
                'id': 1000342000200,
            },
        ],
    }


def posetrack17_person(points: Iterable[tuple[int, float, float]]) -> dict[str, Any]:
    return {
        'x1': [5],
        'y1': [6],
        'x2': [15],
        'y2': [26],
        'track_id': [3],
        'annopoints': [
            {
                'point': [
                    {'id': [number], 'x': [x], 'y': [y], 'is_visible': [number % 2]}
                    for number, x, y in points
                ]
            }
        ],
    }


@pytest.fixture
def posetrack17_file() -> dict[str, Any]:
    """Give one sequence's file as mat2json writes it: frames 1 to 4, of which 1 and 2 labelled."""
    people = {
        1: [posetrack17_person([(0, 40, 44), (13, 12, 10), (14, 13, 5)])],
        2: [{**posetrack17_person([]), 'annopoints': []}],
    }
    region = {'point': [{'x': [x], 'y': [y]} for x, y in ((0, 0), (9, 0), (9, 9), (0, 9))]}
    return {
        'annolist': [
            {
                'image': [{'name': f'images/bonn_5sec/000342_mpii/{number:08d}.jpg'}],
                'annorect': people.get(number, []),
                'imgnum': [number],
                'is_labeled': [int(number in people)],
                'ignore_regions': [region] if number == 1 else [],
            }
            for number in range(1, 5)
        ]
    }


def coco_keypoints(names: int = 17) -> list[float]:
    values: list[float] = []
    for k in range(names):
        values += [k + 2, 2 * k + 3, 2 - k % 2]
    return values


@pytest.fixture
def coco_file() -> dict[str, Any]:
    """Give stills as COCO labels them: a person and a crowd in 7, nobody in 9."""
    return {
        'categories': [{'id': 1, 'name': 'person', 'keypoints': list(COCO17.names)}],
        'images': [
            {'id': 9, 'file_name': '000000000009.jpg', 'width': SIZE[0], 'height': SIZE[1]},
            {'id': 7, 'file_name': '000000000007.jpg', 'width': SIZE[0], 'height': SIZE[1]},
        ],
        'annotations': [
            {
                'id': 1,
                'image_id': 7,
                'category_id': 1,
                'keypoints': coco_keypoints(),
                'num_keypoints': 17,
                'bbox': [2, 3, 16, 32],
                'area': 300.5,
                'iscrowd': 0,
            },
            {
                'id': 2,
                'image_id': 7,
                'category_id': 1,
                'keypoints': [0] * 51,
                'num_keypoints': 0,
                'bbox': [30, 0, 30, 40],
                'area': 900,
                'iscrowd': 1,
            },
        ],
    }
