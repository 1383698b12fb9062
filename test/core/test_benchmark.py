import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from pavenet_core.benchmark import (
    STAGES,
    Case,
    StageClock,
    drifting_picture,
    markdown_table,
    measure,
    video_pictures,
)
from pavenet_core.poses import Frame
from pavenet_core.runtime import PoseModel, VideoPoseEstimator
from pavenet_core.video import VideoWriter

SMALL, WIDE = (32, 24), (48, 24)


@pytest.fixture
def model(stand_in: Path) -> PoseModel:
    return PoseModel(stand_in, num_threads=1)


def test_every_case_has_all_stages_and_only_the_counted_rounds(model: PoseModel) -> None:
    videos = {size: drifting_picture(size) for size in (SMALL, WIDE)}
    cases = measure(model, videos, (1, 3), rounds=4, warm_up=2)
    assert [(case.size, case.people) for case in cases] == [
        *((SMALL, 1), (SMALL, 3), (WIDE, 1), (WIDE, 3))
    ]
    for case in cases:
        assert list(case.times) == [*STAGES, 'frame']
        assert all(len(times) == 4 and min(times) > 0 for times in case.times.values())
        stages = np.sum([case.times[stage] for stage in STAGES], axis=0)
        assert stages == pytest.approx(case.times['frame'])


def test_exactly_as_many_people_are_decoded_whatever_is_seen(model: PoseModel) -> None:
    decoded = []
    joint_decoder = model.joint_decoder

    def watched(window: object, poses: np.ndarray) -> object:
        decoded.append(poses.shape[2])
        return joint_decoder(window, poses)

    model.joint_decoder = watched
    black = np.zeros((24, 32, 3), np.uint8)  # where the stand-in sees nobody: scores of 0
    measure(model, {SMALL: lambda _: black}, (1, 2, 4), rounds=2, warm_up=0)
    assert decoded == [1, 2, 4] * 2


def test_a_part_that_is_not_there_is_no_stage(
    tmp_path: Path, write_bundle: Callable[..., Path]
) -> None:
    model = PoseModel(write_bundle(tmp_path, num_joint_layers=0))
    (case,) = measure(model, {SMALL: drifting_picture(SMALL)}, (2,), rounds=2, warm_up=1)
    assert list(case.times) == [s for s in (*STAGES, 'frame') if s != 'joint_decoder']


def test_a_slow_part_is_found_in_its_own_stage(model: PoseModel) -> None:
    pose_decoder = model.pose_decoder

    def slow(window: object) -> object:
        time.sleep(0.05)
        return pose_decoder(window)

    model.pose_decoder = slow
    (case,) = measure(model, {SMALL: drifting_picture(SMALL)}, (1,), rounds=2, warm_up=1)
    found = case.percentiles()
    assert found['pose_decoder']['p50'] > 50
    assert found['frame']['p50'] > 50
    assert found['spatial_encoder']['p50'] + found['joint_decoder']['p50'] < 50
    assert found['postprocess']['p50'] < 50


def test_the_clock_leaves_the_model_as_it_was(model: PoseModel) -> None:
    fit = model.fit
    StageClock(model)
    assert model.fit is fit
    assert len(VideoPoseEstimator(model).push(Frame(np.zeros((8, 8, 3), np.uint8), 0)).scores) == 0


def test_percentiles_are_of_the_rounds() -> None:
    case = Case(SMALL, 1, {'frame': [float(ms) for ms in range(101)]})
    assert case.percentiles() == {'frame': {'p50': 50.0, 'p95': 95.0, 'p99': 99.0}}


def test_the_synthetic_video_moves_and_is_always_the_same() -> None:
    first, second = drifting_picture(SMALL), drifting_picture(SMALL)
    assert first(0).shape == (24, 32, 3)
    assert np.array_equal(first(7), second(7))
    assert not np.array_equal(first(0), first(1))
    assert np.ptp(first(0)) == 255


def test_a_video_goes_round_at_its_own_or_another_size(tmp_path: Path) -> None:
    path = tmp_path / 'walk.mp4'
    with VideoWriter(path, 25.0) as video:
        for grey in (0, 120, 240):
            video.write(np.full((48, 64, 3), grey, np.uint8))
    ((size, own),) = video_pictures(path, []).items()
    assert size == (64, 48)
    seen = [own(index).mean() for index in range(6)]
    assert seen == pytest.approx([0, 120, 240] * 2, abs=6)
    resized = video_pictures(path, [SMALL, WIDE])
    assert [pictures(0).shape[:2] for pictures in resized.values()] == [(24, 32), (24, 48)]


@pytest.mark.parametrize(
    ('people', 'rounds', 'warm_up', 'words'),
    [
        ((1, 5), 1, 0, 'people must be 1 to 4 with this model, got 5'),
        ((0,), 1, 0, 'got 0'),
        ((1,), 0, 0, 'got 0 and 0'),
        ((1,), 1, -1, 'got 1 and -1'),
    ],
)
def test_impossible_wishes_are_refused(
    model: PoseModel, people: tuple[int, ...], rounds: int, warm_up: int, words: str
) -> None:
    with pytest.raises(ValueError, match=words):
        measure(model, {SMALL: drifting_picture(SMALL)}, people, rounds=rounds, warm_up=warm_up)


def test_a_table_is_aligned() -> None:
    assert markdown_table(('a', 'ms'), [('long name', '1')]) == [
        '| a         | ms |',
        '|-----------|----|',
        '| long name | 1  |',
    ]
