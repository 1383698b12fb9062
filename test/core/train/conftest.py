"""Labelled windows made of coloured dots."""

import json
from pathlib import Path

import cv2
import numpy as np
import pytest

from pavenet_core.skeleton import COCO17

COLOURS = [
    tuple(
        int(v)
        for v in cv2.cvtColor(np.uint8([[[170 * k // 17, 255, 255]]]), cv2.COLOR_HSV2BGR)[0, 0]
    )
    for k in range(len(COCO17))
]


def dotted_person(rng: np.random.Generator) -> np.ndarray:
    """Place 17 keypoints on a grid of 5 by 4, each moved a little."""
    cells = np.stack(np.meshgrid(np.arange(5), np.arange(4)), -1).reshape(-1, 2)[:17]
    return 40 + 44.0 * cells + rng.uniform(-6, 6, (17, 2))


@pytest.fixture(scope='session')
def windows_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Write stills and three-frame windows of one dotted person each, with one ignored box."""
    folder = tmp_path_factory.mktemp('windows')
    rng = np.random.default_rng(0)
    lines = []
    for index in range(6):
        person = dotted_person(rng)
        names = []
        for frame in range(1 if index % 2 else 3):
            image = np.full((240, 320, 3), 128, np.uint8)
            for (x, y), colour in zip(person, COLOURS, strict=True):
                cv2.circle(image, (round(x), round(y)), 9, colour, -1)
            names.append(f'{index}_{frame}.png')
            cv2.imwrite(str(folder / names[-1]), image)
        known = [[x, y, 1] for x, y in person.tolist()]
        lines.append(
            {
                'frames': names,
                'key': len(names) // 2,
                'persons': [known],
                'ignore_boxes': [[280, 200, 310, 230]],
            }
        )
    path = folder / 'windows.jsonl'
    path.write_text(''.join(json.dumps(line) + '\n' for line in lines))
    return path


@pytest.fixture(scope='session')
def keypoint_colours() -> list[tuple[int, int, int]]:
    """Give the colour of each keypoint's dot, BGR."""
    return COLOURS


@pytest.fixture
def small_shards(monkeypatch: pytest.MonkeyPatch) -> None:
    """Make cache shards of 8 small canvases."""
    from pavenet_core.train import feature_cache

    monkeypatch.setattr(feature_cache, 'SHARD', 8)
    monkeypatch.setattr(feature_cache, 'CANVAS', (128, 160))
