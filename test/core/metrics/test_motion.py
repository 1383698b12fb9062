from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from pavenet_core.data.dataset import Clip, Dataset
from pavenet_core.metrics.motion import jitter, speeds
from pavenet_core.metrics.people import match_dataset
from pavenet_core.skeleton import COCO17

PERSON = np.random.default_rng(0).uniform(50, 250, (17, 2)).round()
AREA = 100.0**2


@pytest.fixture
def walk(label, collect):
    """Give the maker of one person's walk through a clip: offsets in pixels at frames."""

    def make(offsets: dict[int, float]) -> Dataset:
        points = [
            np.column_stack([np.add(PERSON, [x, 0]), np.ones(17)])[None] for x in offsets.values()
        ]
        dataset = collect(COCO17, [label(p, area=AREA) for p in points])
        clip = Clip('walk', tuple(Path(f'{i}.jpg') for i in range(max(offsets) + 1)))
        return replace(
            dataset,
            frames=tuple(
                replace(
                    frame,
                    clip=clip,
                    index=index,
                    labels=replace(frame.labels, track_ids=np.array([7])),
                )
                for frame, index in zip(dataset.frames, offsets, strict=True)
            ),
        )

    return make


def test_speed_is_in_sizes_per_frame_and_from_both_sides(walk) -> None:
    moved = speeds(walk({0: 0, 2: 20, 3: 50}))  # 10 and 30 pixels a frame, sizes of 100
    assert [float(speed[0]) for speed in moved] == pytest.approx([0.1, 0.2, 0.3])


def test_without_another_frame_of_the_person_the_speed_is_unknown(walk) -> None:
    assert np.isnan(speeds(walk({0: 0}))[0]).all()


def test_jitter_is_the_bend_beyond_the_labels_own(walk, answer) -> None:
    labelled = walk({0: 0, 1: 10, 2: 40})  # the labels' own bend does not count
    offsets = (0, 10, 40)

    def shaken(*shakes: float) -> float | None:
        poses = [
            answer(np.add(PERSON, [x + shake, 0])[None], [0.9])
            for x, shake in zip(offsets, shakes, strict=True)
        ]
        return jitter(labelled, poses, match_dataset(labelled, poses))

    assert shaken(0, 0, 0) == pytest.approx(0, abs=1e-6)
    assert shaken(3, 3, 3) == pytest.approx(0, abs=1e-6)
    assert shaken(0, 3, 0) == pytest.approx(0.06)
    assert shaken(0, 900, 0) is None  # not found, so nobody is followed


def test_uneven_steps_do_not_count(walk, answer) -> None:
    labelled = walk({0: 0, 1: 0, 3: 0})
    poses = [answer(PERSON[None], [0.9])] * 3
    assert jitter(labelled, poses, match_dataset(labelled, poses)) is None
