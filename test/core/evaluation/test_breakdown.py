import numpy as np
import pytest

from pavenet_core.evaluation.breakdown import (
    PeopleTable,
    break_down,
    overlaps,
    tabulate,
    worst_frames,
)
from pavenet_core.metrics.people import FramePeople, match_dataset
from pavenet_core.poses import Poses


def frame_people(oks: list[float], invented: int = 0) -> FramePeople:
    values = np.array(oks, float)
    found = np.where(values > 0, np.arange(len(values)), -1)
    return FramePeople(np.ones(len(values), bool), found, values, invented)


def test_the_overlap_is_with_the_nearest_other() -> None:
    boxes = np.array([[0, 0, 10, 10], [5, 0, 15, 10], [100, 0, 110, 10]], np.float32)
    assert overlaps(boxes) == pytest.approx([1 / 3, 1 / 3, 0])
    assert overlaps(boxes[:1]).tolist() == [0]
    assert overlaps(boxes[:0]).tolist() == []


def test_every_person_that_counts_has_a_row(write_clip) -> None:
    dataset = write_clip([50, 60], [0, 1])
    points = dataset.frames[0].labels.keypoints[..., :2]
    here = Poses(0, points + np.float32([3, 0]), np.ones((1, 17), np.float32), np.ones(1))
    poses = [here, here.above(2)]
    table = tabulate(dataset, poses, match_dataset(dataset, poses))
    assert table.size.tolist() == [30, 30]
    assert table.company.tolist() == [1, 1]
    assert table.speed.tolist() == [0, 0]
    assert table.found.tolist() == [True, False]
    assert table.error == pytest.approx([0.1, np.nan], nan_ok=True)


def test_people_fall_into_groups() -> None:
    size = np.array([10.0, 40, 50, 200])
    ones, nothing = np.ones(4), np.full(4, np.nan)
    found, error = np.array([False, True, True, True]), np.array([np.nan, 0.1, 0.3, 0.2])
    groups = break_down(PeopleTable(size, ones, 0 * ones, nothing, found, error))
    assert len(groups) == 3  # of speed nothing is known
    by_size = next(iter(groups.values()))
    assert [group.people for group in by_size] == [1, 2, 0, 1]
    assert [group.missed for group in by_size] == [1, 0, 0, 0]
    assert [group.error for group in by_size] == [None, pytest.approx(0.2), None, 0.2]
    moving = PeopleTable(size, ones, 0 * ones, np.arange(4.0), found, error)
    assert [group.people for group in list(break_down(moving).values())[-1]] == [1, 1, 2]


def test_the_worst_frames_come_first() -> None:
    frames = [frame_people([0.9]), frame_people([0.9, 0]), frame_people([0.9], 2)]
    frames += [frame_people([]), frame_people([], 1), frame_people([0, 0])]
    worst = worst_frames(frames, 4)
    assert [place for place, _ in worst] == [5, 4, 2, 1]
    assert [worth for _, worth in worst] == pytest.approx([0, 0, 0.3, 0.45])
