"""One training step: memory in, losses out."""

import torch
from torch import Tensor

from pavenet_core.model import PaveNet
from pavenet_core.model.spatial_encoder import Memory
from pavenet_core.train.criterion import Criterion
from pavenet_core.train.targets import Targets


def window_losses(
    model: PaveNet, criterion: Criterion, memory: Memory, targets: list[Targets]
) -> dict[str, Tensor]:
    """
    Return the weighted losses of a batch of windows, by the authors' names.

    Who was matched in the last pose decoder layer goes on to the joint decoder.
    """
    found = model.find_poses(memory)
    matches = criterion.match(found.layers[-1], targets)
    joints = model.find_joints(found, padded([q for q, _ in matches]))
    people = [p for _, p in matches]
    return criterion(found.proposals, found.layers, joints, people, targets, matches)


def padded(indices: list[Tensor]) -> Tensor:
    """Stack index lists to (B, P), filled up with 0; P is at least 1."""
    most = max(1, *(len(i) for i in indices))
    rows = torch.zeros(len(indices), most, dtype=torch.long)
    for row, index in zip(rows, indices, strict=True):
        row[: len(index)] = index
    return rows.to(indices[0].device)
