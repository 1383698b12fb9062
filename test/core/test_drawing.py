from dataclasses import replace
from itertools import pairwise

import cv2
import numpy as np
import pytest

from pavenet_core.drawing import LEFT, MIDDLE, RIGHT, draw_poses, limb_color
from pavenet_core.poses import Poses
from pavenet_core.skeleton import COCO17, Skeleton

GRAY = 90


def standing_person(x: float = 100, y: float = 20, height: float = 200) -> np.ndarray:
    """Give keypoints of somebody seen from the front: their left is at the right."""
    shares = [
        *([0, 0.05], [0.04, 0.02], [-0.04, 0.02], [0.08, 0.05], [-0.08, 0.05]),
        *([0.15, 0.2], [-0.15, 0.2], [0.2, 0.35], [-0.2, 0.35], [0.22, 0.5], [-0.22, 0.5]),
        *([0.1, 0.5], [-0.1, 0.5], [0.1, 0.75], [-0.1, 0.75], [0.1, 1], [-0.1, 1]),
    ]
    return (np.array(shares) * height + [x, y]).astype(np.float32)


def poses_of(*people: np.ndarray, keypoint_score: float = 0.9) -> Poses:
    keypoints = np.array(people, np.float32).reshape(-1, 17, 2)
    scores = np.full(len(keypoints), 0.9, np.float32)
    return Poses(0, keypoints, np.full(keypoints.shape[:2], keypoint_score, np.float32), scores)


def gray_image(width: int = 200, height: int = 240) -> np.ndarray:
    return np.full((height, width, 3), GRAY, np.uint8)


def color_at(image: np.ndarray, point: np.ndarray) -> tuple[int, ...]:
    x, y = np.rint(point).astype(int)
    return tuple(image[y, x].tolist())


def tags_of(
    *people: np.ndarray, ids: tuple[int, ...] = (), size: tuple[int, int] = (400, 500)
) -> list[tuple[int, int, int, int]]:
    """Return left, top, right and bottom of the tags, from left to right."""
    poses = replace(poses_of(*people), ids=np.array(ids or (0,) * len(people)))
    bare = draw_poses(gray_image(*size), poses, COCO17, tags=False)
    tagged = draw_poses(gray_image(*size), poses, COCO17)
    changed = (bare != tagged).any(axis=2).astype(np.uint8)
    boxes = cv2.connectedComponentsWithStats(changed)[2][1:, :4].tolist()
    return sorted((x, y, x + width, y + height) for x, y, width, height in boxes if width > 5)


def test_a_tag_stands_above_its_person() -> None:
    person = standing_person(x=200, y=60, height=300)
    [(left, top, right, bottom)] = tags_of(person, ids=(7,))
    assert abs((left + right) / 2 - 200) <= 2
    assert 10 < top < bottom < 60
    [(left_unknown, _, right_unknown, _)] = tags_of(person)  # the score alone
    assert right_unknown - left_unknown < right - left


def test_a_tag_stays_within_the_picture() -> None:
    for x, y in ((0, 0), (400, 0), (0, 480), (390, 480)):
        [(left, top, right, bottom)] = tags_of(standing_person(x, y, 300), ids=(7,))
        assert 0 <= left < right <= 400
        assert 0 <= top < bottom <= 500


def test_a_person_of_one_visible_joint_has_a_tag_too() -> None:
    poses = poses_of(standing_person(100, 60, 150), keypoint_score=0.1)
    poses.keypoint_scores[0, 0] = 0.9
    named = replace(poses, ids=np.array([7]))
    changed = draw_poses(gray_image(), named, COCO17) != draw_poses(gray_image(), poses, COCO17)
    rows, columns = np.nonzero(changed.any(axis=2))
    assert abs(rows.mean() - 60) < 25
    assert abs(columns.mean() - 100) < 15


def test_tags_of_a_crowd_do_not_cover_each_other_and_the_surest_stay() -> None:
    crowd = [standing_person(x, 100, 90) for x in range(30, 390, 12)]
    boxes = tags_of(*crowd, ids=tuple(range(1, 31)))
    assert 5 < len(boxes) < 30
    assert all(a[2] <= b[0] for a, b in pairwise(boxes))
    assert boxes[0][0] < 30 < boxes[0][2]
    letters = boxes[0][2] - boxes[0][0]
    assert letters < 90 / 2  # the id alone, where all of it would be wider than half the person


def test_letters_grow_with_the_picture() -> None:
    def height(scale: int) -> int:
        person = standing_person(200 * scale, 60 * scale, 300 * scale)
        [(_, top, _, bottom)] = tags_of(person, size=(400 * scale, 500 * scale))
        return bottom - top

    assert height(4) > 1.5 * height(1)


def test_the_source_stays_and_a_picture_without_people_is_its_copy() -> None:
    image = gray_image()
    drawn = draw_poses(image, poses_of(), COCO17)
    np.testing.assert_array_equal(drawn, image)
    assert not np.shares_memory(drawn, image)
    draw_poses(image, poses_of(standing_person()), COCO17)
    assert (image == GRAY).all()


def test_limbs_have_the_color_of_their_side() -> None:
    person = standing_person()
    drawn = draw_poses(gray_image(), poses_of(person), COCO17)
    names = COCO17.names
    for side, color in (('left', LEFT), ('right', RIGHT)):
        thigh = [person[names.index(f'{side}_{joint}')] for joint in ('hip', 'knee')]
        assert color_at(drawn, np.mean(thigh, axis=0)) == color
    hips = [person[names.index(f'{side}_hip')] for side in ('left', 'right')]
    assert color_at(drawn, np.mean(hips, axis=0)) == MIDDLE


def test_unsure_keypoints_and_their_limbs_are_left_out() -> None:
    person = standing_person()
    poses = poses_of(person)
    knee = COCO17.names.index('left_knee')
    poses.keypoint_scores[0, knee] = 0.1
    drawn = draw_poses(gray_image(), poses, COCO17)
    assert color_at(drawn, person[knee]) == (GRAY,) * 3
    shown = draw_poses(gray_image(), poses, COCO17, keypoint_threshold=0.0)
    assert color_at(shown, person[knee]) != (GRAY,) * 3


def test_a_larger_person_gets_wider_lines() -> None:
    def shin_width(height: float) -> int:
        person = standing_person(x=500, y=20, height=height)
        drawn = draw_poses(gray_image(1000, 1000), poses_of(person), COCO17)
        row = drawn[int(20 + 0.87 * height), 500:]
        return int((row == LEFT).all(axis=1).sum())

    assert shin_width(900) > shin_width(200) >= 1


@pytest.mark.parametrize('picture', [300, 1200, 4000])
def test_a_small_person_is_not_hidden_by_its_lines(picture: int) -> None:
    """As in a crowd, however large the picture is."""
    person = standing_person(x=150, y=20, height=60)
    image = draw_poses(gray_image(picture, picture), poses_of(person), COCO17, tags=False)
    trunk = image[20 + 14 : 20 + 28, 150 - 8 : 150 + 9]
    assert (trunk == GRAY).all(axis=2).mean() > 0.5


def test_the_joints_of_a_face_seen_from_the_side_are_small() -> None:
    """Where all are within a few pixels, discs as wide as elsewhere would hide it."""
    person = standing_person(x=500, y=500, height=400)
    person[:5] = [500, 510] + (person[:5] - [500, 510]) / 4
    image = draw_poses(gray_image(1000, 1000), poses_of(person), COCO17, tags=False)
    face = (image[470:545, 450:550] != GRAY).any(axis=2).sum()
    wrist = (image[685:715, 570:602] != GRAY).any(axis=2).sum()
    assert face < 1.3 * wrist


def test_the_best_person_is_drawn_on_top() -> None:
    person = standing_person()
    mirrored = person[list(COCO17.mirror)]
    best_first = draw_poses(gray_image(), poses_of(person, mirrored), COCO17)
    alone = draw_poses(gray_image(), poses_of(person), COCO17)
    middle = person[[13, 15]].mean(axis=0)
    assert color_at(best_first, middle) == color_at(alone, middle) == LEFT


@pytest.mark.parametrize('value', [np.nan, np.inf, -np.inf, 1e9])
def test_keypoints_beyond_all_measure_do_no_harm(value: float) -> None:
    person = standing_person()
    person[13] = value
    drawn = draw_poses(gray_image(), poses_of(person), COCO17)
    assert color_at(drawn, person[14]) != (GRAY,) * 3


def test_keypoints_outside_the_picture_are_cut_off_at_its_edge() -> None:
    person = standing_person(x=190)
    drawn = draw_poses(gray_image(), poses_of(person), COCO17)
    assert drawn.shape == (240, 200, 3)
    assert (drawn != GRAY).any()


@pytest.mark.parametrize('spelling', ['{}_hip', 'hip_{}', '{} hip'])
@pytest.mark.parametrize(('left', 'right'), [('left', 'right'), ('Left', 'Right'), ('l', 'r')])
def test_own_names_tell_the_side_wherever_it_stands_in_them(
    spelling: str, left: str, right: str
) -> None:
    names = ('nose', spelling.format(left), spelling.format(right))
    skeleton = Skeleton.of_names('own', names, ((0, 1), (0, 2), (1, 2)))
    limbs = [limb_color(skeleton, a, b) for a, b in skeleton.edges]
    assert limbs == [LEFT, RIGHT, MIDDLE]
    assert [limb_color(skeleton, i, i) for i in range(3)] == [MIDDLE, LEFT, RIGHT]
