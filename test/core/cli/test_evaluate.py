import json
import subprocess
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from pavenet_core.cli import evaluate, main
from pavenet_core.evaluation import windows
from pavenet_core.evaluation.windows import WINDOWS
from pavenet_core.skeleton import COCO17, POSETRACK15

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
        'categories': [{'id': 1, 'name': 'person', 'keypoints': list(COCO17.names)}],
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
    assert '\nby CPUExecutionProvider\n' in text
    assert 'stand-in on 1 images' in text
    assert 'AP_medium' in text


def test_the_page_is_written_and_windows_are_compared(
    stand_in: Path,
    labelled: tuple[Path, Path],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    pytest.importorskip('matplotlib')
    images, annotations = labelled
    out, page = tmp_path / 'accuracy.json', tmp_path / 'page.html'
    words = ['evaluate', '--images', str(images), '--annotations', str(annotations)]
    words += ['--model', str(stand_in), '--json', str(out), '--report', str(page), '--temporal']
    assert main(words) == 0
    rows = json.loads(out.read_text())['temporal']
    assert len(rows) == 15
    assert rows[0] == {
        'key_frame': 'clean',
        'window': 'causal',
        **{'AP': pytest.approx(1), 'AP50': pytest.approx(1), 'AR': pytest.approx(1)},
        **{'missed': 0, 'jitter': None},
    }
    text = page.read_text()
    assert f'pavenet evaluate --images {images}' in text
    assert '--temporal' in text
    assert capsys.readouterr().out.count('darkness') == 3


@pytest.fixture
def sequence(tmp_path: Path) -> tuple[Path, Path]:
    """Give pictures of 50, 100 and 150, and PoseTrack18 files that label the second."""
    cv2 = pytest.importorskip('cv2')
    folder = tmp_path / 'images' / 'val' / '000001_test'
    folder.mkdir(parents=True)
    for i in range(3):
        cv2.imwrite(str(folder / f'{i:06d}.jpg'), np.full((40, 60, 3), 50 * (i + 1), np.uint8))
    slots = ['nose', 'head_bottom', 'head_top', 'left_ear', 'right_ear', *POSETRACK15.names[3:]]
    keypoints = np.column_stack([np.linspace(5, 50, 17), np.linspace(5, 35, 17), np.ones(17)])
    keypoints[3:5] = 0
    person = {'id': 1, 'image_id': 11, 'category_id': 1, 'track_id': 0}
    person |= {'keypoints': keypoints.ravel().tolist(), 'bbox': [5, 5, 45, 30]}
    person |= {'bbox_head': [5, 5, 10, 10]}
    images = [
        {'id': 10 + i, 'file_name': f'images/val/000001_test/{i:06d}.jpg', 'is_labeled': i == 1}
        for i in range(3)
    ]
    categories = [{'id': 1, 'name': 'person', 'keypoints': slots}]
    truth = {'images': images, 'categories': categories, 'annotations': [person]}
    annotations = tmp_path / 'annotations'
    annotations.mkdir()
    (annotations / '000001_test.json').write_text(json.dumps(truth))
    return tmp_path, annotations


@pytest.fixture
def posetrack_stand_in(
    write_bundle: Callable[..., Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Path:
    """Give the stand-in with PoseTrack's joints."""
    monkeypatch.setitem(write_bundle.__globals__, 'COCO17', POSETRACK15)
    monkeypatch.setitem(write_bundle.__globals__, 'K', len(POSETRACK15))
    return write_bundle(tmp_path / 'stand_in')


def test_posetrack_labels_get_posetracks_ap(
    posetrack_stand_in: Path,
    sequence: tuple[Path, Path],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    images, annotations = sequence
    out = tmp_path / 'accuracy.json'
    words = ['evaluate', '--images', str(images), '--annotations', str(annotations)]
    assert main([*words, '--model', str(posetrack_stand_in), '--json', str(out)]) == 0
    report = json.loads(out.read_text())
    assert (report['images'], report['window']) == (1, 'causal')
    assert set(report['posetrack']) >= {'Head', 'Shou', 'Total', 'left_wrist'}
    assert 'PoseTrack AP, percent' in capsys.readouterr().out


def test_labels_of_another_skeleton_are_one_sentence(
    stand_in: Path, sequence: tuple[Path, Path], capsys: pytest.CaptureFixture[str]
) -> None:
    images, annotations = sequence
    words = ['evaluate', '--images', str(images), '--annotations', str(annotations)]
    assert main([*words, '--model', str(stand_in)]) == 1
    message = capsys.readouterr().err
    assert 'labels the 15 keypoints of posetrack15, but the model gives the 17 of' in message
    assert 'labels lack left_eye, right_eye, left_ear, ...; answers lack head_bottom' in message
    assert message.count('\n') == 1


@pytest.mark.parametrize(
    ('words', 'complaint'),
    [
        (['--frame-step', '0'], '--frame-step must be 1 or more, got 0'),
        (['--interval', 'nan'], '--interval must be above 0 and finite, got nan'),
        (['--score-threshold', '2'], '--score-threshold must be in [0, 1], got 2.0'),
        (['--json', 'nowhere/a.json'], 'the folder of nowhere/a.json does not exist'),
        (['--json', '/tmp'], '/tmp is a folder; give the name of a file in it'),
    ],
)
def test_impossible_values_are_one_sentence(
    words: list[str],
    complaint: str,
    stand_in: Path,
    labelled: tuple[Path, Path],
    capsys: pytest.CaptureFixture[str],
) -> None:
    images, annotations = labelled
    command = ['evaluate', '--images', str(images), '--annotations', str(annotations)]
    assert main([*command, '--model', str(stand_in), *words]) == 1
    assert complaint in capsys.readouterr().err


def test_a_model_without_windows_is_refused_before_the_work(
    write_bundle: Callable[..., Path],
    labelled: tuple[Path, Path],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    images, annotations = labelled
    monkeypatch.setattr(windows, 'find_people', lambda *_: pytest.fail('it worked'))
    words = ['evaluate', '--images', str(images), '--annotations', str(annotations)]
    model = write_bundle(tmp_path / 'one', num_frames=1)
    assert main([*words, '--model', str(model), '--temporal']) == 1
    assert 'stand-in sees one frame: there are no windows' in capsys.readouterr().err


def test_the_command_knows_all_windows() -> None:
    assert evaluate.WINDOWS == WINDOWS


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
    assert 'no picture a.jpg below' in result.stderr
    assert result.stderr.count('\n') == 1


def test_labels_that_cannot_be_read_are_one_sentence(
    stand_in: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ['evaluate', '--images', str(tmp_path), '--annotations', str(tmp_path / 'no.json')]
    assert main([*words, '--model', str(stand_in)]) == 1
    assert 'no.json: it does not exist' in capsys.readouterr().err
