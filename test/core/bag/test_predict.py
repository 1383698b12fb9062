"""`pavenet predict` on bags, with the stand-in model, whose answers tell what it saw."""

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from rosbags.rosbag2 import Reader

from pavenet_core.bag.messages import message_types
from pavenet_core.cli import main
from pavenet_core.skeleton import COCO17
from pavenet_core.video import open_sources, write_image

Predict = Callable[..., str]
REPOSITORY = Path(__file__).parents[3]


def window_of(frame: dict[str, Any]) -> list[int]:
    """Read the brightness of the frames that the stand-in model saw."""
    return [round(x / 64 * 255) for x, _, _ in frame['poses'][0]['keypoints'][:3]]


def messages_of(bag: Path) -> list[tuple[str, int, Any]]:
    with Reader(bag) as reader:
        return [
            (connection.topic, time, message_types().deserialize_cdr(data, connection.msgtype))
            for connection, time, data in reader.messages()
        ]


def test_every_image_is_answered_with_its_stamp(
    stand_in: Path, bag: Path, bags: Any, tmp_path: Path, predict: Predict
) -> None:
    frames = json.loads(predict(stand_in, tmp_path / 'a.json', bag))['frames']
    assert [frame['frame'] for frame in frames] == list(range(6))
    assert [frame['stamp_ns'] for frame in frames] == [bags.stamp_of(i) for i in range(6)]
    assert {frame['source'] for frame in frames} == {str(bag)}
    assert [window_of(frame) for frame in frames[:3]] == [[40] * 3, [40, 60, 60], [60, 80, 80]]


def test_two_runs_write_the_same_bytes(
    stand_in: Path, bag: Path, tmp_path: Path, predict: Predict
) -> None:
    texts = [predict(stand_in, tmp_path / name, bag) for name in ('a.json', 'b.json')]
    assert texts[0] == texts[1]


def test_two_processes_write_the_same_bytes_with_the_shipped_model(
    bags: Any, tmp_path: Path
) -> None:
    """Also with another number of threads, as one of several workers has."""
    [video] = open_sources(REPOSITORY / 'test' / 'ros' / 'data' / 'walk.mp4')
    pictures = [frame.image for frame in video.frames()]
    messages = [bags.picture(image, bags.stamp_of(i)) for i, image in enumerate(pictures)]
    bag = bags.write(tmp_path / 'bag', {bags.topic: messages})
    code = 'import sys; from pavenet_core.cli import main; sys.exit(main())'
    outs = [(tmp_path / 'a.json', 1), (tmp_path / 'b.json', 1), (tmp_path / 'c.json', 2)]
    for out, threads in outs:
        words = ['predict', bag, '--out', out, '--lookahead', 1, '--threads', threads]
        subprocess.run(
            [sys.executable, '-c', code, *map(str, words)],
            env={**os.environ, 'PYTHONPATH': str(REPOSITORY)},
            check=True,
        )
    texts = {out.read_text() for out, _ in outs}
    assert len(texts) == 1
    assert all(frame['poses'] for frame in json.loads(texts.pop())['frames'])


@pytest.mark.parametrize('storage', ['sqlite3', 'mcap'])
def test_the_poses_bag_has_a_message_per_image(
    stand_in: Path, bags: Any, tmp_path: Path, predict: Predict, storage: str
) -> None:
    bag = bags.write(tmp_path / 'in', {bags.topic: bags.images()}, storage)
    out = tmp_path / 'new' / 'poses'
    answer = json.loads(predict(stand_in, tmp_path / 'a.json', bag, '--bag', out))
    assert f'storage_identifier: {storage}' in (out / 'metadata.yaml').read_text()
    messages = messages_of(out)
    assert len(messages) == 6
    for index, (topic, time, message) in enumerate(messages):
        frame = answer['frames'][index]
        stamp = message.header.stamp
        assert topic == '/poses'
        assert time == bags.stamp_of(index) + 5_000_000
        assert stamp.sec * 1_000_000_000 + stamp.nanosec == frame['stamp_ns']
        assert message.header.frame_id == 'optical'
        assert (message.image_width, message.image_height) == (64, 48)
        assert (message.model, message.skeleton) == ('stand-in', 'coco17')
        people = [[[k.x, k.y, k.score] for k in person.keypoints] for person in message.poses]
        expected = [person['keypoints'] for person in frame['poses']]
        np.testing.assert_allclose(people, expected, atol=0.01)


def test_an_unreadable_image_keeps_its_place(
    stand_in: Path,
    bags: Any,
    tmp_path: Path,
    predict: Predict,
    capsys: pytest.CaptureFixture[str],
) -> None:
    messages = bags.images()
    messages[2] = bags.image(80, bags.stamp_of(2), missing=1)
    bag = bags.write(tmp_path / 'in', {bags.topic: messages})
    words = [bag, '--lookahead', 1, '--bag', tmp_path / 'poses']
    frames = json.loads(predict(stand_in, tmp_path / 'a.json', *words))['frames']
    assert [frame['frame'] for frame in frames] == list(range(6))
    assert [bool(frame['poses']) for frame in frames] == [True, True, False, True, True, True]
    assert 'needs 9216' in frames[2]['error']
    assert frames[2]['stamp_ns'] == bags.stamp_of(2)
    assert window_of(frames[1]) == [40, 60, 100]
    assert len(messages_of(tmp_path / 'poses')) == 5
    assert '1 frames could not be decoded' in capsys.readouterr().out


def test_repeated_stamps_are_answered_one_by_one(
    stand_in: Path, bags: Any, tmp_path: Path, predict: Predict
) -> None:
    messages = [bags.image(40 + 20 * i, 7) for i in range(4)]
    bag = bags.write(tmp_path / 'in', {bags.topic: messages})
    frames = json.loads(predict(stand_in, tmp_path / 'a.json', bag))['frames']
    assert [frame['stamp_ns'] for frame in frames] == [7] * 4
    assert window_of(frames[3]) == [80, 100, 100]


def test_another_camera_frame_starts_a_new_video(
    stand_in: Path, bags: Any, tmp_path: Path, predict: Predict
) -> None:
    messages = [
        bags.image(40 + 20 * i, bags.stamp_of(i), frame_id='left' if i < 2 else 'right')
        for i in range(4)
    ]
    bag = bags.write(tmp_path / 'in', {bags.topic: messages})
    frames = json.loads(predict(stand_in, tmp_path / 'a.json', bag))['frames']
    assert [window_of(frame) for frame in frames[1:3]] == [[40, 60, 60], [80, 80, 80]]
    assert [frame['frame'] for frame in frames] == list(range(4))


def test_the_video_has_every_frame_also_those_of_another_size(
    stand_in: Path, bags: Any, tmp_path: Path, predict: Predict
) -> None:
    messages = [*bags.images(3), bags.image(100, bags.stamp_of(3), size=(32, 24))]
    bag = bags.write(tmp_path / 'in', {bags.topic: messages})
    predict(stand_in, tmp_path / 'a.json', bag, '--video', tmp_path / 'a.mp4')
    [source] = open_sources(tmp_path / 'a.mp4')
    assert (source.fps, len(list(source.frames()))) == (25, 4)


def labels(path: Path, frames: dict[str, Any]) -> Path:
    """Write one labelled person per image, given the answers to repeat."""
    images, people = [], []
    for number, (name, answer) in enumerate(frames.items()):
        person = answer['poses'][0]
        images.append({'id': number, 'file_name': name, 'width': 64, 'height': 48})
        points = [value for x, y, _ in person['keypoints'] for value in (x, y, 2)]
        box = person['bbox']
        person = {'id': number + 1, 'image_id': number, 'category_id': 1, 'keypoints': points}
        people.append({**person, 'bbox': box, 'area': box[2] * box[3], 'iscrowd': 0})
    category = {'id': 1, 'name': 'person', 'keypoints': list(COCO17.names)}
    data = {'images': images, 'annotations': people, 'categories': [category]}
    path.write_text(json.dumps(data))
    return path


def test_labels_measure_the_answers(
    stand_in: Path,
    bag: Path,
    tmp_path: Path,
    predict: Predict,
    capsys: pytest.CaptureFixture[str],
) -> None:
    pytest.importorskip('pycocotools')
    pytest.importorskip('matplotlib')
    frames = json.loads(predict(stand_in, tmp_path / 'a.json', bag))['frames']
    capsys.readouterr()
    right = labels(tmp_path / 'labels.json', {f'walk_{i:06d}.jpg': frames[i] for i in (2, 5)})
    page = tmp_path / 'report.html'
    words = ['--annotations', right, '--report', page, '--max-people', 1]
    predict(stand_in, tmp_path / 'a.json', bag, *words)
    text = capsys.readouterr().out
    assert 'stand-in on 2 labelled images' in text
    assert float(text.split(' AP ')[1].split()[0]) == pytest.approx(1.0)
    assert '<h2>Accuracy by OKS' in page.read_text()
    wrong = labels(tmp_path / 'labels.json', {'walk_2.jpg': frames[5], 'walk_5.jpg': frames[2]})
    predict(stand_in, tmp_path / 'a.json', bag, '--annotations', wrong)
    assert float(capsys.readouterr().out.split(' AP ')[1].split()[0]) < 0.9


def test_a_frame_id_goes_before_the_number_in_a_name(
    stand_in: Path,
    bag: Path,
    tmp_path: Path,
    predict: Predict,
    capsys: pytest.CaptureFixture[str],
) -> None:
    pytest.importorskip('pycocotools')
    frames = json.loads(predict(stand_in, tmp_path / 'a.json', bag))['frames']
    path = labels(tmp_path / 'labels.json', {'walk_000000.jpg': frames[5]})
    data = json.loads(path.read_text())
    data['images'][0] |= {'video': 'walk', 'frame_id': 5}
    path.write_text(json.dumps(data))
    capsys.readouterr()
    predict(stand_in, tmp_path / 'a.json', bag, '--annotations', path, '--max-people', 1)
    accuracy = capsys.readouterr().out.split(' AP ')[1].split()[0]
    assert float(accuracy) == pytest.approx(1.0)


def test_labels_of_other_images_are_refused_before_the_work(
    stand_in: Path, bag: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    answer = {'poses': [{'keypoints': [[1, 1, 1]] * 17, 'bbox': [0, 0, 9, 9]}]}
    path = labels(tmp_path / 'labels.json', {'walk_000006.jpg': answer})
    words = ['predict', bag, '--model', stand_in, '--annotations', path]
    assert main([*map(str, words), '--out', str(tmp_path / 'a.json')]) == 1
    assert 'there is no image 6 among the 6 of the topic' in capsys.readouterr().err
    assert not (tmp_path / 'a.json').exists()


@pytest.mark.parametrize(
    ('words', 'message'),
    [
        (['walk', '--topic', '/other'], 'no image topic /other'),
        (['walk', '--bag', 'walk'], 'walk is there already'),
        (
            ['a.png', 'walk', '--bag', 'out'],
            '--bag is for one input, a rosbag',
        ),
        (['a.png', '--bag', 'out'], '--bag is for one input, a rosbag'),
        (['walk', '--against', 'walk'], 'walk has no messages of pavenet_ros/msg/PersonPoseArray'),
        (['walk', '--against', 'missing_bag'], 'missing_bag does not exist'),
        (['walk', '--against', 'a.png'], 'a.png is no rosbag'),
        (['walk', '--against', 'folder'], 'folder is no rosbag'),
        (['a.png', '--topic', '/a'], '--topic /a is of a rosbag'),
        (['a.png', '--report', 'a.html'], '--report is for one input, a rosbag'),
        (['walk', '--report', '.'], 'cannot write .: Is a directory'),
        (['walk', '--annotations', 'missing.json'], 'missing.json does not exist'),
        (['walk', '--annotations', 'a.png'], 'a.png is not a COCO keypoint file'),
        (['walk', '--out', 'walk/walk.db3'], 'walk.db3 is also an input'),
        (['walk', '--annotations', 'a.png', '--out', 'a.png'], 'a.png is also an input'),
        (['missing_bag'], 'missing_bag does not exist'),
        (['broken.mcap'], 'broken.mcap cannot be read as a rosbag'),
    ],
)
def test_bad_input_is_one_sentence(
    stand_in: Path,
    bag: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    words: list[str],
    message: str,
) -> None:
    monkeypatch.chdir(bag.parent)
    Path('broken.mcap').write_bytes(b'\x89MCAP0\r\n' + bytes(99))
    write_image(Path('a.png'), np.ones((8, 8, 3), np.uint8))
    Path('folder').mkdir()
    assert main(['predict', '--model', str(stand_in), *words]) == 1
    error = capsys.readouterr().err
    assert message in error
    assert error.count('\n') == 1
    assert not Path('poses.json').exists()


def test_the_ros_executable_is_the_same_program(
    stand_in: Path, bag: Path, tmp_path: Path, predict: Predict
) -> None:
    script, out = REPOSITORY / 'scripts' / 'evaluate_bag', tmp_path / 'b.json'
    words = [sys.executable, script, bag, '--model', stand_in, '--out', out]
    subprocess.run(
        list(map(str, words)), env={**os.environ, 'PYTHONPATH': str(REPOSITORY)}, check=True
    )
    assert out.read_text() == predict(stand_in, tmp_path / 'a.json', bag)


def test_without_the_package_rosbags_the_remedy_is_said(
    stand_in: Path, bag: Path, tmp_path: Path
) -> None:
    code = (
        'import sys; sys.modules["rosbags"] = None\n'
        'from pavenet_core.cli import main; sys.exit(main(sys.argv[1:]))'
    )
    words = [sys.executable, '-c', code, 'predict', str(bag), '--model', str(stand_in)]
    run = subprocess.run(words, capture_output=True, text=True, check=False)
    assert run.returncode == 1
    assert 'pip install rosbags' in run.stderr
    assert run.stderr.count('\n') == 1
