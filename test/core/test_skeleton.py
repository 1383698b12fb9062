"""The facts of the known skeletons, and how others are made."""

import pytest

from pavenet_core.skeleton import (
    COCO17,
    DEFAULT_SIGMA,
    POSETRACK15,
    POSETRACK_SLOT_NAMES,
    POSETRACK_SLOTS,
    SKELETONS,
    Skeleton,
)


@pytest.mark.parametrize('skeleton', SKELETONS.values(), ids=lambda s: s.name)
def test_names_alone_give_the_known_facts(skeleton: Skeleton) -> None:
    made = Skeleton.of_names(skeleton.name, skeleton.names, skeleton.edges)
    assert made == skeleton
    assert Skeleton.from_json(made.to_json()) == made
    assert [made.names[i] for i in made.mirror] == [
        name.replace('left', '?').replace('right', 'left').replace('?', 'right')
        for name in made.names
    ]


def test_posetracks_places_hold_its_keypoints() -> None:
    assert len(POSETRACK_SLOT_NAMES) == len(COCO17)
    assert tuple(POSETRACK_SLOT_NAMES[slot] for slot in POSETRACK_SLOTS) == POSETRACK15.names


def test_an_unknown_keypoint_has_the_default_spread() -> None:
    made = Skeleton.of_names('own', ('head_top', 'tail', 'LeftPaw', 'RightPaw'))
    assert made.sigmas == (0.079, *[DEFAULT_SIGMA] * 3)
    assert made.flip_pairs == ((2, 3),)
    assert Skeleton.of_names('own', ('tail',), sigmas=(0.2,)).sigmas == (0.2,)


@pytest.mark.parametrize(
    ('left', 'right'),
    [
        ('l_wrist', 'r_wrist'),
        ('L_WRIST', 'R_WRIST'),
        ('LWrist', 'RWrist'),
        ('lWrist', 'rWrist'),
        ('LWRIST', 'RWRIST'),
        ('wrist_l', 'wrist_r'),
        ('wrist.L', 'wrist.R'),
        ('WristL', 'WristR'),
        ('hand_l_thumb', 'hand_r_thumb'),
        ('L Lower Leg', 'R Lower Leg'),
        ('L', 'R'),
        ('kneeleft', 'kneeright'),
        ('left_shoe_right', 'right_shoe_left'),
    ],
)
def test_words_and_letters_tell_the_sides(left: str, right: str) -> None:
    made = Skeleton.of_names('own', ('lip', right, 'rib', left))
    assert made.flip_pairs == ((3, 1),)
    assert made.sides == ('', 'right', '', 'left')


@pytest.mark.parametrize(
    'names',
    [
        ('lip', 'lower_lip', 'rib', 'LIP', 'chin'),
        ('lip', 'rip', 'lower', 'rower'),
        ('wheel', 'wheer', 'l1', 'r1'),
        ('l_wrist', 'nose', 'R'),
        ('cleft', 'upright', 'bright_spot'),
    ],
)
def test_no_side_is_seen_where_there_is_none(names: tuple[str, ...]) -> None:
    made = Skeleton.of_names('own', names)
    assert made.flip_pairs == ()
    assert set(made.sides) == {''}


def test_a_keypoint_swaps_with_one_other() -> None:
    known = COCO17.to_json()
    with pytest.raises(ValueError, match='coco17 swaps left_eye with two keypoints'):
        Skeleton.from_json({**known, 'flip_pairs': [[1, 2], [1, 4]]})


@pytest.mark.parametrize(
    ('names', 'edges', 'message'),
    [
        (('a', 'a'), (), 'two keypoints of one name'),
        (('left_a', 'b'), (), 'left_a of skeleton own has no right_a'),
        (('RightA', 'b'), (), 'RightA of skeleton own has no LeftA'),
        (('a', 'b'), ((0, 2),), 'joins keypoints that it does not have'),
    ],
)
def test_contradictions_are_refused(
    names: tuple[str, ...], edges: tuple[tuple[int, int], ...], message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        Skeleton.of_names('own', names, edges)


@pytest.mark.parametrize('sigma', [0.0, -0.1, float('nan')])
def test_a_spread_that_nothing_can_be_divided_by_is_refused(sigma: float) -> None:
    with pytest.raises(ValueError, match=f'skeleton own needs sigmas above 0, got .*{sigma}'):
        Skeleton.of_names('own', ('a', 'b'), sigmas=(0.1, sigma))
