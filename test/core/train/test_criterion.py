"""The training loss, term by term."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode

from pavenet_core.model.predictions import JointPrediction, PosePrediction
from pavenet_core.skeleton import POSETRACK15
from pavenet_core.train.criterion import (
    Criterion,
    LossWeights,
    focal_loss,
    gather_pairs,
    inside_ignored,
    pair_oks,
)
from pavenet_core.train.flow import RealNvp, residual_nll
from pavenet_core.train.matcher import Matches
from pavenet_core.train.targets import BatchTargets, Targets

K = len(POSETRACK15)
NAMES = {
    *('enc_loss_cls', 'enc_loss_kpt', 'd0.loss_cls', 'd0.loss_kpt', 'd1.loss_cls', 'd1.loss_kpt'),
    *('loss_cls', 'loss_kpt', 'd0.loss_kpt_refine', 'd1.loss_kpt_refine'),
}


def make_targets(seed: int, people: int) -> Targets:
    generator = torch.Generator().manual_seed(seed)
    return Targets(
        keypoints=torch.rand(people, K, 2, generator=generator),
        visible=torch.rand(people, K, generator=generator) > 0.3,
        areas=torch.rand(people, generator=generator) * 3000 + 500,
        image_size=(150, 200),
        ignore_boxes=torch.zeros(0, 4),
    )


def make_prediction(seed: int, images: int, candidates: int) -> PosePrediction:
    generator = torch.Generator().manual_seed(seed)
    poses = torch.rand(images, candidates, K, 2, generator=generator)
    sigmas = torch.rand(images, candidates, K, 2, generator=generator) * 0.3 + 0.05
    logits = torch.randn(images, candidates, generator=generator)
    return PosePrediction(*(tensor.requires_grad_() for tensor in (logits, poses, sigmas)))


class Step:
    """Predictions of all stages for a batch."""

    def __init__(self, targets: Sequence[Targets]) -> None:
        self.targets = targets
        batch = len(targets)
        self.proposals = make_prediction(50, batch, 40)
        self.layers = [make_prediction(51 + i, batch, 12) for i in range(3)]
        slots = max(1, *(len(target.areas) for target in targets))
        stages = [make_prediction(60 + i, batch, slots) for i in range(2)]
        self.joints = [JointPrediction(stage.poses, stage.sigmas) for stage in stages]

    @property
    def people(self) -> BatchTargets:
        return BatchTargets.of(self.targets, torch.device('cpu'))

    def matches(self, criterion: Criterion) -> list[Matches]:
        return criterion.match(self.proposals, self.layers, self.people)

    def losses(self, criterion: Criterion) -> dict[str, Tensor]:
        losses: dict[str, Tensor] = criterion(
            self.proposals, self.layers, self.joints, self.people, self.matches(criterion)
        )
        return losses

    def gradients(self) -> list[Tensor | None]:
        tensors = [*self.proposals, *(t for stage in self.layers + self.joints for t in stage)]
        return [tensor.grad for tensor in tensors]


def test_every_term_equals_the_definition() -> None:
    torch.manual_seed(0)
    criterion = Criterion(POSETRACK15)
    step = Step([make_targets(1, 3), make_targets(2, 5)])
    losses = step.losses(criterion)
    assert set(losses) == NAMES
    flows = [criterion.proposal_flow] + [criterion.pose_flow] * 3
    stages = [step.proposals, *step.layers]
    found = step.matches(criterion)
    prefixes = ('enc_', 'd0.', 'd1.', '')
    for prefix, stage, flow, matches in zip(prefixes, stages, flows, found, strict=True):
        expected = expected_classification(stage, matches)
        assert losses[f'{prefix}loss_cls'].item() == pytest.approx(expected, rel=1e-4)
        keypoints = expected_keypoints(stage.poses, stage.sigmas, step.people, matches, flow)
        assert losses[f'{prefix}loss_kpt'].item() == pytest.approx(keypoints, rel=1e-4)
    slots = found[-1]._replace(candidates=torch.tensor([0, 1, 2, 0, 1, 2, 3, 4]))
    for i, joint in enumerate(step.joints):
        expected = expected_keypoints(*joint, step.people, slots, criterion.joint_flow)
        assert losses[f'd{i}.loss_kpt_refine'].item() == pytest.approx(expected, rel=1e-4)


def expected_classification(stage: PosePrediction, matches: Matches) -> float:
    total, count = 0.0, 0
    for i, logits in enumerate(stage.class_logits.detach().double().numpy()):
        positives = matches.candidates[matches.images == i].tolist()
        for n, logit in enumerate(logits):
            p = 1 / (1 + np.exp(-logit))
            if n in positives:
                total -= 0.25 * (1 - p) ** 2 * np.log(p)
                count += 1
            else:
                total -= 0.75 * p**2 * np.log(1 - p)
    return 0.5 * total / count


def expected_keypoints(
    poses: Tensor,
    sigmas: Tensor,
    people: BatchTargets,
    matches: Matches,
    flow: RealNvp,
) -> float:
    total, count = 0.0, 0
    rows = zip(*(column.tolist() for column in matches[:3]), strict=True)
    for i, n, g in rows:
        goal, visible = people.keypoints[g], people.visible[g]
        assert people.images[g] == i
        nll = residual_nll(flow, poses[i, n], sigmas[i, n], goal) * visible.unsqueeze(-1)
        total += nll.sum().item()
        count += 2 * int(visible.sum())
    return total / count


def test_without_proposals_the_other_terms_are_the_same() -> None:
    criterion = Criterion(POSETRACK15)
    step = Step([make_targets(3, 2), make_targets(4, 3)])
    whole = step.losses(criterion)
    matches = criterion.match(None, step.layers, step.people)
    others = criterion(None, step.layers, step.joints, step.people, matches)
    assert {name: value.item() for name, value in others.items()} == {
        name: value.item() for name, value in whole.items() if not name.startswith('enc_')
    }


class Operators(TorchDispatchMode):
    """Counts what a GPU would have to launch."""

    count = 0

    def __torch_dispatch__(
        self, func: Any, types: Any, args: Any = (), kwargs: Any = None
    ) -> object:
        self.count += 1
        return func(*args, **(kwargs or {}))


def test_more_images_take_no_more_operators() -> None:
    criterion, counts = Criterion(POSETRACK15, LossWeights(oks=1.0)), []
    for images in (2, 20):
        step = Step([make_targets(i, 3) for i in range(images)])
        people = step.people
        with Operators() as operators:
            matches = criterion.match(step.proposals, step.layers, people)
            criterion(step.proposals, step.layers, step.joints, people, matches)
        counts.append(operators.count)
    assert counts[0] == counts[1]


def test_gradients_reach_every_prediction_and_flow() -> None:
    criterion = Criterion(POSETRACK15, LossWeights(oks=0.5), proposals_per_person=2)
    step = Step([make_targets(5, 2), make_targets(6, 0), make_targets(7, 4)])
    total = torch.stack(list(step.losses(criterion).values())).sum()
    total.backward()  # type: ignore[no-untyped-call]
    gradients = step.gradients() + [p.grad for p in criterion.parameters()]
    assert all(g is not None and bool(g.isfinite().all()) and bool(g.any()) for g in gradients)


def test_a_batch_of_empty_images_costs_only_classification() -> None:
    criterion = Criterion(POSETRACK15, LossWeights(oks=1.0))
    step = Step([make_targets(8, 0), make_targets(9, 0)])
    losses = step.losses(criterion)
    total = torch.stack(list(losses.values())).sum()
    total.backward()  # type: ignore[no-untyped-call]
    for name, value in losses.items():
        assert bool(value.isfinite()), name
        assert (value.item() > 0) == name.endswith('loss_cls'), name
    present = [p.grad for p in criterion.parameters()]
    assert all(g is not None and not g.any() for g in present)


def test_terms_scale_with_their_weights() -> None:
    torch.manual_seed(0)
    criterion = Criterion(POSETRACK15)
    step = Step([make_targets(10, 3)])
    plain = step.losses(criterion)
    criterion.weights = LossWeights(classification=1.5, keypoint=0.25)
    for name, value in step.losses(criterion).items():
        factor = 3 if name.endswith('loss_cls') else 0.25
        assert value.item() == pytest.approx(factor * plain[name].item(), rel=1e-6)


def test_oks_term_is_a_mean_over_people() -> None:
    criterion = Criterion(POSETRACK15, LossWeights(oks=2.0))
    step = Step([make_targets(11, 2)])
    matches = step.matches(criterion)
    candidates, people = matches[-1].candidates, matches[-1].people
    with torch.no_grad():
        step.layers[-1].poses[0, candidates[0]] = step.targets[0].keypoints[people[0]]
        step.layers[-1].poses[0, candidates[1]] = 90.0
    losses = criterion(step.proposals, step.layers, step.joints, step.people, matches)
    assert losses['loss_oks'].item() == pytest.approx(2.0 * (0 + 1) / 2)
    extra = {'enc_loss_oks', 'd0.loss_oks', 'd1.loss_oks', 'loss_oks'}
    assert set(losses) == NAMES | extra | {'d0.loss_oks_refine', 'd1.loss_oks_refine'}


def test_with_quality_a_score_that_is_the_oks_costs_nothing() -> None:
    criterion = Criterion(POSETRACK15, LossWeights(quality=True))
    step = Step([make_targets(5, 3), make_targets(6, 2)])
    matches = step.matches(criterion)
    last, found = step.layers[-1], matches[-1]
    oks = pair_oks(
        gather_pairs(last.poses, last.sigmas, step.people, found), criterion.keypoint_sigmas
    )
    at = (found.images, found.candidates)
    perfect = torch.full_like(last.class_logits, -20.0).index_put(at, oks.logit(1e-6))
    assert oks.min() > 0 and oks.max() < 1

    def cost(logits: Tensor, weights: LossWeights) -> float:
        criterion.weights = weights
        layers = [*step.layers[:-1], last._replace(class_logits=logits)]
        with torch.no_grad():
            losses = criterion(step.proposals, layers, step.joints, step.people, matches)
        return float(losses['loss_cls'])

    quality = LossWeights(quality=True)
    assert cost(perfect, quality) == pytest.approx(0, abs=1e-6)
    assert cost(perfect + 1, quality) > 1e-4 and cost(perfect - 1, quality) > 1e-4
    assert cost(perfect, LossWeights()) > 1e-2  # there the matched shall score 1


def test_the_papers_loss_leaves_the_proposals_keypoints_out() -> None:
    step = Step([make_targets(1, 3)])
    criterion = Criterion(POSETRACK15)
    terms = step.losses(criterion)
    criterion.weights = LossWeights(proposal_keypoint=0.0)
    paper = step.losses(criterion)
    assert terms['enc_loss_kpt'] != 0 and paper['enc_loss_kpt'] == 0
    assert paper['enc_loss_cls'] == terms['enc_loss_cls']


def test_several_proposals_per_person_touch_the_proposals_only() -> None:
    torch.manual_seed(0)
    criterion = Criterion(POSETRACK15)
    step = Step([make_targets(12, 2), make_targets(13, 3)])
    single = step.losses(criterion)
    criterion.proposals_per_person = 3
    several = step.losses(criterion)
    for name in NAMES:
        same = single[name].item() == several[name].item()
        assert same == (not name.startswith('enc_')), name
    matches = step.matches(criterion)
    assert [len(found.images) for found in matches] == [15, 5, 5, 5]
    assert matches[0].images.bincount().tolist() == [6, 9]


def test_ignored_regions_cost_nothing_unless_matched() -> None:
    criterion = Criterion(POSETRACK15)
    step = Step([make_targets(14, 2)])
    everywhere = torch.tensor([[0.0, 0.0, 1.0, 1.0]])
    step.targets = [replace(step.targets[0], ignore_boxes=everywhere)]
    losses = step.losses(criterion)
    candidates = step.matches(criterion)[-1].candidates
    logits = step.layers[-1].class_logits[0, candidates]
    expected = 0.5 * focal_loss(logits, torch.ones(2)).sum() / 2
    assert losses['loss_cls'].item() == pytest.approx(expected.item())
    losses['loss_cls'].backward()  # type: ignore[no-untyped-call]
    gradient = step.layers[-1].class_logits.grad
    assert gradient is not None
    assert gradient[0].nonzero().squeeze(-1).tolist() == sorted(candidates.tolist())


def test_every_image_has_ignored_regions_of_its_own() -> None:
    targets = [make_targets(14, 2), make_targets(15, 2), make_targets(16, 2)]
    boxes = [[[0.0, 0.0, 1.0, 1.0]], [], [[0.8, 0.8, 0.9, 0.9], [0.0, 0.0, 1.0, 1.0]]]
    ignoring = [
        replace(target, ignore_boxes=torch.tensor(box).reshape(-1, 4))
        for target, box in zip(targets, boxes, strict=True)
    ]
    people, layer = BatchTargets.of(ignoring, torch.device('cpu')), make_prediction(51, 3, 12)
    criterion = Criterion(POSETRACK15)
    matches = criterion.match(None, [layer], people)
    criterion(None, [layer], [], people, matches)['loss_cls'].backward()
    assert layer.class_logits.grad is not None
    assert layer.class_logits.grad.count_nonzero(1).tolist() == [2, 12, 2]


def test_what_stands_in_an_ignored_region() -> None:
    def box(x0: float, y0: float, x1: float, y1: float) -> Tensor:
        return torch.tensor([[x0, y0], [x1, y1]])

    poses = torch.stack(
        [
            box(0.1, 0.1, 0.3, 0.3),  # inside
            box(0.3, 0.1, 0.6, 0.3),  # centre just inside
            box(0.35, 0.1, 0.75, 0.3),  # less than half inside
            box(0.6, 0.6, 0.7, 0.7),  # away
            box(0.8, 0.0, 1.0, 0.3),  # mostly inside the two-part region, by its centre
        ]
    )
    boxes = torch.tensor([[0.0, 0.0, 0.5, 0.5], [0.8, 0.0, 1.0, 0.2]])
    assert inside_ignored(poses, boxes).tolist() == [True, True, False, False, True]
    assert not inside_ignored(poses, torch.zeros(0, 4)).any()
    assert not inside_ignored(poses, torch.full((2, 4), float('nan'))).any()


def test_losses_stay_float32_under_autocast() -> None:
    torch.manual_seed(0)
    criterion = Criterion(POSETRACK15)
    step = Step([make_targets(15, 3)])
    plain = step.losses(criterion)
    with torch.autocast('cpu', dtype=torch.bfloat16):
        mixed = step.losses(criterion)
    assert all(value.dtype == torch.float32 for value in mixed.values())
    assert {k: v.item() for k, v in plain.items()} == {k: v.item() for k, v in mixed.items()}


def test_half_precision_predictions_are_accepted() -> None:
    criterion = Criterion(POSETRACK15)
    step = Step([make_targets(16, 3)])
    step.proposals = PosePrediction(*(t.bfloat16() for t in step.proposals))
    step.layers = [PosePrediction(*(t.bfloat16() for t in layer)) for layer in step.layers]
    step.joints = [JointPrediction(*(t.bfloat16() for t in joint)) for joint in step.joints]
    losses = step.losses(criterion)
    assert all(v.dtype == torch.float32 and bool(v.isfinite()) for v in losses.values())


def test_a_person_needs_a_match() -> None:
    with pytest.raises(ValueError, match='proposals_per_person must be at least 1, got 0'):
        Criterion(POSETRACK15, proposals_per_person=0)
