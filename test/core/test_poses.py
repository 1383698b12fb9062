"""What the estimator takes and gives, by itself."""

from typing import Any

import numpy as np
import pytest

from pavenet_core.poses import Frame, Poses

PICTURE = np.zeros((4, 6, 3), np.uint8)


@pytest.mark.parametrize(
    ('image', 'message'),
    [
        (None, 'got None; OpenCV gives None'),
        ('a.png', "got 'a.png'"),
        (PICTURE[..., 0], r'got \(4, 6\) uint8'),
        (PICTURE[..., :1], r'got \(4, 6, 1\) uint8'),
        (np.zeros((4, 6, 4), np.uint8), r'got \(4, 6, 4\) uint8'),
        (PICTURE.astype(np.uint16), r'got \(4, 6, 3\) uint16'),
        (PICTURE.astype(np.float32), r'got \(4, 6, 3\) float32'),
        (PICTURE[:0], r'got \(0, 6, 3\) uint8'),
    ],
)
def test_anything_but_a_colour_picture_is_refused(image: Any, message: str) -> None:
    with pytest.raises(ValueError, match=f'a frame must be .* in BGR, {message}'):
        Frame(image, 0)


@pytest.mark.parametrize('stamp', [1.5, 2.0, None, '3', float('nan')])
def test_anything_but_whole_nanoseconds_is_refused(stamp: Any) -> None:
    with pytest.raises(ValueError, match=f'whole nanoseconds, got {stamp!r}; of seconds'):
        Frame(PICTURE, stamp)


def test_numpys_whole_numbers_are_stamps_that_do_not_wrap_around() -> None:
    before, after = Frame(PICTURE, np.uint64(5)), Frame(PICTURE, np.uint64(3))
    assert after.stamp_ns - before.stamp_ns == -2


def test_people_are_taken_with_all_that_is_known_of_them() -> None:
    points = np.arange(12, dtype=np.float32).reshape(3, 2, 2)
    scores = np.array([0.9, 0.5, 0.2], np.float32)
    window = np.repeat(points[:, None], 3, 1)
    poses = Poses(7, points, points[..., 0], scores, points + 1, window, np.array([4, 0, 5]))
    few = poses.above(0.5)
    assert (len(few), few.stamp_ns, few.id_names) == (2, 7, ['4', ''])
    turned = poses.take([2, 0])
    assert turned.id_names == ['5', '4']
    for name in ('keypoints_px', 'keypoint_scores', 'scores', 'extents_px', 'window_px', 'ids'):
        np.testing.assert_array_equal(getattr(turned, name), getattr(poses, name)[[2, 0]])
    np.testing.assert_array_equal(turned.bboxes_px, [[9, 10, 2, 2], [1, 2, 2, 2]])
    assert poses.take([]).bboxes_px.shape == (0, 4)
