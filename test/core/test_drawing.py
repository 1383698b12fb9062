from dataclasses import replace

import numpy as np
import pytest

from pavenet_core.drawing import LEFT, MIDDLE, RIGHT, draw_poses
from pavenet_core.poses import Poses
from pavenet_core.skeleton import COCO17

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


def test_an_id_is_written_above_its_person() -> None:
    person = standing_person(x=100, y=60, height=150)
    plain = draw_poses(gray_image(), poses_of(person), COCO17)
    named = draw_poses(gray_image(), replace(poses_of(person), ids=np.array([7])), COCO17)
    changed = (plain != named).any(axis=2)
    rows, columns = np.nonzero(changed)
    assert 0 < changed.sum() < 400
    assert 30 < rows.min() < rows.max() < 63
    assert abs(columns.mean() - 100) < 15
    unknown = draw_poses(gray_image(), replace(poses_of(person), ids=np.array([0])), COCO17)
    np.testing.assert_array_equal(unknown, plain)


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
