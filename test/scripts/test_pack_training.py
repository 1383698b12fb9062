"""Training pictures packed, restored elsewhere, and read as before."""

import gzip
import json
import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest

from pavenet_core.data.dataset import Neighbours
from pavenet_core.data.read import read_dataset
from pavenet_core.skeleton import COCO17
from pavenet_core.train.window import read_window

pytest.importorskip('imageio_ffmpeg', reason='packing needs imageio-ffmpeg')

SCRIPT = Path(__file__).parents[2] / 'scripts' / 'pack_training.py'
LENGTH, LABELLED = 7, 3  # frames of the clip, and which of them has people


def picture(number: int) -> np.ndarray:
    """Draw a soft ramp with a disc whose place tells the number."""
    image = np.empty((48, 64, 3), np.uint8)
    image[:] = np.linspace(60, 180, 64)[:, None]
    cv2.circle(image, (8 + 7 * number, 24), 6, (30, 90, 220), -1)
    return image


def disc(image: np.ndarray) -> float:
    """Find the number of a picture again."""
    red = image[..., 2].astype(int) - image[..., 0]
    return (np.nonzero(red > 90)[1].mean() - 8) / 7


@pytest.fixture
def data(tmp_path: Path) -> Path:
    folder = tmp_path / 'data'
    images = []
    for number in range(2):
        images.append({'id': number + 1, 'file_name': f'stills/{number}.jpg'})
    for frame in range(LENGTH):
        about = {'video_id': 1, 'frame_id': frame, 'is_labeled': frame == LABELLED}
        images.append({'id': 10 + frame, 'file_name': f'walk/{frame:05d}.jpg', **about})
    for image in images:
        number = image.get('frame_id', 5 + image['id'] % 2)
        image |= {'width': 64, 'height': 48}
        path = folder / image['file_name']
        path.parent.mkdir(parents=True, exist_ok=True)
        cv2.imwrite(str(path), picture(number), [cv2.IMWRITE_JPEG_QUALITY, 95])
    person = np.column_stack([np.linspace(5, 60, 17), np.linspace(5, 40, 17), np.full(17, 2)])
    people = [
        {
            'id': image_id,
            'image_id': image_id,
            'category_id': 1,
            'iscrowd': 0,
            'num_keypoints': 17,
            'keypoints': person.ravel().tolist(),
            'bbox': [5, 5, 55, 35],
            'area': 1900.0,
        }
        for image_id in (1, 2, 10 + LABELLED)
    ]
    category = {'id': 1, 'name': 'person', 'keypoints': list(COCO17.names), 'skeleton': []}
    labels = {
        'images': images,
        'videos': [{'id': 1, 'name': 'walk'}],
        'annotations': people,
        'categories': [category],
    }
    (folder / 'train.json').write_text(json.dumps(labels))
    return folder


def run(*words: object) -> str:
    done = subprocess.run(
        [sys.executable, SCRIPT, *map(str, words)], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_pictures_and_labels_come_back_under_their_names(data: Path, tmp_path: Path) -> None:
    packed, restored = tmp_path / 'packed', tmp_path / 'restored'
    assert '2 stills, 1 clips' in run('pack', data, packed)
    files = {str(p.relative_to(packed)) for p in packed.rglob('*') if p.is_file()}
    assert files == {'train.json.gz', 'stills/0.jpg', 'stills/1.jpg', 'walk.mp4'}
    assert '5 pictures of 2 stills and 1 clips' in run('restore', packed, restored)
    names = {str(p.relative_to(restored)) for p in restored.rglob('*.jpg')}
    clip = {f'walk/{LABELLED + step:05d}.jpg' for step in (-1, 0, 1)}
    assert names == {'stills/0.jpg', 'stills/1.jpg', *clip}
    for name in names:
        before, after = (cv2.imread(str(folder / name)) for folder in (data, restored))
        assert after.shape == before.shape
        assert np.abs(before.astype(int) - after).mean() < 8
        assert disc(after) == pytest.approx(disc(before), abs=0.15)


def test_training_reads_the_same_windows_of_three(data: Path, tmp_path: Path) -> None:
    run('pack', data, tmp_path / 'packed')
    run('restore', tmp_path / 'packed', tmp_path / 'restored')
    before, after = (
        read_dataset(folder / 'train.json', folder) for folder in (data, tmp_path / 'restored')
    )
    frames = [
        [f for f in dataset.frames if len(f.labels.keypoints)] for dataset in (before, after)
    ]
    assert len(frames[0]) == len(frames[1]) == 3
    for one, other in zip(*frames, strict=True):
        np.testing.assert_array_equal(one.labels.keypoints, other.labels.keypoints)
        numbers = [
            [disc(image) for image in read_window(frame, Neighbours(3))] for frame in (one, other)
        ]
        np.testing.assert_allclose(*numbers, atol=0.15)
    assert numbers[0] == pytest.approx([2, 3, 4], abs=0.2)


def test_a_clip_of_too_few_frames_is_named(data: Path, tmp_path: Path) -> None:
    packed = tmp_path / 'packed'
    run('pack', data, packed)
    with gzip.open(packed / 'train.json.gz', 'rt') as file:
        labels = json.load(file)
    more = {'id': 99, 'file_name': 'walk/00009.jpg', 'video_id': 1, 'frame_id': 9}
    labels['images'].append(more | {'is_labeled': True, 'width': 64, 'height': 48})
    with gzip.open(packed / 'train.json.gz', 'wt') as file:
        json.dump(labels, file)
    done = subprocess.run(
        [sys.executable, SCRIPT, 'restore', packed, tmp_path / 'restored'],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 1
    assert 'walk.mp4 ends at frame 3; pack it again' in done.stderr
