"""The words that readers, augmentation and trainer share."""

from contextlib import nullcontext
from pathlib import Path

import cv2
import numpy as np
import pytest

from pavenet_core.data.dataset import Clip, LabelledFrame, Neighbours
from pavenet_core.data.people import to_labels

CLIP = Clip('walk', tuple(Path(f'{n}.jpg') for n in range(6)))
FAST = Clip('walk', CLIP.files, stamps_ns=tuple(n * 20_000_000 for n in range(6)))


@pytest.mark.parametrize(
    ('neighbours', 'key', 'expected'),
    [
        (Neighbours(3), 2, (1, 2, 3)),
        (Neighbours(1), 2, (2,)),
        (Neighbours(5, step=2), 2, (0, 0, 2, 4, 5)),
        (Neighbours(3), 0, (0, 0, 1)),
        (Neighbours(3), 5, (4, 5, 5)),
        (Neighbours(5), 0, (0, 0, 0, 1, 2)),
        (Neighbours(3, lookahead=0), 2, (1, 2, 2)),
        (Neighbours(5, lookahead=1), 2, (0, 1, 2, 3, 3)),
        (Neighbours(3, interval_ns=40_000_000), 2, (1, 2, 3)),  # no stamps: by number
        (Neighbours(3, lookahead=0, older=True), 3, (2, 3, 1)),
        (Neighbours(3, lookahead=0, older=True), 1, (0, 1, 0)),
        (Neighbours(3, older=True), 2, (1, 2, 3)),
        (Neighbours(3, older=True), 5, (4, 5, 3)),
        (Neighbours(5, lookahead=0, older=True), 4, (2, 3, 4, 1, 0)),
        (Neighbours(5, lookahead=1, older=True), 3, (1, 2, 3, 4, 4)),
        (Neighbours(3, step=0, older=True), 3, (3, 3, 3)),
    ],
)
def test_the_window_stays_inside_the_clip(
    neighbours: Neighbours, key: int, expected: tuple[int, ...]
) -> None:
    assert neighbours.indices(CLIP, key) == expected


def test_with_stamps_the_window_goes_by_time() -> None:
    assert Neighbours(3, interval_ns=40_000_000).indices(FAST, 2) == (0, 2, 4)
    assert Neighbours(3, interval_ns=25_000_000).indices(FAST, 2) == (1, 2, 3)
    assert Neighbours(3, interval_ns=40_000_000).indices(FAST, 5) == (3, 5, 5)
    assert Neighbours(3, interval_ns=40_000_000, older=True).indices(FAST, 5) == (3, 5, 1)


def test_a_frame_is_read_as_stored(tmp_path: Path) -> None:
    image = np.arange(4 * 6 * 3, dtype=np.uint8).reshape(4, 6, 3)
    cv2.imwrite(str(tmp_path / 'a.png'), image)
    np.testing.assert_array_equal(Clip('a', (tmp_path / 'a.png',)).read(0), image)


def test_an_unreadable_frame_is_named(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r'cannot read the picture .*none\.png'):
        Clip('a', (tmp_path / 'none.png',)).read(0)


def test_neighbours_of_another_size_are_refused() -> None:
    frame = LabelledFrame(CLIP, 2, 1, to_labels([], 17, []))
    frame.check_sizes({1: (64, 48), 2: (64, 48)})
    with pytest.raises(ValueError, match=r'1\.jpg is 60x48, but the labelled 2\.jpg is 64x48'):
        frame.check_sizes({1: (60, 48), 2: (64, 48)})


@pytest.mark.parametrize('progressive', [0, 1])
@pytest.mark.parametrize('thumbnail', [b'', b'\xff\xe1\x00\x08abcd\xff\xd9'])
def test_a_picture_that_is_cut_short_is_named(
    tmp_path: Path, progressive: int, thumbnail: bytes
) -> None:
    noise = np.random.default_rng(0).integers(0, 256, (40, 60, 3), np.uint8)
    jpeg = cv2.imencode('.jpg', noise, [cv2.IMWRITE_JPEG_PROGRESSIVE, progressive])[1].tobytes()
    jpeg = jpeg[:2] + thumbnail + jpeg[2:]
    path = tmp_path / 'a.jpg'
    path.write_bytes(jpeg)
    assert Clip('a', (path,)).read(0).shape == (40, 60, 3)
    for length in (0, 30, len(jpeg) // 2, len(jpeg) - 2):
        path.write_bytes(jpeg[:length])
        with pytest.raises(ValueError, match=r'cannot read the picture .*a\.jpg; .* whole'):
            Clip('a', (path,)).read(0)


@pytest.mark.parametrize(
    ('labelled', 'refused'),
    [((64, 48), False), ((65, 49), False), (None, False), ((48, 64), True), ((128, 96), True)],
)
def test_labels_of_a_turned_or_resized_copy_are_refused(
    labelled: tuple[int, int] | None, refused: bool
) -> None:
    frame = LabelledFrame(CLIP, 2, 1, to_labels([], 17, []), labelled)
    sentence = r'2\.jpg is 64x48, but its labels say .*turn mark'
    with pytest.raises(ValueError, match=sentence) if refused else nullcontext():
        frame.check_sizes({2: (64, 48)})
