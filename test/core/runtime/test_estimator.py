"""The estimator on the stand-in model of conftest.py, whose answers show the window."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import onnxruntime as ort
import pytest

from pavenet_core.poses import Frame, Poses
from pavenet_core.runtime import PoseModel, VideoPoseEstimator

MS = 1_000_000
MakeFrame = Callable[..., Frame]
ReadWindow = Callable[..., list[int]]


def run_all(estimator: VideoPoseEstimator, frames: list[Frame]) -> list[Poses]:
    answers = [estimator.push(frame) for frame in frames]
    return [poses for poses in answers if poses is not None] + estimator.flush()


def steady(make_frame: MakeFrame, count: int, **options: Any) -> list[Frame]:
    return [make_frame(10 * (i + 1), i * 40 * MS, **options) for i in range(count)]


def test_people_come_best_first_in_pixels_of_the_source(
    stand_in: Path, make_frame: MakeFrame
) -> None:
    poses = VideoPoseEstimator(stand_in, score_threshold=0.3).push(make_frame(100, 5))
    assert poses is not None
    assert poses.stamp_ns == 5
    np.testing.assert_allclose(poses.scores, [0.9, 0.7, 0.5], rtol=1e-6)
    # The stand-in puts person q's last keypoint at (q + 1) / 10 of a picture of 60 x 40.
    np.testing.assert_allclose(poses.keypoints_px[:, -1], [[12, 8], [24, 16], [6, 4]], rtol=1e-5)
    assert poses.keypoints_px.shape == (3, 17, 2)
    assert poses.keypoint_scores.shape == (3, 17)


def test_threshold_and_number_of_people_limit_the_answer(
    stand_in: Path, make_frame: MakeFrame
) -> None:
    few = VideoPoseEstimator(stand_in, score_threshold=0.0, max_people=2).push(make_frame(9, 0))
    all_of_them = VideoPoseEstimator(stand_in, score_threshold=0.0).push(make_frame(9, 0))
    assert few is not None
    assert all_of_them is not None
    assert len(few) == 2
    assert len(all_of_them) == 4


def test_a_frame_without_people_is_answered_with_nobody(
    stand_in: Path, make_frame: MakeFrame
) -> None:
    estimator = VideoPoseEstimator(stand_in)
    poses = estimator.push(make_frame(0, 3))
    assert poses is not None
    assert poses.stamp_ns == 3
    assert len(poses) == 0
    assert poses.keypoints_px.shape == (0, 17, 2)
    assert (poses.keypoints_px.dtype, poses.scores.dtype) == (np.float32, np.float32)


def test_the_window_is_the_frames_before_and_the_key_frame(
    stand_in: Path, make_frame: MakeFrame, read_window: ReadWindow
) -> None:
    estimator = VideoPoseEstimator(stand_in)
    windows = [read_window(poses) for poses in run_all(estimator, steady(make_frame, 3))]
    assert windows == [[10, 10, 10], [10, 20, 20], [20, 30, 30]]


def test_lookahead_sees_the_next_frame_and_answers_one_late(
    stand_in: Path, make_frame: MakeFrame, read_window: ReadWindow
) -> None:
    estimator = VideoPoseEstimator(stand_in, lookahead=1)
    frames = steady(make_frame, 3)
    assert estimator.push(frames[0]) is None
    first = estimator.push(frames[1])
    assert first is not None
    assert (first.stamp_ns, read_window(first)) == (0, [10, 10, 20])
    answers = run_all(estimator, frames[2:])
    assert [poses.stamp_ns for poses in answers] == [40 * MS, 80 * MS]
    assert [read_window(poses) for poses in answers] == [[10, 20, 30], [20, 30, 30]]


def test_people_are_those_of_the_key_frame(stand_in: Path, make_frame: MakeFrame) -> None:
    estimator = VideoPoseEstimator(stand_in, lookahead=1)
    frames = [make_frame(100, 0), make_frame(0, 1), make_frame(100, 2)]  # nobody in a black one
    assert [len(poses) for poses in run_all(estimator, frames)] == [3, 0, 3]


def test_each_frame_is_encoded_once(stand_in_5: Path, make_frame: MakeFrame) -> None:
    estimator = VideoPoseEstimator(stand_in_5, lookahead=2)
    frames = steady(make_frame, 9)
    assert len(run_all(estimator, frames)) == 9
    assert estimator.encodes == 9


def test_a_repeated_frame_is_neither_encoded_nor_answered(
    stand_in: Path, make_frame: MakeFrame
) -> None:
    estimator = VideoPoseEstimator(stand_in)
    assert estimator.push(make_frame(10, 5)) is not None
    assert estimator.push(make_frame(10, 5)) is None
    assert estimator.flush() == []
    assert estimator.encodes == 1


@pytest.mark.parametrize('lookahead', [0, 1])
def test_after_the_end_of_a_video_another_may_begin_with_the_same_stamp(
    stand_in: Path, make_frame: MakeFrame, read_window: ReadWindow, lookahead: int
) -> None:
    estimator = VideoPoseEstimator(stand_in, lookahead=lookahead)
    stills = [run_all(estimator, [make_frame(value, 0)]) for value in (10, 20)]
    assert [[read_window(poses) for poses in answers] for answers in stills] == [
        [[10, 10, 10]],
        [[20, 20, 20]],
    ]


def test_a_new_run_lets_the_pending_frames_out_one_by_one(
    stand_in_5: Path, make_frame: MakeFrame, read_window: ReadWindow
) -> None:
    estimator = VideoPoseEstimator(stand_in_5, lookahead=2)
    before = steady(make_frame, 2)
    after = [make_frame(100 + i, (5000 + 40 * i) * MS) for i in range(4)]
    answers = [estimator.push(frame) for frame in [*before, *after]]
    assert [poses and poses.stamp_ns for poses in answers] == [
        *(None, None, 0, 40 * MS, 5000 * MS, 5040 * MS)
    ]
    windows = [read_window(poses, num_frames=5) for poses in answers if poses]
    assert windows == [
        [10, 10, 10, 20, 20],
        [10, 10, 20, 20, 20],
        [100, 100, 100, 101, 102],
        [100, 100, 101, 102, 103],
    ]
    assert [poses.stamp_ns for poses in estimator.flush()] == [5080 * MS, 5120 * MS]


def test_a_new_image_size_starts_anew_and_maps_back_to_its_own_pixels(
    stand_in: Path, make_frame: MakeFrame, read_window: ReadWindow
) -> None:
    estimator = VideoPoseEstimator(stand_in)
    estimator.push(make_frame(10, 0))
    poses = estimator.push(make_frame(20, 1, size=(100, 200)))
    assert poses is not None
    assert read_window(poses, size=(100, 200)) == [20, 20, 20]


def test_frames_can_be_chosen_by_time(
    stand_in: Path, make_frame: MakeFrame, read_window: ReadWindow
) -> None:
    estimator = VideoPoseEstimator(stand_in, frame_interval_s=0.08)
    answers = run_all(estimator, steady(make_frame, 5))
    assert read_window(answers[-1]) == [30, 50, 50]


def test_max_gap_is_in_seconds(
    stand_in: Path, make_frame: MakeFrame, read_window: ReadWindow
) -> None:
    estimator = VideoPoseEstimator(stand_in, max_gap_s=0.1)
    frames = [make_frame(10, 0), make_frame(20, 100 * MS), make_frame(30, 201 * MS)]
    windows = [read_window(poses) for poses in run_all(estimator, frames)]
    assert windows == [[10, 10, 10], [10, 20, 20], [30, 30, 30]]


def test_reset_forgets_frames_and_pending_answers(
    stand_in: Path, make_frame: MakeFrame, read_window: ReadWindow
) -> None:
    estimator = VideoPoseEstimator(stand_in, lookahead=1)
    estimator.push(make_frame(10, 0))
    estimator.reset()
    assert estimator.push(make_frame(20, 0)) is None
    [poses] = estimator.flush()
    assert read_window(poses) == [20, 20, 20]


@pytest.mark.parametrize(
    ('options', 'brightness'),
    [
        ({}, [100, 250, 100]),
        ({'lookahead': 1}, [100, 250, 100]),
        # The window then has the frame before the last one, and in between is halfway.
        ({'frame_interval_s': 0.08}, [100, 175, 250]),
    ],
)
def test_ids_follow_people_by_the_networks_own_poses(
    stand_in: Path, make_frame: MakeFrame, options: dict[str, Any], brightness: list[int]
) -> None:
    # The stand-in's people are where the brightness is, in every frame of the window, and too
    # far apart from frame to frame to be known by their place.
    before_gap = [make_frame(value, 40 * i * MS) for i, value in enumerate(brightness)]
    after_gap = [make_frame(100, 5000 * MS), make_frame(250, 5040 * MS)]
    estimator = VideoPoseEstimator(stand_in, score_threshold=0.8, **options)
    answers = run_all(estimator, [*before_gap, *after_gap])
    assert [poses.id_names for poses in answers] == [['1']] * 3 + [['2']] * 2
    estimator.reset()
    assert run_all(estimator, before_gap[:1])[0].id_names == ['3']


def test_without_identities_nobody_has_an_id(stand_in: Path, make_frame: MakeFrame) -> None:
    [poses] = run_all(VideoPoseEstimator(stand_in, identities=False), [make_frame(9, 0)])
    assert poses.ids is None
    assert poses.id_names == ['', '', '']


def test_an_answer_stays_as_it_was_when_frames_follow(
    stand_in: Path, make_frame: MakeFrame
) -> None:
    estimator = VideoPoseEstimator(stand_in)
    first = estimator.push(make_frame(10, 0))
    assert first is not None
    copy = first.keypoints_px.copy()
    estimator.push(make_frame(200, 1))
    np.testing.assert_array_equal(first.keypoints_px, copy)


@pytest.mark.parametrize('lookahead', [0, 1, 2])
def test_the_stream_gives_the_poses_of_every_window_from_scratch(
    stand_in_5: Path, lookahead: int
) -> None:
    rng = np.random.default_rng(3)
    images = [rng.integers(0, 20 * (i + 1), (40, 60, 3), np.uint8) for i in range(12)]
    stamps = [(i + (100 if i > 6 else 0)) * 40 * MS for i in range(12)]  # a gap after 7 frames
    estimator = VideoPoseEstimator(stand_in_5, lookahead=lookahead)
    frames = [Frame(image, stamp) for image, stamp in zip(images, stamps, strict=True)]
    answers = run_all(estimator, frames)
    for key, poses in enumerate(answers):
        first, last = (0, 6) if key <= 6 else (7, 11)
        last = min(last, key + lookahead)
        window = [images[min(max(key + offset, first), last)] for offset in range(-2, 3)]
        keypoints = keypoints_from_scratch(stand_in_5, window)
        assert poses.stamp_ns == stamps[key]
        np.testing.assert_allclose(poses.keypoints_px, keypoints * [60, 40], rtol=1e-5)
    assert estimator.encodes == len(answers) == 12


def keypoints_from_scratch(bundle: Path, window: list[np.ndarray]) -> np.ndarray:
    """Run the graphs by hand on a window of pictures, for the people of score 0.3 and more."""
    encoder, poser, jointer = (
        ort.InferenceSession(bundle / f'{name}.onnx', providers=['CPUExecutionProvider'])
        for name in ('spatial_encoder', 'pose_decoder', 'joint_decoder')
    )
    names = [node.name for node in encoder.get_outputs()]
    features = []
    for image in window:
        padded = np.zeros((1, 48, 64, 3), np.uint8)
        padded[0, :43] = cv2.resize(image, (64, 43), interpolation=cv2.INTER_LINEAR)
        feed = {'image': padded, 'valid_size': np.array([[43, 64]], np.float32)}
        features.append(dict(zip(names, encoder.run(names, feed), strict=True)))
    tensors = {f'frame{t}.{n}': frame[n] for t, frame in enumerate(features) for n in frame}
    tensors |= features[len(window) // 2]
    scores, poses = poser.run(['scores', 'poses'], wanted_by(poser, tensors))
    people = [q for q in np.argsort(-scores[0]) if scores[0, q] >= 0.3]
    tensors['poses'] = poses[:, :, people]
    return jointer.run(['keypoints'], wanted_by(jointer, tensors))[0][0]


def wanted_by(session: ort.InferenceSession, tensors: dict[str, Any]) -> dict[str, Any]:
    return {node.name: np.ascontiguousarray(tensors[node.name]) for node in session.get_inputs()}


def test_the_estimator_tells_its_model_and_its_providers(stand_in: Path) -> None:
    estimator = VideoPoseEstimator(stand_in, device='auto')
    assert estimator.metadata.name == 'stand-in'
    assert 'CPUExecutionProvider' in estimator.providers
    assert estimator.encodes == 0


@pytest.mark.parametrize(
    ('options', 'message'),
    [
        ({'score_threshold': 1.5}, r'score_threshold .* got 1.5'),
        ({'score_threshold': float('nan')}, 'score_threshold'),
        ({'max_people': 0}, 'max_people .* got 0'),
        ({'max_people': 2.5}, r'max_people .* got 2\.5'),
        ({'lookahead': 0.5}, r'lookahead .* got 0\.5'),
        ({'lookahead': 2}, 'lookahead must be 0 to 1 .* got 2'),
        ({'lookahead': -1}, 'lookahead .* got -1'),
        ({'frame_interval_s': 0.0}, r'frame_interval_s .* got 0\.0'),
        ({'frame_interval_s': 2.0}, r'at most max_gap_s \(1\.0\), got 2\.0'),
        ({'max_gap_s': 0.0}, 'max_gap_s .* got 0.0'),
        ({'max_gap_s': float('inf')}, 'max_gap_s .* got inf'),
        ({'device': 'gpu'}, "got 'gpu'"),
        ({'num_threads': -2}, 'got -2'),
    ],
)
def test_nonsense_is_refused_with_the_value(
    stand_in: Path, options: dict[str, Any], message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        VideoPoseEstimator(stand_in, **options)


@pytest.mark.parametrize(('limit', 'nonsense'), [('score_threshold', 30), ('max_people', -1)])
def test_nonsense_set_between_frames_is_refused_and_loses_no_frame(
    stand_in: Path, make_frame: MakeFrame, read_window: ReadWindow, limit: str, nonsense: int
) -> None:
    estimator = VideoPoseEstimator(stand_in)
    before = getattr(estimator, limit)
    estimator.push(make_frame(10, 0))
    setattr(estimator, limit, nonsense)
    with pytest.raises(ValueError, match=f'{limit} must be .* got {nonsense}'):
        estimator.push(make_frame(20, 1))
    setattr(estimator, limit, before)
    poses = estimator.push(make_frame(20, 1))
    assert poses is not None
    assert read_window(poses) == [10, 20, 20]


def test_two_videos_share_one_model_and_keep_their_own_windows(
    stand_in: Path, make_frame: Callable[..., Frame], read_window: Callable[..., list[int]]
) -> None:
    model = PoseModel(stand_in)
    front, rear = VideoPoseEstimator(model), VideoPoseEstimator(model)
    for step in range(3):
        of_front = front.push(make_frame(100 + step, 10 * step))
        of_rear = rear.push(make_frame(200 + step, 10 * step))
    assert read_window(of_front) == [101, 102, 102]
    assert read_window(of_rear) == [201, 202, 202]
    assert front.providers == rear.providers == model.providers


@pytest.mark.parametrize('option', [{'device': 'auto'}, {'num_threads': 1}, {'spinning': False}])
def test_an_open_model_is_not_told_how_to_open(stand_in: Path, option: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=r'open already; give .* to its PoseModel'):
        VideoPoseEstimator(PoseModel(stand_in), **option)


def test_max_people_is_the_models_own_unless_told(
    write_bundle: Callable[..., Path], tmp_path: Path
) -> None:
    path = write_bundle(tmp_path)
    facts = json.loads((path / 'metadata.json').read_text())
    facts['postprocess'] = {'max_people': 2}
    (path / 'metadata.json').write_text(json.dumps(facts))
    assert VideoPoseEstimator(path).max_people == 2
    assert VideoPoseEstimator(path, max_people=3).max_people == 3
