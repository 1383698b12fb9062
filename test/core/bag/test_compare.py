"""A live node's recording against the same bag; here other settings of `predict` stand for it."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from rosbags.rosbag2 import Reader, Writer

from pavenet_core.bag.compare import Comparison, compare
from pavenet_core.bag.live import LiveAnswer, LiveRecording
from pavenet_core.bag.messages import POSES, message_types
from pavenet_core.poses import Poses

Predict = Callable[..., str]


def people(stamp_ns: int, *places: float) -> Poses:
    """Return people of 40 pixels whose keypoints are moved right by so many pixels each."""
    square = np.array([[0, 0], [40, 0], [40, 40], [0, 40]], np.float32)
    points = np.array([square + np.float32([place, 0]) for place in places], np.float32).reshape(
        -1, 4, 2
    )
    scores = np.ones(len(places), np.float32)
    return Poses(stamp_ns, points, np.ones((len(places), 4), np.float32), scores)


def compared(live: Sequence[int], images: int = 5) -> Comparison:
    """Compare live answers, given by the index of the image, with those of all images."""
    here = {10 + i: (i, people(10 + i, 0)) for i in range(images)}
    answers = [LiveAnswer(people(10 + i, 0), 0) for i in live]
    return compare(LiveRecording(Path('live'), '/poses', tuple(answers)), here)


@pytest.mark.parametrize(
    ('live', 'passes', 'dropped', 'expected', 'before', 'after'),
    [
        ([0, 1, 2, 3, 4], 1, [], 5, 0, 0),
        ([1, 3], 1, [(1, 2)], 3, 1, 1),
        ([1, 2, 4, 0, 3], 2, [(1, 3), (2, 1), (2, 2)], 8, 1, 1),
        ([3, 0, 1, 2, 4, 1], 3, [(1, 4), (2, 3), (3, 0)], 9, 3, 3),
        ([0, 0], 1, [], 1, 0, 4),  # the same stamp again is no new pass
        ([7, 8], 0, [], 0, 0, 0),
    ],
)
def test_drops_are_counted_between_the_first_answer_and_the_last(
    live: list[int],
    passes: int,
    dropped: list[tuple[int, int]],
    expected: int,
    before: int,
    after: int,
) -> None:
    found = compared(live)
    assert (found.passes, list(found.dropped), found.expected) == (passes, dropped, expected)
    assert (found.before, found.after) == (before, after)
    assert found.foreign == sum(i >= 5 for i in live)


def test_people_are_paired_and_their_distance_is_said() -> None:
    here = {10: (0, people(10, 0, 100)), 11: (1, people(11, 0))}
    live = (LiveAnswer(people(10, 103, 500), 0), LiveAnswer(people(11, 1), 0))
    found = compare(LiveRecording(Path('live'), '/poses', live), here)
    assert found.people == (3, 3, 2)
    np.testing.assert_allclose(found.distances_px, [3, 1])
    assert '2.00 px (median), 2.90 px (95 %), 3.00 px (at most)' in found.lines()[-1]


def rewrite(bag: Path, out: Path, order: Sequence[int], topic: str = '/poses') -> Path:
    """Write the messages of a poses bag in another order, at rising times."""
    with Reader(bag) as reader:
        rows = [data for _, _, data in reader.messages()]
    with Writer(out, version=8) as writer:
        connection = writer.add_connection(topic, POSES, typestore=message_types())
        for time, place in enumerate(order):
            writer.write(connection, time, rows[place])
    return out


def test_predict_says_what_a_live_node_dropped(
    stand_in: Path,
    bag: Path,
    tmp_path: Path,
    predict: Predict,
    capsys: pytest.CaptureFixture[str],
) -> None:
    predict(stand_in, tmp_path / 'a.json', bag, '--bag', tmp_path / 'all')
    live = rewrite(tmp_path / 'all', tmp_path / 'live', [1, 2, 4, 5, 0, 1, 3], '/front/poses')
    capsys.readouterr()
    predict(stand_in, tmp_path / 'b.json', bag, '--against', live)
    lines = capsys.readouterr().out.splitlines()
    assert f'{live} on /front/poses: the live node answered 7 images in 2 passes' in lines[1]
    assert 'dropped 2 of 9 between its first answer and its last (3 of pass 1, 2 of' in lines[1]
    assert lines[2] == '  before the first: 1 images; after the last: 2'
    assert lines[3].endswith('21 here, 21 live, 21 the same')
    assert '0.00 px (at most)' in lines[4]
    assert (tmp_path / 'a.json').read_text() == (tmp_path / 'b.json').read_text()


def test_an_image_without_people_is_an_answer_too(
    stand_in: Path,
    bags: Any,
    tmp_path: Path,
    predict: Predict,
    capsys: pytest.CaptureFixture[str],
) -> None:
    images = [bags.image(brightness, bags.stamp_of(i)) for i, brightness in enumerate((0, 60, 0))]
    bag = bags.write(tmp_path / 'bag', {bags.topic: images})
    predict(stand_in, tmp_path / 'a.json', bag, '--bag', tmp_path / 'live')
    predict(stand_in, tmp_path / 'b.json', bag, '--against', tmp_path / 'live')
    text = capsys.readouterr().out
    assert 'answered 3 images in 1 pass over this bag, and dropped 0 of 3' in text
    assert '3 here, 3 live, 3 the same' in text


def test_another_window_is_seen_in_the_distances(
    stand_in: Path,
    bag: Path,
    tmp_path: Path,
    predict: Predict,
    capsys: pytest.CaptureFixture[str],
) -> None:
    predict(stand_in, tmp_path / 'a.json', bag, '--bag', tmp_path / 'live', '--lookahead', 1)
    predict(stand_in, tmp_path / 'b.json', bag, '--against', tmp_path / 'live')
    last = capsys.readouterr().out.splitlines()[-1]
    assert float(last.split(' px (at most)')[0].split()[-1]) > 0.1


def test_a_bag_of_another_time_has_nothing_in_common(
    stand_in: Path,
    bags: Any,
    bag: Path,
    tmp_path: Path,
    predict: Predict,
    capsys: pytest.CaptureFixture[str],
) -> None:
    images = [bags.image(50, bags.stamp_of(i + 100)) for i in range(3)]
    other = bags.write(tmp_path / 'other', {bags.topic: images})
    predict(stand_in, tmp_path / 'a.json', other, '--bag', tmp_path / 'live')
    predict(stand_in, tmp_path / 'b.json', bag, '--against', tmp_path / 'live')
    assert 'none of its 3 answers is to an image of this bag' in capsys.readouterr().out
