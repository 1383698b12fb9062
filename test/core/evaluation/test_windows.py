from dataclasses import replace

import cv2
import numpy as np
import pytest

from pavenet_core.evaluation.windows import find_people, neighbours_of
from pavenet_core.runtime import PoseModel

BRIGHTNESS = [40, 80, 120, 160, 200]


@pytest.fixture
def model(stand_in) -> PoseModel:
    return PoseModel(stand_in)


@pytest.mark.parametrize(
    ('window', 'seen'),
    [
        ('causal', [[40, 40, 40], [40, 80, 80], [160, 200, 200]]),
        ('lookahead', [[40, 40, 80], [40, 80, 120], [160, 200, 200]]),
        ('still', [[40] * 3, [80] * 3, [200] * 3]),
    ],
)
def test_a_window_sees_its_frames(window, seen, model, write_clip, read_window) -> None:
    dataset = write_clip(BRIGHTNESS, [0, 1, 4])
    poses = find_people(model, dataset, neighbours_of(window, model.metadata))
    assert [read_window(people) for people in poses] == seen


def test_frames_may_lie_apart(model, write_clip, read_window) -> None:
    dataset = write_clip(BRIGHTNESS, [2])
    (people,) = find_people(model, dataset, neighbours_of('lookahead', model.metadata, step=2))
    assert read_window(people) == [40, 120, 200]


def test_each_frame_is_encoded_once_and_answers_keep_the_datasets_order(
    model, write_clip, read_window, monkeypatch
) -> None:
    one, other = write_clip(BRIGHTNESS, [3, 1, 2]), write_clip([60, 100], [1, 0], name='other')
    mixed = replace(one, frames=(one.frames[0], other.frames[0], *one.frames[1:]))
    encode, seen = model.encode, []
    monkeypatch.setattr(
        model, 'encode', lambda image: seen.append(image[0, 0, 0]) or encode(image)
    )
    poses = find_people(model, mixed, neighbours_of('lookahead', model.metadata))
    assert [read_window(people)[1] for people in poses] == [160, 100, 80, 120]
    assert sorted(int(value) for value in seen) == sorted([*BRIGHTNESS, 60, 100])


def test_labels_of_another_picture_size_are_refused(model, write_clip) -> None:
    dataset = write_clip(BRIGHTNESS, [2])
    other = replace(dataset, frames=(replace(dataset.frames[0], size=(999, 999)),))
    with pytest.raises(ValueError, match='but its labels say 999x999'):
        find_people(model, other, neighbours_of('causal', model.metadata))


def test_a_neighbour_of_another_size_is_refused(model, write_clip) -> None:
    dataset = write_clip(BRIGHTNESS, [2])
    cv2.imwrite(str(dataset.frames[0].clip.files[1]), np.zeros((60, 40, 3), np.uint8))
    with pytest.raises(ValueError, match=r'clip01\.png is 40x60, but the labelled .* is 60x40'):
        find_people(model, dataset, neighbours_of('causal', model.metadata))
