"""The training loss: focal classification and residual log-likelihood of the keypoints."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional

from pavenet_core.model.predictions import JointPrediction, PosePrediction
from pavenet_core.skeleton import Skeleton
from pavenet_core.train.distributed import mean_over_processes
from pavenet_core.train.flow import RealNvp, residual_nll
from pavenet_core.train.matcher import (
    Match,
    MatchCosts,
    assign,
    cost_matrices,
    object_keypoint_similarity,
)
from pavenet_core.train.targets import Targets


@dataclass(frozen=True)
class LossWeights:
    """
    Weights of the loss terms; a term of weight 0 is not computed if it is optional (OKS).

    proposal_keypoint  of the proposals' keypoint terms, on top of the others; 1 as in the authors'
                       code, 0 as in the paper, which names the loss for the decoders only
    """

    classification: float = 0.5
    keypoint: float = 1.0
    proposal_keypoint: float = 1.0
    oks: float = 0.0


AUTHORS_COSTS = MatchCosts()


class Pairs(NamedTuple):
    """
    Hold the n matched pairs of a batch.

    predicted, sigmas, keypoints  (n, K, 2)  of the candidate, its spread, of the person
    visible                       (n, K)
    areas                         (n,)       in pixels
    image_sizes                   (n, 2)     width, height in pixels
    """

    predicted: Tensor
    sigmas: Tensor
    keypoints: Tensor
    visible: Tensor
    areas: Tensor
    image_sizes: Tensor


class Criterion(nn.Module):
    """
    Compute the losses of all stages, weights applied: their plain sum is the training loss.

    The stages' densities of the keypoint error are trained with the network.
    """

    def __init__(
        self,
        skeleton: Skeleton,
        weights: LossWeights = LossWeights(),
        match_costs: MatchCosts = AUTHORS_COSTS,
        flow_prior_mean: float = 0.5,
        proposals_per_person: int = 1,
    ) -> None:
        """
        Build the three flows.

        proposals_per_person  how many tokens a person may claim; the authors' is one. More teach
        the proposals faster, and it is the pose decoder's task to keep one query a person.
        """
        super().__init__()
        if proposals_per_person < 1:
            raise ValueError(
                f'proposals_per_person must be at least 1, got {proposals_per_person}'
            )
        self.skeleton = skeleton
        self.weights = weights
        self.match_costs = match_costs
        self.proposals_per_person = proposals_per_person
        self.proposal_flow = RealNvp(flow_prior_mean)
        self.pose_flow = RealNvp(flow_prior_mean)
        self.joint_flow = RealNvp(flow_prior_mean)

    def match(
        self, prediction: PosePrediction, targets: Sequence[Targets], repeats: int = 1
    ) -> list[Match]:
        """Match one stage; of the last pose decoder layer before the joint decoder can run."""
        matrices = cost_matrices(prediction, targets, self.skeleton, self.match_costs)
        return [assign(matrix, repeats) for matrix in matrices]

    def forward(
        self,
        proposals: PosePrediction | None,
        layers: Sequence[PosePrediction],
        joints: Sequence[JointPrediction],
        joint_people: Sequence[Tensor],
        targets: Sequence[Targets],
        matches: Sequence[Match] | None = None,
    ) -> dict[str, Tensor]:
        """
        Return the loss terms by the authors' names.

        proposals     over the S tokens of the key frame, where there are any
        layers        of the pose decoder, first to last
        joints        of the joint decoder, first to last
        joint_people  per image, which of the targets' people fill the first of the P slots
        matches       of the last pose decoder layer, if they are known already
        """
        losses: dict[str, Tensor] = {}
        with torch.autocast(layers[0].poses.device.type, enabled=False):
            if proposals is not None:
                repeated = self.match(proposals, targets, self.proposals_per_person)
                losses = self._pose_losses(
                    'enc_', proposals, targets, self.proposal_flow, repeated
                )
                losses['enc_loss_kpt'] = losses['enc_loss_kpt'] * self.weights.proposal_keypoint
            for i, layer in enumerate(layers[:-1]):
                losses |= self._pose_losses(f'd{i}.', layer, targets, self.pose_flow)
            losses |= self._pose_losses('', layers[-1], targets, self.pose_flow, matches)
            slots = [(torch.arange(len(p), device=p.device), p) for p in joint_people]
            for i, joint in enumerate(joints):
                pairs = gather_pairs(joint.keypoints, joint.sigmas, targets, slots)
                terms = self._keypoint_losses(pairs, self.joint_flow)
                losses |= {f'd{i}.{name}_refine': term for name, term in terms.items()}
        return losses

    def _pose_losses(
        self,
        prefix: str,
        prediction: PosePrediction,
        targets: Sequence[Targets],
        flow: RealNvp,
        matches: Sequence[Match] | None = None,
    ) -> dict[str, Tensor]:
        prediction = PosePrediction(*(tensor.float() for tensor in prediction))
        matches = matches or self.match(prediction, targets)
        pairs = gather_pairs(prediction.poses, prediction.sigmas, targets, matches)
        loss = classification_loss(prediction, targets, matches)
        terms = {'loss_cls': self.weights.classification * loss}
        terms |= self._keypoint_losses(pairs, flow)
        return {prefix + name: term for name, term in terms.items()}

    def _keypoint_losses(self, pairs: Pairs, flow: RealNvp) -> dict[str, Tensor]:
        terms = {'loss_kpt': self.weights.keypoint * keypoint_loss(pairs, flow)}
        if self.weights.oks:
            terms['loss_oks'] = self.weights.oks * oks_loss(pairs, self.skeleton)
        return terms


def gather_pairs(
    predicted: Tensor, sigmas: Tensor, targets: Sequence[Targets], matches: Sequence[Match]
) -> Pairs:
    """Line up matched candidates and people of all images, in float32."""
    rows = []
    for i, (target, (candidates, people)) in enumerate(zip(targets, matches, strict=True)):
        height, width = target.image_size
        rows.append(
            Pairs(
                predicted[i, candidates].float(),
                sigmas[i, candidates].float(),
                target.keypoints[people].float(),
                target.visible[people],
                target.areas[people].float(),
                target.areas.new_tensor([width, height]).float().expand(len(people), 2),
            )
        )
    return Pairs(*(torch.cat(column) for column in zip(*rows, strict=True)))


def classification_loss(
    prediction: PosePrediction, targets: Sequence[Targets], matches: Sequence[Match]
) -> Tensor:
    """Return the focal loss per matched candidate; ignored regions cost nothing."""
    logits = prediction.class_logits
    labels = torch.zeros_like(logits)
    counts = torch.ones_like(logits)
    for i, (target, (candidates, _)) in enumerate(zip(targets, matches, strict=True)):
        counts[i] = (~inside_ignored(prediction.poses[i], target.ignore_boxes)).float()
        counts[i, candidates] = 1
        labels[i, candidates] = 1
    loss = (focal_loss(logits, labels) * counts).sum()
    return loss / _denominator(labels.sum())


def keypoint_loss(pairs: Pairs, flow: RealNvp) -> Tensor:
    """Return the residual log-likelihood loss per visible coordinate."""
    seen = pairs.visible
    nll = residual_nll(flow, pairs.predicted[seen], pairs.sigmas[seen], pairs.keypoints[seen])
    return nll.sum() / _denominator(2 * seen.sum())


def oks_loss(pairs: Pairs, skeleton: Skeleton) -> Tensor:
    """Return the mean of 1 - OKS over the matched pairs."""
    errors_px = (pairs.predicted - pairs.keypoints) * pairs.image_sizes.unsqueeze(1)
    squared_px = errors_px.square().sum(-1)
    oks = object_keypoint_similarity(squared_px, pairs.visible, pairs.areas, skeleton)
    return (1 - oks).sum() / _denominator(oks.new_tensor(len(oks)))


def focal_loss(logits: Tensor, labels: Tensor) -> Tensor:
    """Return the sigmoid focal loss of every candidate, alpha 0.25 and gamma 2."""
    scores = logits.sigmoid()
    miss = labels * (1 - scores) + (1 - labels) * scores
    alpha = labels * 0.25 + (1 - labels) * 0.75
    entropy = functional.binary_cross_entropy_with_logits(logits, labels, reduction='none')
    return alpha * miss.square() * entropy


@torch.no_grad()
def inside_ignored(poses: Tensor, boxes: Tensor) -> Tensor:
    """
    Tell which poses stand in an ignored region: by their centre or by most of their box.

    poses    (N, K, 2)
    boxes    (I, 4)     x0, y0, x1, y1
    returns  (N,)       bool
    """
    low, high = (bound.unsqueeze(1) for bound in poses.aminmax(dim=1))
    centre = (low + high) / 2
    box_low, box_high = boxes[:, :2], boxes[:, 2:]
    centred = ((box_low <= centre) & (centre <= box_high)).all(-1)
    shared = torch.minimum(high, box_high) - torch.maximum(low, box_low)
    covered = shared.clamp(min=0).prod(-1) > 0.5 * (high - low).prod(-1)
    return (centred | covered).any(-1)


def _denominator(count: Tensor) -> Tensor:
    """Return a count to divide by: its mean over the training processes, as in the paper."""
    return mean_over_processes(count).clamp(min=1)
