"""People who walk, cross, vanish and come back, as the network would see them."""

import numpy as np
import pytest

from pavenet_core.poses import Poses
from pavenet_core.runtime.appearance import Looks
from pavenet_core.runtime.identities import Identities

MS = 1_000_000
STEP = 40 * MS
GREY, RED, BLUE = (25.0, 0.0, 0.0), (25.0, 40.0, 20.0), (15.0, 20.0, -40.0)
# Somebody who stands: 17 points, 60 wide and 160 high, so of a size of 98.
BODY = np.random.default_rng(0).uniform(0, 1, (17, 2)) * [60, 160]
BODY[:2] = [[0, 0], [60, 160]]
SIZE = (60 * 160) ** 0.5


def body(x: float) -> np.ndarray:
    return np.add(BODY, [x, 0]).astype(np.float32)


def frame(stamp_ns: int, people: list[tuple[float, list[float]]]) -> Poses:
    """Make an answer; of each person where they are, and where in the frames of the window."""
    here = np.array([body(x) for x, _ in people], np.float32).reshape(-1, 17, 2)
    seen = [[body(at) for at in window] for _, window in people]
    window = np.array(seen, np.float32) if people else np.zeros((0, 3, 17, 2), np.float32)
    ones = np.ones((len(people), 17), np.float32)
    scores = np.linspace(0.9, 0.8, len(people)).astype(np.float32)
    return Poses(stamp_ns, here, ones, scores, window_px=window)


def dressed(*colours: tuple[float, float, float], limbs: int = 10) -> Looks:
    """Return people whose limbs are all of one colour each, and all seen."""
    one = np.array(colours, np.float32).reshape(-1, 1, 3)
    return Looks(one.repeat(limbs, 1), np.ones((len(one), limbs), np.float32))


def name(
    identities: Identities, poses: Poses, stamps_ns: tuple[int, ...], looks: Looks | None = None
) -> Poses:
    """Let people be named, by the place alone if nothing is said about their looks."""
    return identities.name(poses, stamps_ns, looks or dressed(*[GREY] * len(poses), limbs=0))


def walk(
    identities: Identities,
    *paths: list[float | None],
    knows_motion: bool = True,
    clothes: list[tuple[float, float, float]] | None = None,
) -> list[list[int]]:
    """Let people be at these places frame by frame, None for not seen; return the ids."""
    answers = []
    for step in range(len(paths[0])):
        people, worn = [], []
        for index, path in enumerate(paths):
            here, before = path[step], path[step - 1] if step else path[step]
            if here is not None:
                was = here if before is None or not knows_motion else before
                people.append((here, [was, here, here]))
                worn.append(clothes[index] if clothes else GREY)
        stamps = (max(0, step - 1) * STEP, step * STEP, step * STEP)
        looks = dressed(*worn, limbs=10 if clothes else 0)
        ids = name(identities, frame(step * STEP, people), stamps, looks).ids
        assert ids is not None
        assert ids.dtype == np.int64
        answers.append(ids.tolist())
    return answers


def test_people_keep_their_ids_also_when_their_order_changes() -> None:
    identities = Identities()
    stamps = (0, 0, 0), (0, STEP, STEP)
    first = name(identities, frame(0, [(0, [0] * 3), (200, [200] * 3)]), stamps[0])
    second = name(identities, frame(STEP, [(210, [210] * 3), (10, [10] * 3)]), stamps[1])
    assert first.id_names == ['1', '2']
    assert second.id_names == ['2', '1']
    np.testing.assert_array_equal(second.keypoints_px[1], body(10))


def test_people_who_cross_keep_their_ids_by_the_networks_motion() -> None:
    left, right = [0.0, 40, 80, 120, 160], [160.0, 120, 80 + 20, 40, 0]
    assert walk(Identities(), left, right) == [[1, 2]] * 5


def test_without_that_motion_fast_people_who_cross_swap() -> None:
    # The two change places between two frames: what tells them apart is the network alone.
    left, right = [0.0, 60.0], [60.0, 0.0]
    assert walk(Identities(), left, right) == [[1, 2], [1, 2]]
    assert walk(Identities(), left, right, knows_motion=False) == [[1, 2], [2, 1]]


def test_the_motion_finds_somebody_who_runs_out_of_reach() -> None:
    run = [0.0, 100.0, 200.0]
    assert walk(Identities(), run) == [[1]] * 3
    assert walk(Identities(), run, knows_motion=False) == [[1], [2], [3]]


def test_the_nearest_pair_is_taken_first() -> None:
    # The second person stands still; the first one is new, and would be in reach.
    identities = Identities()
    walk(identities, [0.0])
    people = [(40, [40] * 3), (2, [2] * 3)]
    assert name(identities, frame(STEP, people), (0, STEP, STEP)).id_names == ['2', '1']


@pytest.mark.parametrize(('absence', 'expected'), [(1, 1), (75, 1), (76, 2)])
def test_somebody_missing_is_remembered_for_three_seconds(absence: int, expected: int) -> None:
    path = [0.0, *[None] * absence, 0.0]
    assert walk(Identities(), path, clothes=[RED])[-1] == [expected]


@pytest.mark.parametrize(('absence', 'expected'), [(25, 1), (70, 2)])
def test_who_shows_no_limbs_is_remembered_for_less(absence: int, expected: int) -> None:
    assert walk(Identities(), [0.0, *[None] * absence, 0.0])[-1] == [expected]


def test_who_was_in_the_last_image_is_remembered_however_long_ago_that_was() -> None:
    identities = Identities()
    for stamp_ns in (0, 3 * 10**9, 6 * 10**9):
        ids = name(identities, frame(stamp_ns, [(0, [0] * 3)]), (stamp_ns,) * 3).ids
        assert ids is not None
        assert ids.tolist() == [1]


def test_who_passes_behind_somebody_keeps_their_id() -> None:
    # Hidden for eight frames, and out again well beyond the reach of the next frame.
    behind = [*np.linspace(200, 120, 9), *[None] * 8, *np.linspace(30, -50, 9)]
    front = np.linspace(-50, 200, 26).tolist()
    assert walk(Identities(), front, behind, knows_motion=False)[-1] == [1, 2]


def test_somebody_unseen_is_looked_for_as_far_as_they_may_have_gone() -> None:
    gone = 0.6 * SIZE + 2.0 * 10 * 0.04 * SIZE
    for x, expected in ((gone - 1, 1), (gone + 1, 2)):
        path = [0.0, *[None] * 9, x]
        assert walk(Identities(), path, knows_motion=False)[-1] == [expected]


def test_who_was_just_there_goes_before_who_was_there_once() -> None:
    once, now = [0.0, None, None, None], [20.0, 20.0, 20.0, 8.0]
    assert walk(Identities(), once, now, knows_motion=False)[-1] == [2]


def test_who_comes_in_other_clothes_where_somebody_left_is_somebody_new() -> None:
    here, there = [0.0, 0.0, None, None, None], [None, None, None, None, 10.0]
    assert walk(Identities(), here, there, clothes=[RED, BLUE])[-1] == [2]
    assert walk(Identities(), here, there, clothes=[RED, RED])[-1] == [1]


def test_the_longer_ago_the_more_alike_they_must_look() -> None:
    almost = (RED[0], RED[1] - 10, RED[2])
    for absence, expected in ((5, 1), (60, 2)):
        here = [0.0, *[None] * (absence + 1)]
        there = [None] * (absence + 1) + [0.0]
        assert walk(Identities(), here, there, clothes=[RED, almost])[-1] == [expected]


def test_looks_tell_apart_who_meets_behind_something() -> None:
    # They change places unseen; by the place each would be the other.
    left, right = [0.0, 10.0, None, None, 50.0], [60.0, 50.0, None, None, 10.0]
    assert walk(Identities(), left, right, clothes=[RED, BLUE])[-1] == [1, 2]
    assert walk(Identities(), left, right, clothes=[RED, RED])[-1] == [2, 1]


def test_nobody_takes_the_id_of_who_they_hide() -> None:
    # One answer for two people who were both just there: it is the one who looks like it.
    hidden, front = [0.0, 35.0, None], [60.0, 50.0, 40.0]
    for clothes, expected in (([RED, BLUE], 2), ([RED, RED], 1)):
        ids = walk(Identities(), hidden, front, clothes=clothes, knows_motion=False)
        assert ids[-1] == [expected]


def test_of_two_where_somebody_was_it_is_the_one_who_looks_like_it() -> None:
    here, new, nearer = [0.0, 20.0], [None, 5.0], [None, 20.0]
    assert walk(Identities(), here, new, clothes=[RED, BLUE], knows_motion=False)[-1] == [1, 2]
    assert walk(Identities(), [0.0, None], nearer, new, clothes=[RED] * 3)[-1] == [2, 1]


def test_small_differences_of_looks_count_as_distance() -> None:
    alike = (RED[0], RED[1] - 8, RED[2])
    left, right = [0.0, None, 38.0], [60.0, None, 22.0]
    assert walk(Identities(), left, right, clothes=[RED, alike])[-1] == [1, 2]
    assert walk(Identities(), left, right, clothes=[RED, RED])[-1] == [2, 1]


def test_a_moment_does_not_change_what_somebody_looks_like() -> None:
    identities = Identities()
    for step, colour in enumerate([RED] * 10 + [BLUE] + [None] * 3 + [RED]):
        poses = frame(step * STEP, [] if colour is None else [(0, [0] * 3)])
        worn = [] if colour is None else [colour]
        ids = name(identities, poses, (step * STEP,) * 3, dressed(*worn)).id_names
    assert ids == ['1']


def test_where_there_is_no_choice_light_may_change() -> None:
    identities = Identities()
    for step, colour in enumerate((RED, (90.0, 0.0, 0.0), BLUE)):
        poses = frame(step * STEP, [(0, [0] * 3), (400, [400] * 3)])
        stamps = (step * STEP,) * 3
        assert name(identities, poses, stamps, dressed(colour, GREY)).id_names == ['1', '2']


def test_light_may_change_for_two_who_stand_together() -> None:
    # One black picture, or a lamp: neither looks like anybody, so that places tell.
    identities = Identities()
    for step, light in enumerate((1, 1, 0, 1, 1, 0, 0)):
        stamps = (step * STEP,) * 3
        looks = dressed(*[tuple(light * np.array(colour)) for colour in (RED, BLUE)])
        people = [(0, [0] * 3), (45, [45] * 3)]
        assert name(identities, frame(step * STEP, people), stamps, looks).id_names == ['1', '2']


def test_light_may_change_where_somebody_is_missing() -> None:
    left, stays = [0.0, None, None], [60.0] * 3
    identities = Identities()
    walk(identities, left, stays, clothes=[RED, BLUE])
    stamps, dark = (3 * STEP,) * 3, dressed((0.0, 0.0, 0.0))
    people = [(60, [60] * 3)]
    assert name(identities, frame(3 * STEP, people), stamps, dark).id_names == ['2']


@pytest.mark.parametrize(('lightness', 'expected'), [(7.0, '1'), (45.0, '2')])
def test_looks_are_those_of_the_last_frames(lightness: float, expected: str) -> None:
    # Slowly from sunlight into the shade, and there out of sight for a moment.
    identities = Identities()
    for step in range(20):
        looks = dressed((45.0 - 2 * step, 0.0, 0.0))
        name(identities, frame(step * STEP, [(0, [0] * 3)]), (step * STEP,) * 3, looks)
    name(identities, frame(20 * STEP, []), (20 * STEP,) * 3)
    later, looks = frame(25 * STEP, [(0, [0] * 3)]), dressed((lightness, 0.0, 0.0))
    assert name(identities, later, (25 * STEP,) * 3, looks).id_names == [expected]


def test_ids_are_never_given_again() -> None:
    identities = Identities()
    assert walk(identities, [0.0], [300.0]) == [[1, 2]]
    identities.forget()
    assert walk(identities, [0.0], [300.0]) == [[3, 4]]


def test_of_two_answers_for_one_person_the_surer_has_the_id() -> None:
    double = [0.1 * SIZE] * 3
    answers = walk(Identities(), [0.0] * 3, double, [200.0] * 3)
    assert answers == [[1, 0, 2]] * 3
    assert walk(Identities(), [0.0], [0.2 * SIZE]) == [[1, 2]]


def test_nobody_is_an_ordinary_frame() -> None:
    identities = Identities()
    assert walk(identities, [None, 0.0, None, 0.0]) == [[], [1], [], [1]]


def test_the_place_at_the_last_answer_is_read_between_the_frames_of_the_window() -> None:
    # The window's earlier frame is two answers back: somebody seen in the last answer only was
    # halfway then.
    identities = Identities()
    name(identities, frame(STEP, [(100, [100] * 3)]), (STEP, STEP, STEP))
    runner = (200, [0, 200, 200])
    later = name(identities, frame(2 * STEP, [runner]), (0, 2 * STEP, 2 * STEP))
    assert later.id_names == ['1']
    # One who was there at the earlier frame too, and somewhere else, is not that person.
    identities = Identities()
    name(identities, frame(STEP, [(0, [0] * 3)]), (STEP, STEP, STEP))
    assert name(identities, frame(2 * STEP, [runner]), (0, 2 * STEP, 2 * STEP)).id_names == ['2']


def test_frames_of_the_future_and_stand_ins_do_not_count() -> None:
    identities = Identities()
    walk(identities, [0.0])
    person = (0, [0, 0, 500])
    assert name(identities, frame(STEP, [person]), (0, STEP, 2 * STEP)).id_names == ['1']
    # At a run's start the key frame stands in for the frame before it.
    strange = (0, [500, 0, 0])
    assert name(identities, frame(2 * STEP, [strange]), (2 * STEP,) * 3).id_names == ['1']


def test_a_model_of_one_frame_follows_by_the_place() -> None:
    identities = Identities()
    for step in range(3):
        poses = frame(step * STEP, [(20 * step, [20 * step]), (300, [300])])
        assert name(identities, poses, (step * STEP,)).id_names == ['1', '2']


def test_a_person_of_one_point_does_no_harm() -> None:
    identities = Identities()
    point = Poses(
        0,
        np.zeros((1, 17, 2), np.float32),
        np.ones((1, 17), np.float32),
        np.ones(1, np.float32),
        window_px=np.zeros((1, 3, 17, 2), np.float32),
    )
    assert name(identities, point, (0, 0, 0)).id_names == ['1']
    assert name(identities, point, (0, 0, 0)).id_names == ['1']
