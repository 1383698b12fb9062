import json
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pavenet_core.cli import main
from pavenet_core.video import VideoWriter, open_sources, write_image

SIZE = (64, 48)


def picture(brightness: int) -> np.ndarray:
    return np.full((SIZE[1], SIZE[0], 3), brightness, np.uint8)


@pytest.fixture
def video(tmp_path: Path) -> Path:
    path = tmp_path / 'walk.mp4'
    with VideoWriter(path, 25) as writer:
        for i in range(4):
            writer.write(picture(40 + 40 * i))
    return path


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    path = tmp_path / 'photos'
    path.mkdir()
    for name, brightness in (('a.png', 50), ('b.png', 100)):
        write_image(path / name, picture(brightness))
    return path


def predict(model: Path, out: Path, *words: object) -> dict[str, Any]:
    code = main(['predict', '--model', str(model), '--out', str(out), *map(str, words)])
    assert code == 0
    return json.loads(out.read_text())


def window_of(frame: dict[str, Any]) -> list[int]:
    """Read the brightness of the frames that the stand-in model saw."""
    keypoints = frame['poses'][0]['keypoints'][:3]
    return [round(x / SIZE[0] * 255) for x, _, _ in keypoints]


def test_a_video_becomes_json(stand_in: Path, video: Path, tmp_path: Path) -> None:
    answer = predict(stand_in, tmp_path / 'new' / 'poses.json', video)
    assert (answer['model'], answer['skeleton']) == ('stand-in', 'coco17')
    frames = answer['frames']
    assert [frame['frame'] for frame in frames] == [0, 1, 2, 3]
    assert [frame['stamp_ns'] for frame in frames] == [0, 40_000_000, 80_000_000, 120_000_000]
    assert window_of(frames[2]) == pytest.approx([80, 120, 120], abs=4)
    person = frames[0]['poses'][0]
    assert person['id'] == '1'
    assert person['score'] == 0.9
    assert len(person['keypoints']) == 17
    x, y, width, height = person['bbox']
    points = np.array(person['keypoints'])[:, :2]
    np.testing.assert_allclose([x, y], points.min(axis=0), atol=0.02)
    np.testing.assert_allclose([x + width, y + height], points.max(axis=0), atol=0.02)


def test_lookahead_answers_every_frame_too(stand_in: Path, video: Path, tmp_path: Path) -> None:
    frames = predict(stand_in, tmp_path / 'poses.json', video, '--lookahead', 1)['frames']
    assert [frame['frame'] for frame in frames] == [0, 1, 2, 3]
    assert window_of(frames[1]) == pytest.approx([40, 80, 120], abs=4)


def test_pictures_of_a_folder_are_stills(stand_in: Path, folder: Path, tmp_path: Path) -> None:
    frames = predict(stand_in, tmp_path / 'poses.json', folder, '--lookahead', 1)['frames']
    assert [window_of(frame) for frame in frames] == [[50, 50, 50], [100, 100, 100]]
    assert {person['id'] for frame in frames for person in frame['poses']} == {''}
    assert [Path(frame['source']).name for frame in frames] == ['a.png', 'b.png']


def test_ids_follow_people_unless_not_wanted(stand_in: Path, video: Path, tmp_path: Path) -> None:
    frames = predict(stand_in, tmp_path / 'poses.json', video)['frames']
    assert [frame['poses'][0]['id'] for frame in frames] == ['1'] * 4
    frames = predict(stand_in, tmp_path / 'poses.json', video, '--no-ids')['frames']
    assert [frame['poses'][0]['id'] for frame in frames] == [''] * 4


def test_the_threshold_leaves_people_out_but_no_frame(
    stand_in: Path, folder: Path, tmp_path: Path
) -> None:
    answer = predict(stand_in, tmp_path / 'poses.json', folder, '--score-threshold', 1)
    assert [frame['poses'] for frame in answer['frames']] == [[], []]


def test_the_people_are_drawn_on_a_video(stand_in: Path, video: Path, tmp_path: Path) -> None:
    drawn = tmp_path / 'drawn.mp4'
    predict(stand_in, tmp_path / 'poses.json', video, '--video', drawn)
    [source] = open_sources(drawn)
    frames = list(source.frames())
    assert (source.fps, len(frames)) == (25, 4)
    assert all(frame.image.std() > 1 for frame in frames)  # the source is of one color


def test_the_people_are_drawn_on_pictures_and_video_frames(
    stand_in: Path, video: Path, folder: Path, tmp_path: Path
) -> None:
    drawn = tmp_path / 'drawn'
    predict(stand_in, tmp_path / 'poses.json', folder, video, '--images', drawn)
    names = sorted(path.name for path in drawn.iterdir())
    assert names == ['a.png', 'b.png', *(f'walk_{i:06d}.jpg' for i in range(4))]


def test_the_command_says_what_it_wrote(
    stand_in: Path, folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    predict(stand_in, tmp_path / 'poses.json', folder)
    text = capsys.readouterr().out
    assert text.startswith('2 frames, 6 people, ')
    assert f'wrote {tmp_path / "poses.json"}' in text


def test_a_video_that_ends_too_early_is_told_of(
    stand_in: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    whole, cut = tmp_path / 'whole.avi', tmp_path / 'cut.avi'
    with VideoWriter(whole, 25) as writer:
        for i in range(50):
            writer.write(picture(2 * i))
    data = whole.read_bytes()
    cut.write_bytes(data[: len(data) // 2])
    predict(stand_in, tmp_path / 'poses.json', whole)
    assert 'announces' not in capsys.readouterr().out
    predict(stand_in, tmp_path / 'poses.json', cut)
    note = capsys.readouterr().out.splitlines()[1]
    assert note.startswith(f'{cut} could be read for ')
    assert note.endswith(' s of the 2.0 s that it announces; it may be damaged or cut short')


@pytest.mark.parametrize(
    ('words', 'message'),
    [
        (['missing.mp4'], 'missing.mp4 does not exist'),
        (['broken.mp4'], 'broken.mp4 cannot be read as a video'),
        (['broken.jpg'], 'broken.jpg cannot be read as a picture'),
        (['walk.mp4', '--model', 'nothing'], "no model 'nothing'"),
        (['walk.mp4', '--lookahead', '9'], 'lookahead must be 0 to 1'),
        (['walk.mp4', '--device', 'cuda'], "device 'cuda' is not there"),
        (['photos', '--video', 'a.mp4'], '--video draws one video'),
        (['walk.mp4', 'walk.mp4', '--video', 'a.mp4'], '--video draws one video'),
        (['walk.mp4', '--video', 'walk.mp4'], 'is also an input'),
        (['photos', '--images', 'photos'], 'is also an input'),
        (['photos', 'photos', '--images', 'drawn'], 'of the same name'),
        (['walk.mp4', '--out', 'photos'], 'photos is a folder'),
        (['walk.mp4', '--out', '/proc/poses.json'], 'cannot write /proc/poses.json: No such file'),
        (['walk.mp4', '--out', 'broken.jpg/a.json'], 'cannot make the folder broken.jpg: File'),
        (['walk.mp4', '--images', 'broken.jpg'], 'cannot make the folder broken.jpg: File exists'),
    ],
)
def test_bad_input_is_one_sentence_and_leaves_the_inputs_alone(
    stand_in: Path,
    video: Path,
    folder: Path,
    run_pavenet: Callable[..., subprocess.CompletedProcess[str]],
    words: list[str],
    message: str,
) -> None:
    (video.parent / 'broken.mp4').write_bytes(b'no video' * 999)
    (video.parent / 'broken.jpg').write_bytes(b'no picture')
    inputs = {path: path.read_bytes() for path in (video, *folder.iterdir())}
    result = run_pavenet('predict', '--model', stand_in, *words, folder=video.parent)
    assert result.returncode == 1
    assert message in result.stderr
    assert result.stderr.count('\n') == 1
    assert {path: path.read_bytes() for path in inputs} == inputs
