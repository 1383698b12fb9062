"""A recipe's stages, one after the other, each from the weights of the one before."""

import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from pavenet_core.config import ModelConfig
from pavenet_core.data.dataset import Dataset, Neighbours
from pavenet_core.model import PaveNet
from pavenet_core.model.checkpoint import Weights, read_weights
from pavenet_core.skeleton import Skeleton
from pavenet_core.train.distributed import Processes
from pavenet_core.train.loop import Measure, Source, Trainer
from pavenet_core.train.optimiser import freeze
from pavenet_core.train.recipe import Recipe
from pavenet_core.train.saved_run import write_file
from pavenet_core.train.start import start
from pavenet_core.train.validate import Validation

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class StageData:
    """
    What a stage learns from.

    source      makes the batches, for a network and a recipe
    size        labelled frames, for the log
    validation  labelled frames to measure the accuracy on
    """

    skeleton: Skeleton
    size: int
    source: Callable[[PaveNet, Recipe, Processes], Source]
    validation: Dataset | None = None


def stage_folder(out: Path, recipes: Sequence[Recipe], index: int) -> Path:
    """Return the folder of a stage; that of the only one is the run's."""
    return out if len(recipes) == 1 else out / f'{index + 1}-{recipes[index].name}'


def run_stages(
    recipes: Sequence[Recipe],
    data: Mapping[str, StageData],
    config: ModelConfig,
    weights: Weights | None,
    trunk: str,
    out: Path,
    processes: Processes,
) -> bool:
    """
    Train all stages, each going on where it was; return False if interrupted.

    The last one's weights are in `out/checkpoint.pt` in the end.
    """
    for index, recipe in enumerate(recipes):
        folder = stage_folder(out, recipes, index)
        trainer = make_trainer(recipe, data[recipe.data], config, weights, trunk, folder, processes)
        log.info('%s', describe(trainer, data[recipe.data]))
        if not trainer.run():
            return False
        weights = None if index + 1 == len(recipes) else read_weights(folder / 'checkpoint.pt')
    if len(recipes) > 1 and processes.first:
        write_file(out / 'checkpoint.pt', trainer.weights())
    return True


def make_trainer(
    recipe: Recipe,
    data: StageData,
    config: ModelConfig,
    weights: Weights | None,
    trunk: str,
    folder: Path,
    processes: Processes,
) -> Trainer:
    """Build one stage, where it was stopped if it has begun."""
    begun = folder / 'checkpoint.pt'
    if begun.is_file():
        trunk = 'random'  # the checkpoint has it
    model, densities = start(config, None if begun.is_file() else weights, trunk, data.skeleton)
    measure: Measure | None = None
    if data.validation is not None:
        neighbours = Neighbours(model.config.num_frames)
        measure = Validation(data.validation, neighbours, processes)
    freeze(model, recipe.frozen)
    source = data.source(model.to(processes.device), recipe, processes)
    trainer = Trainer(model, recipe, source, folder, processes, measure)
    if densities:
        trainer.take_densities(densities)
    trainer.resume()
    return trainer


def describe(trainer: Trainer, data: StageData) -> str:
    """Say what a stage will do, and what it needs beside activations."""
    learned = sum(p.numel() for p in trainer.model.parameters() if p.requires_grad)
    everything = sum(p.numel() for p in trainer.model.parameters())
    copies = 2 if trainer.averaged is not trainer.model else 1
    megabytes = 4 * (copies * everything + 3 * learned) / 1e6
    recipe, config = trainer.recipe, trainer.model.config
    return (
        f'stage {recipe.name}: {config.name}, {config.num_frames} frames, '
        f'{len(config.skeleton)} keypoints, {data.size} labelled frames; '
        f'updates {trainer.step} to {trainer.steps} of {recipe.update_windows} windows, '
        f'{trainer.steps_per_epoch} an epoch; {learned / 1e6:.1f} M of {everything / 1e6:.1f} M '
        f'parameters learn, {megabytes:.0f} MB with gradients and optimiser'
    )
