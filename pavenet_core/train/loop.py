"""The training loop: schedule, averaging, checkpoints that resume."""

import logging
import math
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import torch
from torch import Tensor, distributed, nn
from torch.nn.attention import SDPBackend, sdpa_kernel

from pavenet_core.model import PaveNet
from pavenet_core.model.spatial_encoder import Memory
from pavenet_core.train.criterion import Criterion, LossWeights
from pavenet_core.train.matcher import MatchCosts
from pavenet_core.train.step import window_losses
from pavenet_core.train.targets import Targets

log = logging.getLogger(__name__)

Batch = tuple[Callable[[PaveNet], Memory], list[Targets]]


@dataclass(frozen=True)
class TrainConfig:
    """
    How to train; the defaults suit the compact model from a frozen, pose-trained trunk.

    proposals_per_person  tokens that a person may claim among the proposals
    average               decay of the weights' moving average, which is what is kept in the end
    """

    steps: int = 4000
    batch: int = 16
    learning_rate: float = 4e-4
    final_learning_rate: float = 2e-5
    warmup_steps: int = 100
    weight_decay: float = 1e-4
    clip_norm: float = 0.5
    offset_rate: float = 0.1  # sampling offsets learn slower, as in Deformable DETR
    proposals_per_person: int = 4
    class_weight: float = 2.0
    keypoint_weight: float = 1.0
    oks_weight: float = 2.0
    # The authors' 2, 70, 7 let the better pose win a person; among near-equal queries that is
    # chance, and all end with the same score. These let the higher score win, and grow.
    match_costs: MatchCosts = field(default=MatchCosts(classification=3.0, keypoint=10.0, oks=4.0))
    average: float = 0.998
    seed: int = 0
    checkpoint_minutes: float = 3.0


class Trainer:
    """Hold what a checkpoint holds: model, losses, optimiser, moving average, step."""

    def __init__(self, model: PaveNet, train: TrainConfig) -> None:
        """Take a network to train on cached features, so with its trunk as it is."""
        torch.manual_seed(train.seed)
        self.model, self.train = model, train
        self.criterion = Criterion(
            model.config.skeleton,
            LossWeights(train.class_weight, train.keypoint_weight, train.oks_weight),
            match_costs=train.match_costs,
            proposals_per_person=train.proposals_per_person,
        )
        self.model.backbone.requires_grad_(False)
        self.optimiser = torch.optim.AdamW(
            parameter_groups(self.model, self.criterion, train), weight_decay=train.weight_decay
        )
        self.average = {k: v.clone() for k, v in self.model.state_dict().items()}
        self.step = 0

    def run(self, batches: Iterator[Batch], folder: Path) -> None:
        """Train until `steps`, saving `checkpoint.pt` in the folder every few minutes."""
        self.model.train()
        self.model.backbone.eval()  # batch norms of the trunk keep their statistics
        saved, began, first = time.monotonic(), time.monotonic(), self.step
        while self.step < self.train.steps:
            losses = self.one_step(*next(batches))
            if self.step % 10 == 0:
                rate = (self.step - first) / (time.monotonic() - began)
                left = (self.train.steps - self.step) / rate / 60
                parts = ' '.join(f'{k}={v:.3f}' for k, v in summary(losses).items())
                log.info(
                    'step %d/%d %s (%.2f steps/s, %.0f min left)',
                    *(self.step, self.train.steps, parts, rate, left),
                )
            if time.monotonic() - saved > 60 * self.train.checkpoint_minutes:
                self.save(folder / 'checkpoint.pt')
                saved = time.monotonic()
        self.save(folder / 'checkpoint.pt')

    def one_step(
        self, encode: Callable[[PaveNet], Memory], targets: list[Targets]
    ) -> dict[str, Tensor]:
        """Update the weights by one batch and return its losses."""
        for group in self.optimiser.param_groups:
            group['lr'] = group['rate'] * learning_rate(self.step, self.train)
        # The fused attention's backward pass is slow on CPUs for such short sequences.
        with sdpa_kernel(SDPBackend.MATH), torch.autocast('cpu', torch.bfloat16):
            losses = window_losses(self.model, self.criterion, encode(self.model), targets)
        self.optimiser.zero_grad()
        torch.stack(list(losses.values())).sum().backward()
        average_gradients([*self.model.parameters(), *self.criterion.parameters()])
        nn.utils.clip_grad_norm_(self.model.parameters(), self.train.clip_norm)
        self.optimiser.step()
        self.step += 1
        self._update_average()
        return losses

    @torch.no_grad()
    def _update_average(self) -> None:
        # Early on the average follows closely; later it spans 1 / (1 - average) steps.
        decay = min(self.train.average, (1 + self.step) / (10 + self.step))
        for name, value in self.model.state_dict().items():
            if value.is_floating_point():
                self.average[name].lerp_(value, 1 - decay)

    def save(self, path: Path) -> None:
        """Write everything needed to go on; a stopped write leaves the old file."""
        if distributed.is_initialized() and distributed.get_rank() != 0:
            return
        path.parent.mkdir(parents=True, exist_ok=True)
        partial = path.with_suffix('.partial')
        torch.save(
            {
                'config': self.model.config.to_json(),
                'step': self.step,
                'model': self.model.state_dict(),
                'average': self.average,
                'criterion': self.criterion.state_dict(),
                'optimiser': self.optimiser.state_dict(),
            },
            partial,
        )
        partial.rename(path)

    def take_losses(self, path: Path) -> None:
        """
        Take over the error densities of an earlier run, of any number of frames.

        Fresh ones would first spoil the spreads that the network has learned with the old.
        """
        self.criterion.load_state_dict(torch.load(path, weights_only=True)['criterion'])

    def resume(self, path: Path) -> None:
        """Go on from what `save` wrote."""
        data = torch.load(path, weights_only=True)
        self.step = data['step']
        self.model.load_state_dict(data['model'])
        self.criterion.load_state_dict(data['criterion'])
        self.optimiser.load_state_dict(data['optimiser'])
        self.average = data['average']


def average_gradients(parameters: list[nn.Parameter]) -> None:
    """Make all processes take the same step (torchrun); alone, do nothing."""
    if not distributed.is_initialized():
        return
    used = [p for p in parameters if p.requires_grad]
    flat = torch.cat([(torch.zeros_like(p) if p.grad is None else p.grad).flatten() for p in used])
    distributed.all_reduce(flat)
    flat /= distributed.get_world_size()
    for parameter, grad in zip(used, flat.split([p.numel() for p in used]), strict=True):
        parameter.grad = grad.view_as(parameter)


def parameter_groups(
    model: PaveNet, criterion: Criterion, train: TrainConfig
) -> list[dict[str, object]]:
    """Split the parameters by how fast they learn."""
    named = [(n, p) for n, p in model.named_parameters() if p.requires_grad]
    slow = [p for n, p in named if 'sampling_offsets' in n]
    rest = [p for n, p in named if 'sampling_offsets' not in n]
    return [
        {'params': [*rest, *criterion.parameters()], 'rate': 1.0},
        {'params': slow, 'rate': train.offset_rate},
    ]


def learning_rate(step: int, train: TrainConfig) -> float:
    """Rise linearly, then fall along a cosine to the final rate."""
    if step < train.warmup_steps:
        return train.learning_rate * (step + 1) / train.warmup_steps
    progress = (step - train.warmup_steps) / max(1, train.steps - train.warmup_steps)
    span = train.learning_rate - train.final_learning_rate
    return train.final_learning_rate + span * 0.5 * (1 + math.cos(math.pi * min(1.0, progress)))


def summary(losses: dict[str, Tensor]) -> dict[str, float]:
    """Return the total and the terms of the first and last stage."""
    shown = (
        'enc_loss_cls',
        'enc_loss_oks',
        'loss_cls',
        'loss_kpt',
        'loss_oks',
        'd1.loss_oks_refine',
    )
    values = {k: float(v.detach()) for k, v in losses.items()}
    return {'all': sum(values.values()), **{k: values[k] for k in shown if k in values}}
