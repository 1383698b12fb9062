import numpy as np

from pavenet_core.runtime.postprocess import score_keypoints, select_people, to_poses


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
    poses = to_poses(5, (640, 480), np.zeros(0, np.float32), empty, empty)
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
        7, (640, 480), np.array([0.8], np.float32), keypoints, np.full((1, 3, 2), 0.1, np.float32)
    )
    expected = [[320, 120], [0, 480], [768, -48]]
    np.testing.assert_allclose(poses.keypoints_px[0], expected, rtol=1e-6)
    assert poses.stamp_ns == 7
    assert {array.dtype.name for array in (poses.keypoints_px, poses.scores)} == {'float32'}
