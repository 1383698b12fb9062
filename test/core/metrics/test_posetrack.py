import numpy as np
import pytest

from pavenet_core.metrics import posetrack_ap
from pavenet_core.metrics.posetrack import GROUPS, JOINTS, assign, right_joints
from pavenet_core.skeleton import COCO17, POSETRACK15

HEAD = [0, 0, 60, 80]  # diagonal 100, head size 60: joints may be 30 px off
PERSON = np.random.default_rng(0).uniform(100, 500, (15, 2)).round()
NOSE, WRIST = POSETRACK15.names.index('nose'), POSETRACK15.names.index('left_wrist')


def marked(*people: np.ndarray, without: tuple[int, ...] = ()) -> np.ndarray:
    seen = np.ones((len(people), 15, 1))
    seen[:, list(without)] = 0
    return np.concatenate([np.stack(people), seen], 2)


def moved(person: np.ndarray, joint: int, by: float) -> np.ndarray:
    other = person.copy()
    other[joint, 0] += by
    return other


@pytest.fixture
def ap(label, collect, answer):
    """Give the AP of one frame's answers, (people, scores), by name."""

    def measure(labelled, people, scores, **how):
        labels = label(labelled, head_box=HEAD, **how)
        points = np.reshape(people, (-1, 15, 2))
        each = np.tile(np.reshape(scores, (-1, 1)), 15)
        return posetrack_ap(collect(POSETRACK15, [labels]), [answer(points, scores, each)])

    return measure


def test_a_perfect_answer_is_a_hundred_everywhere(ap) -> None:
    found = ap(marked(PERSON), [PERSON], [0.5])
    assert set(found) == {*JOINTS, *GROUPS, 'Total'}
    assert set(found.values()) == {100.0}


def test_a_joint_may_be_half_a_head_off(ap) -> None:
    assert ap(marked(PERSON), [moved(PERSON, NOSE, 30)], [0.5])['nose'] == 100
    off = ap(marked(PERSON), [moved(PERSON, NOSE, 30.1)], [0.5])
    assert (off['nose'], off['head_top']) == (0, 100)
    assert off['Head'] == pytest.approx(200 / 3)
    assert off['Total'] == pytest.approx(1400 / 15)


def test_a_second_answer_for_the_same_person_is_wrong_and_costs_by_its_rank(ap) -> None:
    worse = moved(PERSON, NOSE, 40)
    found = ap(marked(PERSON), [worse, PERSON], [0.9, 0.5])
    assert (found['nose'], found['Total']) == (50, 50)  # the better fits, but ranks second
    assert ap(marked(PERSON), [PERSON, worse], [0.9, 0.5])['Total'] == 100


def test_joints_that_nobody_marked_are_wrong_answers(ap) -> None:
    other = PERSON + 1000
    labelled = np.concatenate([marked(PERSON, without=(WRIST,)), marked(other)])
    found = ap(labelled, [PERSON, other], [0.9, 0.5])
    assert (found['left_wrist'], found['right_wrist']) == (50, 100)
    assert found['Wri'] == 75


def test_a_joint_found_but_nowhere_marked_has_no_ap_nor_its_group_and_total_leaves_it_out(
    ap,
) -> None:
    found = ap(marked(PERSON, without=(WRIST,)), [PERSON], [0.9])
    assert found['left_wrist'] is None
    assert found['Wri'] is None
    assert found['Total'] == 100
    nobody = ap(marked(PERSON, without=(WRIST,)), [], [])
    assert (nobody['left_wrist'], nobody['Total']) == (0, 0)


def test_a_miss_limits_the_recall(ap) -> None:
    assert ap(marked(PERSON, PERSON + 1000), [PERSON], [0.9])['Total'] == 50


def test_nothing_counts_within_an_ignored_region(ap) -> None:
    around = [[0, 0], [600, 0], [600, 600], [0, 600]]
    labelled = marked(PERSON, PERSON + 1000)
    without = ap(labelled, [PERSON + 2, PERSON + 1000], [0.9, 0.5], ignore_regions=[around])
    assert set(without.values()) == {100.0}
    beside = ap(labelled, [PERSON + 2000, PERSON + 1000], [0.9, 0.5], ignore_regions=[around])
    assert set(beside.values()) == {50.0}


def test_frames_without_anybody_do_not_count_but_those_with_boxes_alone_do(
    label, collect, answer
) -> None:
    labelled, nobody = label(marked(PERSON), head_box=HEAD), label(np.zeros((0, 15, 3)))
    box_alone = label(np.zeros((1, 15, 3)))
    answers = [answer(PERSON[None], [0.5], 0.5), answer(PERSON[None], [0.9], 0.9)]
    total = [
        posetrack_ap(collect(POSETRACK15, [labelled, other]), answers)['Total']
        for other in (nobody, box_alone)
    ]
    assert total == [100, 50]


def test_a_person_is_given_where_the_greatest_share_of_joints_is_near() -> None:
    near = np.zeros((2, 2, 4), bool)  # people, labelled, joints
    near[0, 0, :2] = near[0, 1, 0] = True  # 2 of 4, 1 of 1
    near[1, 0, 3] = True  # 1 of 4
    joints = np.ones((2, 4), bool)
    joints[1, 1:] = False
    target = assign(near, joints)
    assert target.tolist() == [1, 0]
    right = right_joints(near, target)
    assert right.tolist() == [[True, False, False, False], [False, False, False, True]]
    near[1, 0] = False
    assert assign(near, joints).tolist() == [1, -1]


def test_labels_that_poseval_cannot_use_are_refused(label, collect, answer) -> None:
    faces = collect(COCO17, [label(np.zeros((0, 17, 3)))])
    with pytest.raises(ValueError, match=r'needs the joints of posetrack15, .* has coco17'):
        posetrack_ap(faces, [])
    headless = collect(POSETRACK15, [label(marked(PERSON))])
    with pytest.raises(ValueError, match='needs a head box for every person, but image 0 of made'):
        posetrack_ap(headless, [answer(PERSON[None], [1])])
    with pytest.raises(ValueError, match='0 frames were answered, but 1 are labelled'):
        posetrack_ap(collect(POSETRACK15, [label(marked(PERSON), head_box=HEAD)]), [])
