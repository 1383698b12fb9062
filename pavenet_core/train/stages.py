"""A recipe's stages, one after the other, each from the weights of the one before."""

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from pavenet_core.config import ModelConfig
from pavenet_core.data.dataset import Dataset
from pavenet_core.model.checkpoint import Weights, read_weights
from pavenet_core.train.distributed import Processes
from pavenet_core.train.loader import has_people
from pavenet_core.train.loop import Trainer, seed_all
from pavenet_core.train.recipe import Recipe
from pavenet_core.train.saved_run import write_file
from pavenet_core.train.sources import make_source, neighbours_of
from pavenet_core.train.start import RANDOM, start
from pavenet_core.train.validate import Validation

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class StageData:
    """What a stage learns from, and what it is measured on."""

    train: Dataset
    validation: Dataset | None = None

    def __post_init__(self) -> None:
        """Refuse, before an epoch is through, to measure what is not learned, or nothing."""
        if self.validation and not any(map(has_people, self.validation.frames)):
            raise ValueError(
                f'{self.validation.name}, to measure on, has nobody with a marked keypoint in '
                f'{len(self.validation.frames)} pictures; give other labels, or leave them out'
            )
        if self.validation and self.validation.skeleton.names != self.train.skeleton.names:
            raise ValueError(
                f'{self.validation.name}, to measure on, labels other keypoints than '
                f'{self.train.name}: {", ".join(self.validation.skeleton.names)} instead of '
                f'{", ".join(self.train.skeleton.names)}'
            )


@dataclass(frozen=True)
class Run:
    """
    Everything about a run but its recipe and data.

    config   of the network; its skeleton becomes that of each stage's labels
    weights  what the first stage begins with; without any, `trunk` as `start` takes it
    out      folder of the run
    cache    folder of cached features
    """

    config: ModelConfig
    weights: Weights | None
    trunk: str
    out: Path
    cache: Path
    processes: Processes

    def folder(self, recipes: Sequence[Recipe], index: int) -> Path:
        """Return the folder of a stage; that of the only one is the run's."""
        return self.out if len(recipes) == 1 else self.out / f'{index + 1}-{recipes[index].name}'


def run_stages(recipes: Sequence[Recipe], data: Mapping[str, StageData], run: Run) -> bool:
    """
    Train all stages, each going on where it was; return False if interrupted.

    The last one's weights are in `out/checkpoint.pt` in the end.
    """
    for index, recipe in enumerate(recipes):
        trainer = make_trainer(recipe, data[recipe.data], run, run.folder(recipes, index))
        log.info('%s', describe(recipe, trainer, data[recipe.data]))
        if not trainer.run():
            return False
        if index + 1 < len(recipes):
            run = replace(run, weights=read_weights(trainer.folder / 'checkpoint.pt'))
    if len(recipes) > 1 and run.processes.first:
        write_file(run.out / 'checkpoint.pt', trainer.weights())
    return True


def make_trainer(recipe: Recipe, data: StageData, run: Run, folder: Path) -> Trainer:
    """Build one stage, where it was stopped if it has begun."""
    begun = (folder / 'checkpoint.pt').is_file()
    # What the weights lack begins at random: layers, heads and the losses' densities.
    seed_all(recipe.seed, 0, run.processes.rank)
    model, densities = start(
        run.config,
        None if begun else run.weights,
        RANDOM if begun else run.trunk,
        data.train.skeleton,
    )
    measure = None
    if data.validation is not None:
        measure = Validation(data.validation, neighbours_of(model.config), run.processes)
    source = make_source(data.train, model, recipe, run.processes, run.cache)
    trainer = Trainer(model, recipe, source, folder, run.processes, measure)
    trainer.take_densities(densities)
    trainer.resume()
    return trainer


def describe(recipe: Recipe, trainer: Trainer, data: StageData) -> str:
    """Say what a stage will do, and the memory that it needs beside activations."""
    learned = sum(p.numel() for p in trainer.model.parameters() if p.requires_grad)
    everything = sum(p.numel() for p in trainer.model.parameters())
    copies = 2 if recipe.average else 1
    megabytes = 4 * (copies * everything + 3 * learned) / 1e6
    config = trainer.model.config
    pairs = len(config.skeleton.flip_pairs)
    return (
        f'stage {recipe.name}: {config.name}, {config.num_frames} frames, '
        f'{len(config.skeleton)} keypoints ({pairs} left and right pairs); '
        f'{len(data.train.frames)} labelled frames; '
        f'updates {trainer.step} to {trainer.steps}, {trainer.steps_per_epoch} an epoch, each of '
        f'{recipe.update_windows} windows; {learned / 1e6:.1f} M of {everything / 1e6:.1f} M '
        f'parameters learn: {megabytes:.0f} MB with gradients and optimiser'
    )
