"""Who is who: the cheapest assignment of predicted poses to labelled people."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from scipy.optimize import linear_sum_assignment
from torch import Tensor

from pavenet_core.model.predictions import PosePrediction
from pavenet_core.skeleton import Skeleton
from pavenet_core.train.targets import Targets

# Candidate index and person index, both (n,) int64, candidates rising.
Match = tuple[Tensor, Tensor]

# Floats per temporary of the cost; people are taken in groups that fit.
CHUNK_ELEMENTS = 4_000_000
IMPOSSIBLE = 1e9  # cost of a pose that is not a number


@dataclass(frozen=True)
class MatchCosts:
    """Weights of the three parts of the matching cost."""

    classification: float = 2.0
    keypoint: float = 70.0
    oks: float = 7.0


@dataclass(frozen=True)
class CostMatrix:
    """
    Hold what each candidate of an image would cost as each person with a visible keypoint.

    cost    (N, G')
    people  (G',)    their indices among the targets' people
    """

    cost: Tensor
    people: Tensor


def match(
    prediction: PosePrediction,
    targets: Sequence[Targets],
    skeleton: Skeleton,
    costs: MatchCosts = MatchCosts(),
    repeats: int = 1,
) -> list[Match]:
    """Match, image by image, every person with visible keypoints to up to `repeats` candidates."""
    matrices = cost_matrices(prediction, targets, skeleton, costs)
    return [assign(matrix, repeats) for matrix in matrices]


def assign(matrix: CostMatrix, repeats: int = 1) -> Match:
    """Choose the pairs of least total cost, each candidate at most once."""
    # Half precision may overflow; the loss then does too, and the loop sees to it.
    finite = matrix.cost.nan_to_num(IMPOSSIBLE, IMPOSSIBLE, -IMPOSSIBLE)
    columns = finite.repeat(1, repeats)
    candidates, chosen = linear_sum_assignment(columns.cpu().numpy())
    device = matrix.people.device
    indices = torch.from_numpy(chosen).to(device) % max(len(matrix.people), 1)
    return torch.from_numpy(candidates).to(device), matrix.people[indices]


@torch.no_grad()
def cost_matrices(
    prediction: PosePrediction,
    targets: Sequence[Targets],
    skeleton: Skeleton,
    costs: MatchCosts = MatchCosts(),
) -> list[CostMatrix]:
    """Compute the matching costs of every image, in float32."""
    matrices = []
    for logits, poses, target in zip(
        prediction.class_logits.float(), prediction.poses.float(), targets, strict=True
    ):
        people = target.visible.any(-1).nonzero().squeeze(-1)
        group = max(1, CHUNK_ELEMENTS // max(1, poses[..., 0].numel()))
        parts = [
            _pose_cost(poses, target, part, skeleton, costs) for part in torch.split(people, group)
        ]
        cost = costs.classification * _focal_cost(logits).unsqueeze(-1) + torch.cat(parts, dim=1)
        matrices.append(CostMatrix(cost, people))
    return matrices


def object_keypoint_similarity(
    squared_px: Tensor, visible: Tensor, areas: Tensor, skeleton: Skeleton
) -> Tensor:
    """
    Return the mean similarity of the visible keypoints of a pair of poses.

    squared_px  (..., K)  squared distances in pixels
    visible     (..., K)  bool; a pair without any has similarity 0
    areas       (...)     of the labelled person, in pixels
    returns     (...)     in [0, 1]
    """
    variances = (2 * squared_px.new_tensor(skeleton.sigmas)).square()
    # An area below one pixel is a labelling slip; it must not divide by zero.
    spreads = 2 * areas.clamp(min=1).unsqueeze(-1) * variances
    weights = visible / visible.sum(-1, keepdim=True).clamp(min=1)
    return ((-squared_px / spreads).exp() * weights).sum(-1)


def _focal_cost(logits: Tensor) -> Tensor:
    """Return how much cheaper each candidate (N,) is as background than as a person."""
    scores = logits.sigmoid()
    as_person = -0.25 * (1 - scores).square() * (scores + 1e-12).log()
    as_background = -0.75 * scores.square() * (1 - scores + 1e-12).log()
    return as_person - as_background


def _pose_cost(
    poses: Tensor, target: Targets, people: Tensor, skeleton: Skeleton, costs: MatchCosts
) -> Tensor:
    """Return the keypoint and OKS costs (N, n) of all poses (N, K, 2) for some people (n,)."""
    height, width = target.image_size
    visible, areas = target.visible[people], target.areas[people].float()
    x, y = poses.unbind(-1)
    person_x, person_y = target.keypoints[people].float().unbind(-1)
    error_x = x.unsqueeze(1) - person_x
    error_y = y.unsqueeze(1) - person_y
    weights = visible / (2 * visible.sum(-1, keepdim=True))
    distance = ((error_x.abs() + error_y.abs()) * weights).sum(-1)
    squared_px = (error_x * width).square() + (error_y * height).square()
    oks = object_keypoint_similarity(squared_px, visible, areas, skeleton)
    return costs.keypoint * distance - costs.oks * oks
