"""Who is who: the cheapest assignment of predicted poses to labelled people."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.optimize import linear_sum_assignment
from torch import Tensor

from pavenet_core.model.predictions import PosePrediction
from pavenet_core.train.targets import BatchTargets
from pavenet_core.train.transfer import send

# Floats per temporary of the cost; people are taken in groups that fit.
CHUNK_ELEMENTS = 4_000_000
IMPOSSIBLE = 1e9  # cost of a pose that is not a number


@dataclass(frozen=True)
class MatchCosts:
    """Weights of the three parts of the matching cost."""

    classification: float = 2.0
    keypoint: float = 70.0
    oks: float = 7.0


class Matches(NamedTuple):
    """
    Hold the n matched pairs of a batch in one stage: image by image, candidates rising.

    images      (n,) int64
    candidates  (n,) int64, among the N of the pair's image
    people      (n,) int64, among the G of the batch
    slots       (n,) int64, which pair of its image it is
    points      (v,) int64, the visible keypoints of all pairs, among the n*K
    """

    images: Tensor
    candidates: Tensor
    people: Tensor
    slots: Tensor
    points: Tensor


@torch.no_grad()
def match(
    stages: Sequence[PosePrediction],
    targets: BatchTargets,
    sigmas: Tensor,
    costs: MatchCosts = MatchCosts(),
    repeats: Sequence[int] | None = None,
) -> list[Matches]:
    """
    Match, stage by stage and image by image, every person to one candidate or to several.

    The device is waited for once: the costs of all stages come to the host together.

    sigmas   (K,) of the skeleton's keypoints
    repeats  per stage, how many candidates a person may have; one each if not given
    """
    cost = cost_matrix(stages, targets, sigmas, costs).cpu().numpy()
    # Half precision may overflow; the loss then does too, and the loop sees to it.
    cost = np.nan_to_num(cost, nan=IMPOSSIBLE, posinf=IMPOSSIBLE, neginf=-IMPOSSIBLE)
    ends = np.cumsum([stage.class_logits.shape[1] for stage in stages])
    parts = np.split(cost, ends[:-1], axis=1)
    rows = [
        _assign_batch(part, targets, times)
        for part, times in zip(parts, repeats or [1] * len(stages), strict=True)
    ]
    sizes = [len(row) for stage in rows for row in stage]
    packed = np.concatenate([row for stage in rows for row in stage])
    sent = send(torch.from_numpy(packed), targets.keypoints.device).split(sizes)
    width = len(Matches._fields)
    return [Matches(*sent[i : i + width]) for i in range(0, len(sent), width)]


def _assign_batch(
    cost: NDArray[np.float32], targets: BatchTargets, repeats: int
) -> tuple[NDArray[np.int64], ...]:
    """Return the rows of one stage's `Matches` from the costs (G, N)."""
    ends = np.cumsum(targets.counts)
    pairs = [assign(part.T, repeats) for part in np.split(cost, ends[:-1])]
    sizes = [len(candidates) for candidates, _ in pairs]
    candidates = np.concatenate([candidates for candidates, _ in pairs])
    people = np.concatenate([p for _, p in pairs]) + np.repeat(ends - targets.counts, sizes)
    images = np.repeat(np.arange(len(pairs)), sizes)
    slots = np.concatenate([np.arange(size) for size in sizes])
    return images, candidates, people, slots, np.flatnonzero(targets.seen[people])


def assign(
    cost: NDArray[np.float32], repeats: int = 1
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """
    Choose the pairs of least total cost of one image, each candidate at most once.

    cost     (N, G) finite
    returns  candidates, rising, and people, (n,) each
    """
    wanted = repeats * cost.shape[1]
    rows = np.arange(len(cost))
    if 0 < wanted < len(cost):
        # A person needs no others than its `wanted` cheapest: all pairs together use up no more.
        rows = np.unique(np.argpartition(cost, wanted - 1, axis=0)[:wanted])
    chosen, columns = linear_sum_assignment(np.tile(cost[rows], (1, repeats)))
    return rows[chosen], columns % max(cost.shape[1], 1)


@torch.no_grad()
def cost_matrix(
    stages: Sequence[PosePrediction],
    targets: BatchTargets,
    sigmas: Tensor,
    costs: MatchCosts = MatchCosts(),
) -> Tensor:
    """
    Compute what each candidate of a person's image would cost as that person, in float32.

    returns  (G, N) where N counts the candidates of all stages, one stage after another
    """
    poses = torch.cat([stage.poses.float() for stage in stages], 1)
    focal = _focal_cost(torch.cat([stage.class_logits.float() for stage in stages], 1))
    group = max(1, CHUNK_ELEMENTS // max(1, poses[0, ..., 0].numel()))
    parts = []
    for first in range(0, max(1, len(targets.images)), group):
        people = slice(first, first + group)
        images = targets.images[people]
        pose_cost = _pose_cost(poses[images], targets, people, sigmas, costs)
        parts.append(costs.classification * focal[images] + pose_cost)
    return torch.cat(parts)


def object_keypoint_similarity(
    squared_px: Tensor, visible: Tensor, areas: Tensor, sigmas: Tensor
) -> Tensor:
    """
    Return the mean similarity of the visible keypoints of a pair of poses.

    squared_px  (..., K)  squared distances in pixels
    visible     (..., K)  bool; a pair without any has similarity 0
    areas       (...)     of the labelled person, in pixels
    sigmas      (K,)      of the skeleton's keypoints
    returns     (...)     in [0, 1]
    """
    # An area below one pixel is a labelling slip; it must not divide by zero.
    spreads = 2 * areas.clamp(min=1).unsqueeze(-1) * (2 * sigmas).square()
    weights = visible / visible.sum(-1, keepdim=True).clamp(min=1)
    return ((-squared_px / spreads).exp() * weights).sum(-1)


def _focal_cost(logits: Tensor) -> Tensor:
    """Return how much cheaper each candidate is as background than as a person."""
    scores = logits.sigmoid()
    as_person = -0.25 * (1 - scores).square() * (scores + 1e-12).log()
    as_background = -0.75 * scores.square() * (1 - scores + 1e-12).log()
    return as_person - as_background


def _pose_cost(
    poses: Tensor, targets: BatchTargets, people: slice, sigmas: Tensor, costs: MatchCosts
) -> Tensor:
    """Return the keypoint and OKS costs (g, N) of poses (g, N, K, 2) for g people."""
    visible, areas = targets.visible[people].unsqueeze(1), targets.areas[people].unsqueeze(1)
    width, height = targets.image_sizes[people, None, None].unbind(-1)
    person_x, person_y = targets.keypoints[people].unsqueeze(1).unbind(-1)
    x, y = poses.unbind(-1)
    error_x, error_y = x - person_x, y - person_y
    weights = visible / (2 * visible.sum(-1, keepdim=True))
    distance = ((error_x.abs() + error_y.abs()) * weights).sum(-1)
    squared_px = (error_x * width).square() + (error_y * height).square()
    oks = object_keypoint_similarity(squared_px, visible, areas, sigmas)
    return costs.keypoint * distance - costs.oks * oks
