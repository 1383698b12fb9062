import numpy as np
import pytest

from pavenet_core.postprocess_config import AUTHORS_POSTPROCESS, PostprocessConfig
from pavenet_core.runtime.postprocess import score_keypoints, select_people, to_poses
from pavenet_core.skeleton import COCO17


def test_people_are_the_best_ones_at_or_above_the_threshold_best_first() -> None:
    scores = np.array([0.2, 0.9, 0.5, 0.7], np.float32)
    assert select_people(scores, 0.5, 20).tolist() == [1, 3, 2]
    assert select_people(scores, 0.5, 2).tolist() == [1, 3]
    assert select_people(scores, 0.0, 20).tolist() == [1, 3, 2, 0]


def test_people_of_one_score_keep_the_order_of_the_queries() -> None:
    scores = np.tile(np.array([0.5, 0.9], np.float32), 50)
    expected = [*range(1, 100, 2), *range(0, 100, 2)]
    assert select_people(scores, 0.5, 100).tolist() == expected


def test_nobody_is_an_ordinary_answer() -> None:
    assert select_people(np.array([0.1, np.nan], np.float32), 0.5, 20).tolist() == []
    empty = np.zeros((0, 17, 2), np.float32)
    poses = to_poses(5, (640, 480), np.zeros(0, np.float32), empty, empty, COCO17)
    assert len(poses) == 0
    assert poses.keypoints_px.shape == (0, 17, 2)
    assert poses.keypoint_scores.shape == (0, 17)
    assert poses.bboxes_px.shape == (0, 4)


def test_a_wider_spread_on_either_axis_is_less_believed() -> None:
    scores = score_keypoints(np.array([[[0.02, 0.02], [0.02, 0.5], [0.5, 0.5], [1, 1]]]))
    assert scores.dtype == np.float32
    assert (np.diff(scores[0]) < 0).all()
    assert 0 < scores.min() <= scores.max() <= 1


def test_a_spread_of_zero_is_full_belief() -> None:
    assert score_keypoints(np.zeros((1, 1, 2), np.float32)).tolist() == [[1.0]]


def test_shares_become_pixels_of_the_source() -> None:
    keypoints = np.array([[[0.5, 0.25], [0.0, 1.0], [1.2, -0.1]]], np.float32)
    poses = to_poses(
        7,
        (640, 480),
        np.array([0.8], np.float32),
        keypoints,
        np.full((1, 3, 2), 0.1, np.float32),
        COCO17,
    )
    expected = [[320, 120], [0, 480], [768, -48]]
    np.testing.assert_allclose(poses.keypoints_px[0], expected, rtol=1e-6)
    assert poses.stamp_ns == 7
    assert {array.dtype.name for array in (poses.keypoints_px, poses.scores)} == {'float32'}


def person(x: float, y: float, extent: float) -> np.ndarray:
    """Spread 17 keypoints over a square, in shares of the picture."""
    points = np.random.default_rng(0).random((17, 2)).astype(np.float32)
    return np.array([x, y], np.float32) + extent * points


def answer(people: list[np.ndarray], sigma: float, rules: PostprocessConfig) -> object:
    scores = np.linspace(0.9, 0.5, len(people)).astype(np.float32)
    keypoints = np.stack(people)
    return to_poses(
        0, (100, 100), scores, keypoints, np.full_like(keypoints, sigma), COCO17, rules
    )


def test_similar_people_are_dropped_only_where_told() -> None:
    people = [person(0.1, 0.1, 0.4), person(0.11, 0.1, 0.4), person(0.5, 0.5, 0.4)]
    assert len(answer(people, 0.1, PostprocessConfig())) == 3
    kept = answer(people, 0.1, PostprocessConfig(nms_oks_threshold=0.45))
    np.testing.assert_allclose(kept.scores, [0.9, 0.5])
    np.testing.assert_allclose(kept.keypoints_px[1], 100 * people[2], rtol=1e-6)


def test_the_better_of_two_similar_people_stays_though_a_third_would_link_them() -> None:
    row = [person(0.1 + 0.05 * i, 0.1, 0.4) for i in range(3)]  # each like its neighbours only
    kept = answer(row, 0.1, PostprocessConfig(nms_oks_threshold=0.45))
    np.testing.assert_allclose(kept.scores, [0.9, 0.5])


def test_who_is_not_a_number_drops_nobody() -> None:
    people = [np.full((17, 2), np.nan), person(0.1, 0.1, 0.4), person(0.5, 0.5, 0.4)]
    assert len(answer(people, 0.1, PostprocessConfig(nms_oks_threshold=0.45))) == 3


def test_the_authors_rules_clip_shrink_and_multiply() -> None:
    people = [person(0.8, 0.1, 0.4)]
    poses = answer(people, 0.9, AUTHORS_POSTPROCESS)
    clipped = np.minimum(100 * people[0], 100)
    belief = 0.7 * (1 - np.exp(-0.2 / 0.9)) ** 2
    np.testing.assert_allclose(poses.keypoint_scores, belief * 0.9, rtol=1e-5)
    factor = belief**5 / (belief**5 + 1e-10)
    assert factor < 1 - 1e-6
    np.testing.assert_allclose(poses.keypoints_px[0], clipped * factor, rtol=1e-6)
    # Boxes are from before the shrinking.
    np.testing.assert_allclose(poses.bboxes_px[0, :2], clipped.min(0), rtol=1e-6)


@pytest.mark.parametrize('wrong', [{'max_people': 0}, {'nms_oks_threshold': 1.5}])
def test_impossible_rules_are_refused_by_name(wrong: dict[str, float]) -> None:
    with pytest.raises(ValueError, match=str(next(iter(wrong.values())))):
        PostprocessConfig(**wrong)
