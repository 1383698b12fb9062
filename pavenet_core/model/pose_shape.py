"""A pose as seen from itself: what its self-attention is told, and the unit of its moves."""

import torch
from torch import Tensor

LEAST_SIZE = 0.01  # of the picture, for poses that are all but a point


def pose_size(poses: Tensor) -> Tensor:
    """Return the longer side of the box around each pose: (..., K, 2) -> (..., 1, 1)."""
    extent = poses.amax(-2, keepdim=True) - poses.amin(-2, keepdim=True)
    return extent.amax(-1, keepdim=True).clamp(min=LEAST_SIZE)


def describe_poses(poses: Tensor) -> Tensor:
    """Return shape, centre and logarithm of the size: (B, Q, K, 2) -> (B, Q, 2*K + 3)."""
    size = pose_size(poses)
    centre = (poses.amax(2, keepdim=True) + poses.amin(2, keepdim=True)) / 2
    shape = ((poses - centre) / size).flatten(2)
    return torch.cat([shape, centre[:, :, 0], size[..., 0].log()], 2)
