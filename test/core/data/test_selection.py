"""Training leaves out what the authors' readers leave out."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from pavenet_core.data.dataset import Clip, Dataset, LabelledFrame
from pavenet_core.data.people import Person, to_labels
from pavenet_core.data.selection import for_training
from pavenet_core.skeleton import Skeleton

TWO = Skeleton.of_names('two', ('top', 'bottom'))
MARKED = np.array([[1, 1, 1], [9, 30, 1]], np.float32)
UNMARKED = np.zeros((2, 3), np.float32)


def dataset(*people: Person) -> Dataset:
    clip = Clip('walk', (Path('0.jpg'),))
    return Dataset('some', TWO, (LabelledFrame(clip, 0, 1, to_labels(people, 2, []), (64, 48)),))


GOOD = Person(MARKED, box=(1, 1, 9, 30), track_id=0)


@pytest.mark.parametrize(
    ('person', 'stays'),
    [
        (Person(MARKED, box=(1, 1, 1.5, 30)), False),  # under a pixel wide
        (Person(MARKED, box=(1, 1, 9, 1.5)), False),
        (Person(MARKED, box=(1, 1, 9, 30), area=0), False),
        (Person(MARKED, box=(-20, 1, -1, 30)), False),  # left of the picture
        (Person(MARKED, box=(1, -30, 9, -1)), False),
        (Person(MARKED, box=(64, 1, 80, 30)), False),
        (Person(MARKED, box=(1, 48, 9, 60)), False),
        (Person(MARKED, box=(63, 47, 80, 60)), True),
        (Person(UNMARKED, box=(1, 1, 9, 30)), True),  # where finding somebody is no mistake
        (Person(UNMARKED, box=(1, 1, 9, 30), crowd=True), True),
    ],
)
def test_people(person: Person, stays: bool) -> None:
    (frame,) = for_training(dataset(GOOD, replace(person, track_id=1))).frames
    assert frame.labels.track_ids.tolist() == [0, 1][: 1 + stays]
    assert len(frame.labels.keypoints) == len(frame.labels.areas) == len(frame.labels.boxes)


def test_frames_without_a_marked_person_go() -> None:
    full = dataset(GOOD)
    empty = [dataset(), dataset(Person(UNMARKED, box=(1, 1, 9, 9)))]
    empty.append(dataset(Person(MARKED, box=(1, 1, 9, 9), crowd=True)))
    frames = (*(e.frames[0] for e in empty), full.frames[0])
    assert for_training(replace(full, frames=frames)) is not None
    assert len(for_training(replace(full, frames=frames)).frames) == 1


def test_nothing_to_learn_from_is_refused() -> None:
    with pytest.raises(ValueError, match='none of the 1 frames of some'):
        for_training(dataset())


def test_people_left_out_are_told(caplog: pytest.LogCaptureFixture) -> None:
    thin = Person(MARKED, box=(1, 1, 1.5, 30))
    with caplog.at_level('INFO'):
        for_training(dataset(GOOD, Person(UNMARKED, box=(1, 1, 9, 30))))
        assert not caplog.messages
        for_training(dataset(GOOD, thin))
    (said,) = caplog.messages
    assert said.startswith('some: left out 1 of 2 people, for boxes under a pixel wide')
    with pytest.raises(ValueError, match='keypoints but for 1 with boxes under a pixel wide'):
        for_training(dataset(thin))


def test_a_person_of_whom_nothing_says_where_is_nobody() -> None:
    assert len(to_labels([Person(UNMARKED), GOOD], 2, []).boxes) == 1
