import shutil
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pavenet_core.bag.detect import is_bag
from pavenet_core.bag.read import BagSource, open_bag


def seen(source: BagSource) -> list[tuple[int, int]]:
    """Read the place and the brightness of every picture."""
    return [(f.header.index, round(float(f.image.mean()))) for f in source.frames()]


ALL = [(i, 40 + 20 * i) for i in range(6)]


@pytest.mark.parametrize('storage', ['sqlite3', 'mcap'])
@pytest.mark.parametrize('encoding', ['bgr8', 'mono8', 'jpeg', 'png'])
def test_every_image_comes_in_order(
    tmp_path: Path, bags: Any, storage: str, encoding: str
) -> None:
    path = bags.write(tmp_path / 'bag', {bags.topic: bags.images(6, encoding)}, storage)
    source = open_bag(path)
    assert (source.topic, source.num_frames, source.fps) == (bags.topic, 6, 25.0)
    assert seen(source) == ALL
    frame = next(source.frames())
    assert frame.image.shape == (48, 64, 3)
    assert frame.stamp_ns == frame.header.stamp_ns == bags.stamp_of(0)
    assert frame.header.recorded_ns == bags.stamp_of(0) + 5_000_000
    assert frame.header.frame_id == 'optical'


@pytest.mark.parametrize(
    ('storage', 'compression'),
    [('sqlite3', 'file'), ('sqlite3', 'message'), ('mcap', 'file'), ('mcap', 'storage')],
)
def test_compressed_bags_are_read(
    tmp_path: Path, bags: Any, storage: str, compression: str
) -> None:
    path = bags.write(tmp_path / 'bag', {bags.topic: bags.images()}, storage, compression)
    assert is_bag(path)
    assert seen(open_bag(path)) == ALL


@pytest.mark.parametrize('storage', ['sqlite3', 'mcap'])
def test_a_file_of_a_bag_is_one_too(tmp_path: Path, bags: Any, storage: str) -> None:
    folder = bags.write(tmp_path / 'bag', {bags.topic: bags.images()}, storage)
    [file] = [path for path in folder.iterdir() if path.name != 'metadata.yaml']
    assert is_bag(file)
    assert seen(open_bag(file)) == ALL
    renamed = file.rename(tmp_path / 'recording.bin')
    assert is_bag(renamed)
    with pytest.raises(ValueError, match=r'rename it to \.mcap or \.db3'):
        open_bag(renamed)


def test_a_bag_of_humble_has_no_definitions_of_its_types(tmp_path: Path, bags: Any) -> None:
    folder = bags.write(tmp_path / 'bag', {bags.topic: bags.images()})
    with closing(sqlite3.connect(folder / 'bag.db3')) as database:
        database.executescript(
            'DROP TABLE message_definitions;'
            'ALTER TABLE topics DROP COLUMN type_description_hash;'
            'UPDATE schema SET schema_version = 3;'
        )
    description = (folder / 'metadata.yaml').read_text()
    rows = [row for row in description.splitlines() if 'RIHS01' not in row and '_hash' not in row]
    (folder / 'metadata.yaml').write_text('\n'.join(rows).replace('version: 8', 'version: 5'))
    assert seen(open_bag(folder)) == ALL


def test_a_split_bag_is_read_through(tmp_path: Path, bags: Any) -> None:
    """Two files under one description, as `ros2 bag record --max-bag-size` leaves them."""
    folder = bags.write(tmp_path / 'bag', {bags.topic: bags.images()})
    shutil.copy(folder / 'bag.db3', folder / 'bag_1.db3')
    for name, other in (('bag', '>='), ('bag_1', '<')):
        with closing(sqlite3.connect(folder / f'{name}.db3')) as database:
            database.execute(f'DELETE FROM messages WHERE timestamp {other} {bags.stamp_of(3)}')
            database.commit()
    description = (folder / 'metadata.yaml').read_text()
    description = description.replace('\n  - bag.db3', '\n  - bag.db3\n  - bag_1.db3')
    (folder / 'metadata.yaml').write_text(description)
    assert seen(open_bag(folder)) == ALL


def test_a_topic_on_which_nothing_came_is_said(tmp_path: Path, bags: Any) -> None:
    path = bags.write(tmp_path / 'bag', {bags.topic: [], '/chatter': [bags.text('a')]})
    with pytest.raises(ValueError, match=f'topic {bags.topic} of .* has no messages'):
        open_bag(path)


def test_other_folders_and_files_are_no_bags(tmp_path: Path) -> None:
    (tmp_path / 'a.mp4').write_bytes(b'\x00\x00\x00\x20ftyp')
    assert not is_bag(tmp_path)
    assert not is_bag(tmp_path / 'a.mp4')
    assert not is_bag(tmp_path / 'missing')


@pytest.mark.parametrize('encoding', ['bgr8', 'jpeg'])
def test_a_truncated_image_is_passed_over_but_not_forgotten(
    tmp_path: Path, bags: Any, encoding: str
) -> None:
    messages = bags.images(6, encoding)
    messages[2] = bags.image(80, bags.stamp_of(2), encoding, missing=100)
    source = open_bag(bags.write(tmp_path / 'bag', {bags.topic: messages}))
    assert seen(source) == ALL[:2] + ALL[3:]
    [lost] = source.unreadable
    assert (lost.header.index, lost.header.stamp_ns) == (2, bags.stamp_of(2))
    assert 'needs 9216' in lost.reason if encoding == 'bgr8' else 'no end' in lost.reason


def test_a_message_cut_short_is_passed_over(tmp_path: Path, bags: Any) -> None:
    messages = [*bags.images(3), b'\x00\x01\x00\x00\x01\x02\x03']
    source = open_bag(bags.write(tmp_path / 'bag', {bags.topic: messages}))
    assert seen(source) == ALL[:3]
    assert [lost.header.index for lost in source.unreadable] == [3]
    assert 'no image message' in source.unreadable[0].reason


def test_no_readable_image_at_all_is_an_error(tmp_path: Path, bags: Any) -> None:
    messages = [bags.image(9, bags.stamp_of(i), missing=1) for i in range(2)]
    source = open_bag(bags.write(tmp_path / 'bag', {bags.topic: messages}))
    with pytest.raises(ValueError, match=r'none of the 2 images .* needs 9216'):
        list(source.frames())


@pytest.mark.parametrize('stamp', [0, 7])
def test_repeated_and_absent_stamps_lose_no_frame(tmp_path: Path, bags: Any, stamp: int) -> None:
    messages = [bags.image(40 + 20 * i, stamp) for i in range(6)]
    frames = list(open_bag(bags.write(tmp_path / 'bag', {bags.topic: messages})).frames())
    assert [frame.header.stamp_ns for frame in frames] == [stamp] * 6
    given = np.array([frame.stamp_ns for frame in frames])
    assert (np.diff(given) == (40_000_000 if stamp == 0 else 1)).all()


def test_several_topics_need_a_choice(tmp_path: Path, bags: Any) -> None:
    topics = {'/left': bags.images(2), '/right/compressed': bags.images(3, 'jpeg')}
    path = bags.write(tmp_path / 'bag', topics)
    with pytest.raises(ValueError, match=r'2 image topics; .* --topic: /left, /right/compressed'):
        open_bag(path)
    with pytest.raises(ValueError, match=r'no image topic /middle; choose .* /left'):
        open_bag(path, '/middle')
    assert seen(open_bag(path, '/right/compressed')) == ALL[:3]


def test_a_bag_without_images_says_what_it_has(tmp_path: Path, bags: Any) -> None:
    path = bags.write(tmp_path / 'bag', {'/chatter': [bags.text('a')]})
    with pytest.raises(ValueError, match=r'no topic of .* but /chatter \(std_msgs/msg/String\)'):
        open_bag(path)


@pytest.mark.parametrize('storage', ['sqlite3', 'mcap'])
def test_damaged_bags_are_one_sentence(tmp_path: Path, bags: Any, storage: str) -> None:
    folder = bags.write(tmp_path / 'bag', {bags.topic: bags.images()}, storage)
    [file] = [path for path in folder.iterdir() if path.name != 'metadata.yaml']
    file.write_bytes(file.read_bytes()[: file.stat().st_size // 2])
    with pytest.raises(ValueError, match='cannot be read as a rosbag') as caught:
        seen(open_bag(folder))
    assert '\n' not in str(caught.value)
    (folder / 'metadata.yaml').unlink()
    assert is_bag(folder)
    with pytest.raises(ValueError, match=r'no metadata\.yaml.* ros2 bag reindex'):
        open_bag(folder)
