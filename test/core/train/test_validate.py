from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch

from pavenet_core.data.dataset import Clip, Dataset, LabelledFrame, Labels, Neighbours
from pavenet_core.model import PaveNet
from pavenet_core.model.predictions import JointPrediction, PosePrediction
from pavenet_core.poses import Poses
from pavenet_core.skeleton import COCO17, POSETRACK15
from pavenet_core.train import validate
from pavenet_core.train.distributed import Processes
from pavenet_core.train.validate import Validation, find_people

ALONE = Processes(0, 1, torch.device('cpu'))


@pytest.fixture
def frame(tmp_path: Path) -> LabelledFrame:
    """Write a clip of three frames, one person labelled in the middle one."""
    files = tuple(tmp_path / f'{i}.png' for i in range(3))
    for i, path in enumerate(files):
        cv2.imwrite(str(path), np.full((60, 90, 3), 50 * i, np.uint8))
    person = np.column_stack([np.random.default_rng(0).uniform(10, 50, (17, 2)), np.ones(17)])
    labels = Labels(
        person[None].astype(np.float32),
        np.array([1600], np.float32),
        np.array([[10, 10, 50, 50]], np.float32),
        np.full((1, 4), np.nan, np.float32),
        np.array([-1]),
        np.array([False]),
    )
    return LabelledFrame(Clip('clip', files), 1, 7, labels)


class Oracle(torch.nn.Module):
    """Answers the labelled person, moved by some pixels of the picture."""

    def __init__(self, model: PaveNet, frame: LabelledFrame, error_px: float) -> None:
        super().__init__()
        self.config, self.pixel_mean, self.normalise = (
            model.config,
            model.pixel_mean,
            model.normalise,
        )
        points = frame.labels.keypoints[..., :2] + np.float32(error_px)
        self.answer = torch.from_numpy(points / np.array([90, 60], np.float32))[None]

    def forward(
        self, images: torch.Tensor, sizes: torch.Tensor, most: int
    ) -> tuple[PosePrediction, JointPrediction]:
        self.seen, self.sizes = images, sizes
        sigmas = torch.full_like(self.answer, 0.01)
        score = torch.tensor([[2.0]])
        return PosePrediction(score, self.answer, sigmas), JointPrediction(self.answer, sigmas)


def test_a_perfect_answer_has_ap_1_and_a_wrong_one_0(
    make_tiny_model: Callable[..., PaveNet], frame: LabelledFrame
) -> None:
    dataset = Dataset('dots', COCO17, (frame,))
    measure = Validation(dataset, Neighbours(3), ALONE)
    model = make_tiny_model(3)
    found = [measure(Oracle(model, frame, error)) for error in (0, 60)]
    assert [each['AP'] for each in found] == [pytest.approx(1), 0]


def test_the_network_sees_the_letterboxed_window(
    make_tiny_model: Callable[..., PaveNet], frame: LabelledFrame
) -> None:
    oracle = Oracle(make_tiny_model(3), frame, 0)
    poses = find_people(oracle, frame, Neighbours(3))
    assert oracle.seen.shape == (1, 3, 3, 128, 160)  # 107 rows of the picture, then padding
    assert oracle.sizes.tolist() == [[107, 160]]
    brightness = oracle.seen[0, :, :, :107].mean((1, 2, 3))
    assert (brightness.diff() > 0).all()
    assert not oracle.seen[0, :, :, 107:].any()
    np.testing.assert_allclose(poses.keypoints_px, frame.labels.keypoints[..., :2], atol=1e-4)
    assert poses.scores == pytest.approx(torch.tensor(2.0).sigmoid().item())


def test_posetrack_ranks_joints_by_their_persons_score_too(
    frame: LabelledFrame, monkeypatch: pytest.MonkeyPatch
) -> None:
    labels = replace(
        frame.labels,
        keypoints=frame.labels.keypoints[:, :15],
        head_boxes=np.array([[10, 10, 20, 20]], np.float32),
    )
    right = labels.keypoints[..., :2]
    # Whoever is somewhere else is sure of the joints, but hardly a person.
    people = Poses(
        0,
        np.concatenate([right, right + 500]),
        np.repeat(np.float32([[0.5], [0.9]]), 15, 1),
        np.float32([0.9, 0.1]),
    )
    monkeypatch.setattr(validate, 'find_people', lambda *_: people)
    dataset = Dataset('dots', POSETRACK15, (replace(frame, labels=labels),))
    found = Validation(dataset, Neighbours(3), ALONE)(None)
    assert found['PoseTrack'] == pytest.approx(1)


def test_labels_of_another_picture_size_are_refused(
    make_tiny_model: Callable[..., PaveNet], frame: LabelledFrame
) -> None:
    oracle = Oracle(make_tiny_model(3), frame, 0)
    with pytest.raises(ValueError, match='is 90x60, but its labels say 60x90'):
        find_people(oracle, replace(frame, size=(60, 90)), Neighbours(3))


def test_a_neighbour_of_another_size_is_refused(
    make_tiny_model: Callable[..., PaveNet], frame: LabelledFrame
) -> None:
    cv2.imwrite(str(frame.clip.files[0]), np.zeros((90, 60, 3), np.uint8))
    oracle = Oracle(make_tiny_model(3), frame, 0)
    with pytest.raises(ValueError, match=r'0\.png is 60x90, but the labelled .* is 90x60'):
        find_people(oracle, frame, Neighbours(3))
