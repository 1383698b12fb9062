"""The training loop: updates, checkpoints that go on to the bit, validation at each epoch."""

import copy
import random
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.optim.swa_utils import get_ema_multi_avg_fn

from pavenet_core.model import PaveNet
from pavenet_core.train.batch import Batch
from pavenet_core.train.criterion import Criterion, LossWeights
from pavenet_core.train.distributed import Processes, agree, average_gradients, start_alike
from pavenet_core.train.interrupt import Interrupt
from pavenet_core.train.optimiser import (
    build_optimiser,
    freeze,
    learning_rate,
    num_steps,
    to_training,
)
from pavenet_core.train.progress import Progress
from pavenet_core.train.recipe import Recipe
from pavenet_core.train.saved_run import read_run, refuse_other, write_file
from pavenet_core.train.step import window_losses

GO_ON, SAVE, STOP = range(3)  # what a process wishes after an update
DTYPES = {'float32': torch.float32, 'bfloat16': torch.bfloat16, 'float16': torch.float16}
NOTE_EVERY = 10  # updates

Measure = Callable[[PaveNet], dict[str, float]]


class Source(Protocol):
    """Batches without end; the one of step s depends on s alone, so a run can go on."""

    @property
    def steps_per_epoch(self) -> int:
        """Return how many batches show each window once."""

    def batches(self, first_step: int) -> Iterator[Batch]:
        """Yield this process's batches from a step on."""


class Trainer:
    """
    Train a network by a recipe, in a folder.

    measure  gives the accuracy of the network at each epoch's end; its first number decides which
             weights are the best. In several processes each calls it
    """

    def __init__(
        self,
        model: PaveNet,
        recipe: Recipe,
        source: Source,
        folder: Path,
        processes: Processes,
        measure: Measure | None = None,
    ) -> None:
        self.recipe, self.source, self.folder = recipe, source, folder
        self.processes, self.measure = processes, measure
        self.accumulation = recipe.accumulation(processes.count)
        self.model = model.to(processes.device)
        self.model.recompute_activations(recipe.recompute)
        self.criterion = build_criterion(model, recipe).to(processes.device)
        freeze(self.model, recipe.frozen)
        start_alike(self.model, self.criterion)
        self.optimiser = build_optimiser(self.model, self.criterion, recipe)
        half = recipe.precision == 'float16'
        self.scaler = torch.amp.GradScaler(processes.device.type, enabled=half)
        self.averaged = copy.deepcopy(self.model).eval() if recipe.average else self.model
        self.step, self.best = 0, float('-inf')

    @property
    def steps_per_epoch(self) -> int:
        """Return the updates of an epoch."""
        return max(1, self.source.steps_per_epoch // self.accumulation)

    @property
    def steps(self) -> int:
        """Return the updates of the whole stage."""
        return num_steps(self.recipe, self.steps_per_epoch)

    def run(self) -> bool:
        """Train to the end; return False if it was interrupted. Either way the folder is saved."""
        if self.step >= self.steps:
            return True
        saved = time.monotonic()
        batches = self.source.batches(self.step * self.accumulation)
        with ExitStack() as stack:
            interrupt = stack.enter_context(Interrupt())
            progress = stack.enter_context(
                Progress(self.folder, self.step, self.steps, silent=not self.processes.first)
            )
            while self.step < self.steps:
                progress.show(self.update(batches), self._is_noted())
                if self._is_measured():
                    progress.note_accuracy(self.step, self._epoch_end())
                late = time.monotonic() - saved > 60 * self.recipe.checkpoint_minutes
                wish = STOP if interrupt.wanted else SAVE if late else GO_ON
                wish = agree(wish, self.processes)
                if wish != GO_ON:
                    self.save()
                    saved = time.monotonic()
                if wish == STOP:
                    return False
        self.save()
        return True

    def update(self, batches: Iterator[Batch]) -> dict[str, float | Tensor]:
        """Change the weights once, and return what is worth noting."""
        seed_all(self.recipe.seed, self.step, self.processes.rank)
        to_training(self.model, self.recipe.frozen)
        rate = learning_rate(self.step, self.recipe, self.steps_per_epoch)
        for group in self.optimiser.param_groups:
            group['lr'] = rate * group['factor']
        self.optimiser.zero_grad()
        totals: dict[str, Tensor] = {}
        for _ in range(self.accumulation):
            for name, loss in self._backward(next(batches)).items():
                totals[name] = totals.get(name, torch.zeros_like(loss)) + loss
        norm = self._descend()
        self.step += 1
        self._follow()
        whole = torch.stack(list(totals.values())).sum()
        return {'step': self.step, 'loss': whole, 'rate': rate, 'gradient': norm, **totals}

    def _backward(self, batch: Batch) -> dict[str, Tensor]:
        """Add one batch's share to the gradient and return its share of the losses."""
        device = self.processes.device
        batch = batch.to(device)
        dtype = DTYPES[self.recipe.precision]
        with ExitStack() as stack:
            if device.type == 'cpu':
                # The fused attention's backward pass is slow there for such short sequences.
                stack.enter_context(sdpa_kernel(SDPBackend.MATH))
            half = dtype != torch.float32
            stack.enter_context(torch.autocast(device.type, dtype if half else None, enabled=half))
            memory = batch.encode(self.model)
            losses = window_losses(self.model, self.criterion, memory, batch.targets)
        shares = {name: loss / self.accumulation for name, loss in losses.items()}
        self.scaler.scale(torch.stack(list(shares.values())).sum()).backward()
        return {name: share.detach() for name, share in shares.items()}

    def _descend(self) -> Tensor:
        """Step by the mean gradient of all processes and return its length."""
        parameters = [*self.model.parameters(), *self.criterion.parameters()]
        # Before the scaler looks for overflow, so that all processes see the same.
        average_gradients(parameters)
        self.scaler.unscale_(self.optimiser)
        norm = nn.utils.clip_grad_norm_(
            [p for p in parameters if p.grad is not None], self.recipe.clip_norm
        )
        if not self.scaler.is_enabled() and not norm.isfinite():
            raise ValueError(
                f'the gradient of update {self.step + 1} is {float(norm)}; train with a lower '
                f'--rate; {self.folder} keeps the last checkpoint'
            )
        self.scaler.step(self.optimiser)
        self.scaler.update()
        return norm

    @torch.no_grad()
    def _follow(self) -> None:
        """Draw the average towards the weights: closely at first, later over many updates."""
        if self.averaged is self.model:
            return
        decay = min(self.recipe.average, (1 + self.step) / (10 + self.step))
        pairs = zip(self.averaged.parameters(), self.model.parameters(), strict=True)
        averages, values = zip(*(pair for pair in pairs if pair[1].requires_grad), strict=True)
        get_ema_multi_avg_fn(decay)(averages, values, None)

    def _is_noted(self) -> bool:
        return self.step % NOTE_EVERY == 0 or self.step in (1, self.steps)

    def _is_measured(self) -> bool:
        return self.step % self.steps_per_epoch == 0 or self.step == self.steps

    def _epoch_end(self) -> dict[str, float]:
        """Measure the accuracy and keep the best weights."""
        if self.measure is None:
            return {}
        accuracy = self.measure(self.averaged.eval())
        first = next(iter(accuracy.values()), float('nan'))
        if first > self.best:
            self.best = first
            if self.processes.first:
                write_file(self.folder / 'best.pt', self.weights())
        return accuracy

    def weights(self) -> dict[str, Any]:
        """Return the weights to keep, as `read_weights` reads them."""
        return {
            'config': self.model.config.to_json(),
            'average': self.averaged.state_dict(),
            'criterion': self.criterion.state_dict(),
        }

    def save(self) -> None:
        """Write everything needed to go on to `checkpoint.pt`."""
        if not self.processes.first:
            return
        run = {
            'recipe': self.recipe.to_json(),
            'steps_per_epoch': self.steps_per_epoch,
            'processes': self.processes.count,
            'step': self.step,
            'best': self.best,
            'model': self.model.state_dict(),
            'optimiser': self.optimiser.state_dict(),
            'scaler': self.scaler.state_dict(),
        }
        write_file(self.folder / 'checkpoint.pt', {**self.weights(), 'run': run})

    def take_densities(self, state: dict[str, Tensor]) -> None:
        """
        Take over the error densities of an earlier training.

        Fresh ones would first spoil the spreads that the network has learned with the old.
        """
        self.criterion.load_state_dict(state, strict=False)

    def resume(self) -> bool:
        """Go on from the folder's checkpoint; return False if there is none."""
        path = self.folder / 'checkpoint.pt'
        if not path.is_file():
            return False
        data = read_run(path, self.processes.device)
        run = data['run']
        refuse_other(
            path, data, self.model.config, self.recipe, self.steps_per_epoch, self.processes.count
        )
        self.model.load_state_dict(run['model'])
        self.averaged.load_state_dict(data['average'])
        self.criterion.load_state_dict(data['criterion'])
        self.optimiser.load_state_dict(run['optimiser'])
        self.scaler.load_state_dict(run['scaler'])
        self.step, self.best = run['step'], run['best']
        return True


def build_criterion(model: PaveNet, recipe: Recipe) -> Criterion:
    """Build a recipe's losses."""
    weights = LossWeights(
        recipe.class_weight,
        recipe.keypoint_weight,
        oks=recipe.oks_weight,
        quality=recipe.quality,
    )
    return Criterion(
        model.config.skeleton,
        weights,
        match_costs=recipe.match_costs,
        proposals_per_person=recipe.proposals_per_person,
    )


def seed_all(seed: int, step: int, rank: int) -> None:
    """
    Begin the random numbers of an update anew, from these three alone.

    So nothing of their state needs to be kept for a run to go on to the bit.
    """
    word = int(np.random.SeedSequence((seed, step, rank)).generate_state(1)[0])
    random.seed(word)
    np.random.seed(word)
    torch.manual_seed(word)
