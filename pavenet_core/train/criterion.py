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
    MatchCosts,
    Matches,
    match,
    object_keypoint_similarity,
)
from pavenet_core.train.targets import BatchTargets


@dataclass(frozen=True)
class LossWeights:
    """
    Weights of the loss terms; a term of weight 0 is not computed if it is optional (OKS).

    proposal_keypoint  of the proposals' keypoint terms, on top of the others; 1 as in the authors'
                       code, 0 as in the paper, which names the loss for the decoders only
    quality            teach scores to foretell the OKS, instead of 1 for whoever is matched
    """

    classification: float = 0.5
    keypoint: float = 1.0
    proposal_keypoint: float = 1.0
    oks: float = 0.0
    quality: bool = False


AUTHORS_COSTS = MatchCosts()


class Pairs(NamedTuple):
    """
    Hold the n matched pairs of a batch.

    predicted, sigmas, keypoints  (n, K, 2)  of the candidate, its spread, of the person
    visible                       (n, K)
    areas                         (n,)       in pixels
    image_sizes                   (n, 2)     width, height in pixels
    points                        (v,)       the visible keypoints, among the n*K
    """

    predicted: Tensor
    sigmas: Tensor
    keypoints: Tensor
    visible: Tensor
    areas: Tensor
    image_sizes: Tensor
    points: Tensor


class Criterion(nn.Module):
    """
    Compute the losses of all stages, weights applied: their plain sum is the training loss.

    The stages' densities of the keypoint error are trained with the network.
    """

    keypoint_sigmas: Tensor

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
        self.register_buffer(
            'keypoint_sigmas', torch.tensor(skeleton.sigmas, dtype=torch.float32), persistent=False
        )
        self.weights = weights
        self.match_costs = match_costs
        self.proposals_per_person = proposals_per_person
        self.proposal_flow = RealNvp(flow_prior_mean)
        self.pose_flow = RealNvp(flow_prior_mean)
        self.joint_flow = RealNvp(flow_prior_mean)

    def match(
        self,
        proposals: PosePrediction | None,
        layers: Sequence[PosePrediction],
        targets: BatchTargets,
    ) -> list[Matches]:
        """Match all stages at once, the proposals first if there are any, then each layer."""
        stages, repeats = list(layers), [1] * len(layers)
        if proposals is not None:
            stages, repeats = [proposals, *stages], [self.proposals_per_person, *repeats]
        return match(stages, targets, self.keypoint_sigmas, self.match_costs, repeats)

    def forward(
        self,
        proposals: PosePrediction | None,
        layers: Sequence[PosePrediction],
        joints: Sequence[JointPrediction],
        targets: BatchTargets,
        matches: Sequence[Matches],
    ) -> dict[str, Tensor]:
        """
        Return the loss terms by the authors' names.

        proposals  over the S tokens of the key frame, where there are any
        layers     of the pose decoder, first to last
        joints     of the joint decoder, first to last; an image's slots hold whom it matched last
        matches    as `match` gives them
        """
        losses: dict[str, Tensor] = {}
        with torch.autocast(layers[0].poses.device.type, enabled=False):
            if proposals is not None:
                flow = self.proposal_flow
                losses = self._pose_losses(['enc_'], [proposals], targets, matches[:1], flow)
                losses['enc_loss_kpt'] = losses['enc_loss_kpt'] * self.weights.proposal_keypoint
            prefixes = [*(f'd{i}.' for i in range(len(layers) - 1)), '']
            own = matches[-len(layers) :]
            losses |= self._pose_losses(prefixes, layers, targets, own, self.pose_flow)
            slots = matches[-1]._replace(candidates=matches[-1].slots)
            pairs = [
                gather_pairs(joint.keypoints, joint.sigmas, targets, slots) for joint in joints
            ]
            for i, terms in enumerate(self._keypoint_losses(pairs, self.joint_flow)):
                losses |= {f'd{i}.{name}_refine': term for name, term in terms.items()}
        return losses

    def _pose_losses(
        self,
        prefixes: Sequence[str],
        stages: Sequence[PosePrediction],
        targets: BatchTargets,
        matches: Sequence[Matches],
        flow: RealNvp,
    ) -> dict[str, Tensor]:
        pairs = [
            gather_pairs(stage.poses, stage.sigmas, targets, found)
            for stage, found in zip(stages, matches, strict=True)
        ]
        keypoint_terms = self._keypoint_losses(pairs, flow)
        losses = {}
        for prefix, stage, found, pair, terms in zip(
            prefixes, stages, matches, pairs, keypoint_terms, strict=True
        ):
            oks = pair_oks(pair, self.keypoint_sigmas).detach() if self.weights.quality else None
            loss = classification_loss(stage, targets, found, oks)
            losses[f'{prefix}loss_cls'] = self.weights.classification * loss
            losses |= {prefix + name: term for name, term in terms.items()}
        return losses

    def _keypoint_losses(self, stages: Sequence[Pairs], flow: RealNvp) -> list[dict[str, Tensor]]:
        terms = [
            {'loss_kpt': self.weights.keypoint * loss} for loss in keypoint_losses(stages, flow)
        ]
        if self.weights.oks:
            for pairs, term in zip(stages, terms, strict=True):
                term['loss_oks'] = self.weights.oks * oks_loss(pairs, self.keypoint_sigmas)
        return terms


def gather_pairs(
    predicted: Tensor, sigmas: Tensor, targets: BatchTargets, matches: Matches
) -> Pairs:
    """Line up matched candidates, of (B, N, K, 2), and people, in float32."""
    rows = matches.images * predicted.shape[1] + matches.candidates
    return Pairs(
        predicted.flatten(0, 1).index_select(0, rows).float(),
        sigmas.flatten(0, 1).index_select(0, rows).float(),
        targets.keypoints[matches.people],
        targets.visible[matches.people],
        targets.areas[matches.people],
        targets.image_sizes[matches.people],
        matches.points,
    )


def classification_loss(
    prediction: PosePrediction,
    targets: BatchTargets,
    matches: Matches,
    quality: Tensor | None = None,
) -> Tensor:
    """
    Return the focal loss per matched candidate; ignored regions cost nothing.

    quality  (n,) what the scores of the matched shall be, in [0, 1]; without it 1
    """
    logits = prediction.class_logits.float()
    at = (matches.images, matches.candidates)
    matched = torch.zeros_like(logits).index_put(at, logits.new_ones(()))
    counts = ~inside_ignored(prediction.poses.float(), targets.ignore_boxes) | (matched > 0)
    if quality is None:
        losses = focal_loss(logits, matched)
    else:
        losses = quality_focal_loss(logits, torch.zeros_like(logits).index_put(at, quality))
    return (losses * counts).sum() / _denominator(matched.sum())


def keypoint_losses(stages: Sequence[Pairs], flow: RealNvp) -> list[Tensor]:
    """Return the residual log-likelihood loss per visible coordinate of stages of one density."""
    if not stages:
        return []
    visible = [
        [
            x.flatten(0, 1).index_select(0, pairs.points)
            for x in (pairs.predicted, pairs.sigmas, pairs.keypoints)
        ]
        for pairs in stages
    ]
    # Together, because the flow is many small operations, whatever the number of points.
    nll = residual_nll(flow, *(torch.cat(column) for column in zip(*visible, strict=True)))
    parts = nll.split([len(pairs.points) for pairs in stages])
    return [part.sum() / _denominator(part.new_full((), part.numel())) for part in parts]


def oks_loss(pairs: Pairs, keypoint_sigmas: Tensor) -> Tensor:
    """Return the mean of 1 - OKS over the matched pairs."""
    oks = pair_oks(pairs, keypoint_sigmas)
    return (1 - oks).sum() / _denominator(oks.new_full((), len(oks)))


def pair_oks(pairs: Pairs, keypoint_sigmas: Tensor) -> Tensor:
    """Return the object keypoint similarity of each pair (n,)."""
    errors_px = (pairs.predicted - pairs.keypoints) * pairs.image_sizes.unsqueeze(1)
    squared_px = errors_px.square().sum(-1)
    return object_keypoint_similarity(squared_px, pairs.visible, pairs.areas, keypoint_sigmas)


def focal_loss(logits: Tensor, labels: Tensor) -> Tensor:
    """Return each candidate's sigmoid focal loss, alpha 0.25, gamma 2; all of one shape."""
    scores = logits.sigmoid()
    miss = labels * (1 - scores) + (1 - labels) * scores
    alpha = labels * 0.25 + (1 - labels) * 0.75
    entropy = functional.binary_cross_entropy_with_logits(logits, labels, reduction='none')
    return alpha * miss.square() * entropy


def quality_focal_loss(logits: Tensor, quality: Tensor) -> Tensor:
    """Return the focal loss of scores that shall be any number in [0, 1]: Li et al. 2020, QFL."""
    entropy = functional.binary_cross_entropy_with_logits(logits, quality, reduction='none')
    return (quality - logits.sigmoid()).square() * entropy


@torch.no_grad()
def inside_ignored(poses: Tensor, boxes: Tensor) -> Tensor:
    """
    Tell which poses stand in an ignored region: by their centre or by most of their box.

    poses    (..., N, K, 2)
    boxes    (..., I, 4)     x0, y0, x1, y1; NaN is no region
    returns  (..., N)        bool
    """
    low, high = (bound.unsqueeze(-2) for bound in poses.aminmax(dim=-2))
    centre = (low + high) / 2
    box_low, box_high = boxes.unsqueeze(-3).split(2, -1)
    centred = ((box_low <= centre) & (centre <= box_high)).all(-1)
    shared = torch.minimum(high, box_high) - torch.maximum(low, box_low)
    covered = shared.clamp(min=0).prod(-1) > 0.5 * (high - low).prod(-1)
    return (centred | covered).any(-1)


def _denominator(count: Tensor) -> Tensor:
    """Return a count to divide by: its mean over the training processes, as in the paper."""
    return mean_over_processes(count).clamp(min=1)
