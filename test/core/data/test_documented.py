"""What docs/data.md tells people to write is read."""

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from pavenet_core.data.read import read_dataset
from pavenet_core.data.selection import for_training

PAGE = Path(__file__).parents[3] / 'docs' / 'data.md'


def test_own_labels(
    tmp_path: Path,
    write_json: Callable[[Path, Any], Path],
    write_video: Callable[..., Path],
) -> None:
    example = re.search(r'```json\n(.*?)```', PAGE.read_text(encoding='utf-8'), re.DOTALL)
    assert example is not None
    labels = write_json(tmp_path / 'labels.json', json.loads(example[1]))
    write_video(tmp_path / 'media/walk.avi', 20).rename(tmp_path / 'media/walk.mp4')
    cv2.imwrite(str(tmp_path / 'media/still.jpg'), np.zeros((48, 64, 3), np.uint8))
    dataset = read_dataset(labels, tmp_path / 'media')
    assert dataset.skeleton.flip_pairs == ((1, 2),)
    walk, still = for_training(dataset).frames
    assert (len(walk.clip.files), walk.index) == (5, 2)
    assert walk.labels.keypoints[0, :, 2].tolist() == [1, 1, 0]
    assert still.labels.keypoints[..., 2].tolist() == [[1, 1, 1], [0, 0, 0]]
