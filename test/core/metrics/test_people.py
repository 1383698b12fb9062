import numpy as np
import pytest

from pavenet_core.metrics.people import (
    joint_answers,
    keypoint_similarity,
    match_dataset,
    match_people,
    missed_rate,
)
from pavenet_core.skeleton import COCO17

PERSON = np.random.default_rng(0).uniform(50, 250, (17, 2)).round()
OTHER = np.add(PERSON, [400, 0])


def marked(*people: np.ndarray) -> np.ndarray:
    return np.concatenate([np.stack(people), np.ones((len(people), 17, 1))], 2)


def test_the_similarity_is_cocos(label, answer) -> None:
    labels = label(marked(PERSON), area=10_000)
    labels.keypoints[0, 1:, 2] = 0  # the nose alone, of sigma 0.026
    found = answer(np.add(PERSON, [5, 0])[None], [0.9])
    expected = np.exp(-25 / (2 * 10_000 * (2 * 0.026) ** 2))
    assert keypoint_similarity(labels, found, COCO17) == pytest.approx(expected, rel=1e-6)


def test_each_person_is_found_once_by_the_best_answer(label, answer) -> None:
    labels = label(marked(PERSON, OTHER))
    match = match_people(labels, answer([OTHER, PERSON, PERSON + 1], [0.4, 0.9, 0.8]), COCO17)
    assert match.found.tolist() == [1, 0]
    assert match.oks == pytest.approx([1, 1])
    assert match.invented == 1


def test_below_the_score_or_too_far_off_nobody_is_found(label, collect, answer) -> None:
    labelled = collect(COCO17, [label(marked(PERSON, OTHER))])
    matches = match_dataset(labelled, [answer([PERSON, OTHER + 200], [0.9, 0.8])])
    assert missed_rate(matches) == 0.5
    assert matches[0].invented == 1
    unsure = match_dataset(labelled, [answer([PERSON, OTHER], [0.29, 0.2])])
    assert (missed_rate(unsure), unsure[0].invented) == (1, 0)


def test_crowds_boxes_and_ignored_regions_count_neither_way(label, collect, answer) -> None:
    box_alone = np.concatenate([marked(OTHER), np.zeros((1, 17, 3))])  # its box is 50 to 250
    region = [[840, 0], [1100, 0], [1100, 300], [840, 300]]
    inside = [PERSON, np.add(PERSON, [800, 0])]
    frames = [
        label(box_alone, ignore_regions=[region]),
        label(marked(OTHER, PERSON), crowds=[1], ignore_regions=[region]),
    ]
    answers = [answer(inside, [0.9, 0.8])] * 2
    matches = match_dataset(collect(COCO17, frames), answers)
    assert [match.invented for match in matches] == [0, 0]
    assert [match.counted.tolist() for match in matches] == [[True, False]] * 2
    assert missed_rate(matches) == 1
    nobody = collect(COCO17, [label(np.zeros((0, 17, 3)))])
    assert missed_rate(match_dataset(nobody, answers[:1])) is None


def test_a_joints_answers_leave_out_what_the_labels_do_not_say(label, collect, answer) -> None:
    labels = label(marked(PERSON))
    labels.keypoints[0, 0, 2] = 0
    labelled = collect(COCO17, [labels])
    moved = PERSON.copy()
    moved[1] += 100
    found = joint_answers(labelled, [answer([moved, OTHER], [0.9, 0.8])])
    nose, eye, other_eye = (found[COCO17.names[i]] for i in range(3))
    assert (len(nose.scores), nose.labelled) == (1, 0)  # the other person's only
    assert (eye.right.tolist(), eye.labelled) == ([False, False], 1)
    assert other_eye.right.tolist() == [True, False]
