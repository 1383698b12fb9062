from dataclasses import replace

import numpy as np
import pytest

from pavenet_core.evaluation import temporal
from pavenet_core.evaluation.temporal import CONDITIONS, compare_windows
from pavenet_core.evaluation.windows import WINDOWS
from pavenet_core.runtime import PoseModel

pytest.importorskip('pycocotools')


def test_only_the_key_frame_is_made_worse(stand_in, write_clip, read_window, monkeypatch) -> None:
    seen = {}
    decode = temporal.decode

    def watch(model, window, score_threshold):
        poses = decode(model, window, score_threshold)
        seen.setdefault(len(seen), read_window(poses))
        return poses

    monkeypatch.setattr(temporal, 'decode', watch)
    dataset = write_clip([50, 100, 200], [1])
    rows = compare_windows(PoseModel(stand_in), dataset)
    order = [(row.key_frame, row.window) for row in rows]
    assert order == [(condition, window) for condition in CONDITIONS for window in WINDOWS]
    by_row = dict(zip(order, seen.values(), strict=True))
    assert by_row['clean', 'causal'] == [50, 100, 100]
    assert by_row['clean', 'lookahead'] == [50, 100, 200]
    assert by_row['darkness', 'causal'] == [50, 10, 10]
    assert by_row['darkness', 'lookahead'] == [50, 10, 200]
    assert by_row['darkness', 'still'] == [10, 10, 10]


def test_the_rows_hold_the_metrics(stand_in, write_clip) -> None:
    rows = compare_windows(PoseModel(stand_in), write_clip([50, 100, 200], [0, 1, 2]))
    for row in rows:
        assert 0 <= row.AP <= row.AP50 <= 1
        assert (row.missed is not None, row.jitter) == (True, None)


def test_it_can_be_repeated(stand_in, write_clip) -> None:
    dataset = write_clip([50, 100, 200], [0, 1, 2])
    once, again = (compare_windows(PoseModel(stand_in), dataset) for _ in range(2))
    assert once == again


def test_a_model_of_one_frame_has_no_windows(stand_in, write_clip) -> None:
    model = PoseModel(stand_in)
    model.metadata = replace(model.metadata, num_frames=1)
    with pytest.raises(ValueError, match='stand-in sees one frame'):
        compare_windows(model, write_clip([np.uint8(50)], [0]))
