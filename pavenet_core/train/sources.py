"""From labelled frames to a stage's batches."""

from dataclasses import replace
from pathlib import Path

from pavenet_core.config import ModelConfig
from pavenet_core.data.dataset import Dataset, Neighbours
from pavenet_core.data.selection import for_training
from pavenet_core.model import PaveNet
from pavenet_core.train.augmentation import AUGMENTATIONS, Augmentation
from pavenet_core.train.canvas import CanvasMaker
from pavenet_core.train.canvas_loader import CanvasLoader
from pavenet_core.train.distributed import Processes
from pavenet_core.train.feature_cache import CachedSource
from pavenet_core.train.loader import Loader
from pavenet_core.train.recipe import Recipe


def neighbours_of(config: ModelConfig) -> Neighbours:
    """Return which frames a network's key frames are seen with."""
    return Neighbours(config.num_frames, older=config.pyramid)


def make_source(
    dataset: Dataset, model: PaveNet, recipe: Recipe, processes: Processes, cache: Path
) -> Loader | CachedSource:
    """
    Return this process's batches: augmented windows, composed ones, or cached maps of those.

    Raise `ValueError` if nothing can be learned from the data, or the recipe asks for the unknown.
    """
    dataset = for_training(dataset)
    if recipe.augmentation == 'canvas' and recipe.shards:
        return cached_source(dataset, model, recipe, processes, cache)
    neighbours = neighbours_of(model.config)
    if recipe.augmentation == 'canvas':
        return CanvasLoader(
            CanvasMaker(dataset, neighbours),
            batch=recipe.batch,
            alignment=model.config.input_alignment,
            seed=recipe.seed,
            rank=processes.rank,
            processes=processes.count,
            workers=recipe.workers,
        )
    if recipe.augmentation not in AUGMENTATIONS:
        known = ['canvas', *AUGMENTATIONS]
        raise ValueError(f'no augmentation {recipe.augmentation!r}; there are {known}')
    augmentation = AUGMENTATIONS[recipe.augmentation].with_frames(model.config.num_frames)
    return Loader(
        dataset,
        fitted(augmentation, recipe.longest) if recipe.longest else augmentation,
        neighbours,
        batch=recipe.batch,
        alignment=model.config.input_alignment,
        seed=recipe.seed,
        rank=processes.rank,
        processes=processes.count,
        workers=recipe.workers,
    )


def cached_source(
    dataset: Dataset, model: PaveNet, recipe: Recipe, processes: Processes, cache: Path
) -> CachedSource:
    """Return batches of a frozen trunk's maps; `ValueError` if the recipe trains the trunk."""
    if recipe.frozen != 'trunk':
        raise ValueError(f'cached features need a frozen trunk, but {recipe.name} trains it')
    return CachedSource(
        cache,
        model,
        CanvasMaker(dataset, neighbours_of(model.config)),
        processes,
        shards=recipe.shards,
        batch=recipe.batch,
        seed=recipe.seed,
    )


def fitted(augmentation: Augmentation, longest: int) -> Augmentation:
    """
    Show pictures about as large as a network sees them at run time, its longer side this.

    The authors' sizes are for pictures that are tested with 800 rows at most; ours have no such
    limit, and squarer ones would be learned too small.
    """
    factor = longest / augmentation.long_side
    low, high = augmentation.crop_side
    return replace(
        augmentation,
        short_side=(longest // 2, longest),
        long_side=longest,
        crop_short_sides=tuple(round(side * factor) for side in augmentation.crop_short_sides),
        crop_side=(round(low * factor), round(high * factor)),
    )
