import json
import subprocess
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from pavenet_core.cli import main

pytest.importorskip('pycocotools')

# The stand-in model puts the keypoints of its people at the picture's brightness, but the last.
BRIGHTNESS, SIZE = 153, (600, 400)


@pytest.fixture
def labelled(tmp_path: Path) -> tuple[Path, Path]:
    """Give a folder with one picture, labelled where the stand-in sees its best person."""
    images = tmp_path / 'images'
    images.mkdir()
    pillow = pytest.importorskip('PIL.Image')
    exif = pillow.Exif()
    exif[0x0112] = 6  # asks viewers for a quarter turn, which labels know nothing of
    picture = pillow.new('RGB', SIZE, (BRIGHTNESS,) * 3)
    picture.save(images / 'a.jpg', exif=exif)
    picture.save(images / 'not_listed.jpg')
    keypoints = np.tile(np.array([*SIZE, 0]) * BRIGHTNESS / 255 + [0, 0, 2], (17, 1))
    keypoints[-1] = [0.2 * SIZE[0], 0.2 * SIZE[1], 2]
    person = {'id': 1, 'image_id': 7, 'category_id': 1, 'keypoints': keypoints.ravel().tolist()}
    person |= {'num_keypoints': 17, 'area': 9999.0, 'bbox': [0, 0, 400, 300], 'iscrowd': 0}
    truth = {
        'images': [{'id': 7, 'file_name': 'a.jpg'}],
        'categories': [{'id': 1, 'name': 'person'}],
        'annotations': [person],
    }
    annotations = tmp_path / 'person_keypoints.json'
    annotations.write_text(json.dumps(truth))
    return images, annotations


def test_the_accuracy_is_printed_and_written(
    stand_in: Path,
    labelled: tuple[Path, Path],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    images, annotations = labelled
    out = tmp_path / 'accuracy.json'
    words = ['evaluate', '--images', str(images), '--annotations', str(annotations)]
    assert main([*words, '--model', str(stand_in), '--json', str(out)]) == 0
    report = json.loads(out.read_text())
    assert report['images'] == 1
    assert [report[name] for name in ('AP', 'AP50', 'AP75', 'AR')] == pytest.approx([1] * 4)
    text = capsys.readouterr().out
    assert 'stand-in on 1 images' in text
    assert 'AP_medium' in text


def test_a_listed_picture_that_is_missing_is_one_sentence(
    stand_in: Path,
    labelled: tuple[Path, Path],
    run_pavenet: Callable[..., subprocess.CompletedProcess[str]],
) -> None:
    images, annotations = labelled
    (images / 'a.jpg').unlink()
    words = ['evaluate', '--images', images, '--annotations', annotations]
    result = run_pavenet(*words, '--model', stand_in)
    assert result.returncode == 1
    assert 'a.jpg cannot be read as a picture' in result.stderr
    assert result.stderr.count('\n') == 1


def test_labels_that_cannot_be_read_are_one_sentence(
    stand_in: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ['evaluate', '--images', str(tmp_path), '--annotations', str(tmp_path / 'no.json')]
    assert main([*words, '--model', str(stand_in)]) == 1
    assert 'no.json is not a COCO keypoint file' in capsys.readouterr().err
