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
    ('names', 'edges', 'message'),
    [
        (('a', 'a'), (), 'two keypoints of one name'),
        (('left_a', 'b'), (), 'left_a of skeleton own has no right_a'),
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
