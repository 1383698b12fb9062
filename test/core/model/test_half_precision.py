"""The trained model under autocast: geometry stays in float32, so people stay where they are."""

from pathlib import Path

import cv2
import numpy as np
import pytest
import torch

from pavenet_core.model import PaveNet
from pavenet_core.model.checkpoint import load_checkpoint
from pavenet_core.runtime.preprocess import ImageFitter

ROOT = Path(__file__).parents[3]
SURE = 0.3  # the score from which a person must stay


@pytest.fixture(scope='module')
def model() -> PaveNet:
    return load_checkpoint(ROOT / 'models' / 'compact.pt')


@pytest.fixture(scope='module')
def window(model: PaveNet) -> tuple[torch.Tensor, torch.Tensor]:
    """Read three frames of two people: (1, 3, 3, H, W) and their valid size."""
    video = cv2.VideoCapture(str(ROOT / 'test' / 'ros' / 'data' / 'walk.mp4'))
    fit = ImageFitter(model.config.input_long_side, model.config.input_alignment)
    frames = [fit(video.read()[1]) for _ in range(3)]
    sizes = torch.from_numpy(np.concatenate([frame.valid_size for frame in frames]))
    pixels = torch.from_numpy(np.concatenate([frame.pixels for frame in frames]))
    return model.normalise(pixels, sizes)[None], sizes[:1]


def sure_people(
    model: PaveNet, window: tuple[torch.Tensor, torch.Tensor], dtype: torch.dtype | None
) -> tuple[torch.Tensor, torch.Tensor]:
    """Return scores (P,) and keypoints (P, K, 2) in input pixels."""
    images, sizes = window
    device = images.device.type
    with torch.inference_mode(), torch.autocast(device, dtype, enabled=dtype is not None):
        poses, joints = model(images, sizes, 2)
    scores = poses.class_logits[0].float().sigmoid()
    keypoints = joints.keypoints[0].float() * sizes[0].flip(0)
    return scores[scores > SURE].cpu(), keypoints[scores > SURE].cpu()


@pytest.mark.parametrize(
    ('dtype', 'pixels', 'score'),
    [
        (torch.bfloat16, 2.0, 0.05),
        (torch.float16, 0.5, 0.05),
    ],
)
def test_people_stay_within_tolerance(
    model: PaveNet,
    window: tuple[torch.Tensor, torch.Tensor],
    dtype: torch.dtype,
    pixels: float,
    score: float,
) -> None:
    scores, keypoints = sure_people(model, window, None)
    assert len(scores) == 2
    half_scores, half_keypoints = sure_people(model, window, dtype)
    assert (half_scores - scores).abs().max() < score
    difference = (half_keypoints - keypoints).abs().max()
    assert 0 < difference < pixels


@pytest.mark.skipif(not torch.cuda.is_available(), reason='needs a CUDA GPU')
@pytest.mark.parametrize(('dtype', 'pixels'), [(torch.bfloat16, 2.0), (torch.float16, 0.5)])
def test_people_stay_within_tolerance_on_a_gpu(
    window: tuple[torch.Tensor, torch.Tensor], dtype: torch.dtype, pixels: float
) -> None:
    model = load_checkpoint(ROOT / 'models' / 'compact.pt').cuda()
    images, sizes = window
    on_gpu = (images.cuda(), sizes.cuda())
    scores, keypoints = sure_people(model, on_gpu, None)
    half_scores, half_keypoints = sure_people(model, on_gpu, dtype)
    assert len(scores) == len(half_scores) == 2
    assert (half_keypoints - keypoints).abs().max() < pixels
