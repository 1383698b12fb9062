import weakref
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from pavenet_core.poses import Frame
from pavenet_core.runtime import VideoPoseEstimator, stream_poses

MS = 1_000_000


@pytest.mark.parametrize('lookahead', [0, 1])
def test_every_frame_comes_with_its_own_poses(
    stand_in: Path, make_frame: Callable[..., Frame], lookahead: int
) -> None:
    estimator = VideoPoseEstimator(stand_in, lookahead=lookahead)
    stamps = [0, 40, 40, 80, 5000, 5000, 5040, 10, 50]  # repeats, a gap, a jump back
    frames = [make_frame(10 + i, stamp * MS) for i, stamp in enumerate(stamps)]
    pairs = list(stream_poses(estimator, frames))
    assert [frame.stamp_ns // MS for frame, _ in pairs] == [0, 40, 80, 5000, 5040, 10, 50]
    assert all(frame.stamp_ns == poses.stamp_ns for frame, poses in pairs)
    assert [int(frame.image[0, 0, 0]) for frame, _ in pairs] == [10, 11, 13, 14, 16, 17, 18]


def test_a_second_video_knows_nothing_of_the_first(
    stand_in: Path, make_frame: Callable[..., Frame], read_window: Callable[..., list[int]]
) -> None:
    estimator = VideoPoseEstimator(stand_in)
    list(stream_poses(estimator, [make_frame(10, 0), make_frame(20, 40 * MS)]))
    [(_, poses)] = stream_poses(estimator, [make_frame(30, 80 * MS)])
    assert read_window(poses) == [30, 30, 30]


def test_a_video_without_frames_has_no_answers(stand_in: Path) -> None:
    assert list(stream_poses(VideoPoseEstimator(stand_in), [])) == []


def test_repeats_are_not_kept(stand_in: Path, make_frame: Callable[..., Frame]) -> None:
    given, kept = [], []

    def stuck() -> Iterator[Frame]:
        for _ in range(9):
            frame = make_frame(10, 0)
            given.append(weakref.ref(frame))
            yield frame
            kept.append(sum(known() is not None for known in given))

    assert len(list(stream_poses(VideoPoseEstimator(stand_in, lookahead=1), stuck()))) == 1
    assert max(kept) <= 3
