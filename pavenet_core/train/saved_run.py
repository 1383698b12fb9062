"""A run on disk: written whole or not at all, and refused where it does not fit."""

import os
from pathlib import Path
from typing import Any

import torch

from pavenet_core.config import ModelConfig
from pavenet_core.model.checkpoint import read_tensors
from pavenet_core.train.recipe import Recipe

RUN = {'recipe', 'steps_per_epoch', 'processes', 'step', 'best', 'model', 'optimiser', 'scaler'}


def write_file(path: Path, data: dict[str, Any]) -> None:
    """Save; a process or machine that dies meanwhile leaves the old file."""
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_suffix('.partial')
    with partial.open('wb') as file:
        torch.save(data, file)
        file.flush()
        os.fsync(file.fileno())
    partial.replace(path)


def read_run(path: Path, device: torch.device) -> dict[str, Any]:
    """Read a checkpoint to go on from; `ValueError` if it is damaged or something else."""
    try:
        data = read_tensors(path, device)
    except ValueError as error:
        raise ValueError(
            f'cannot go on from {path}: {error}; remove it to begin anew, or give another --out'
        ) from error
    lacks = sorted(RUN - set(data.get('run', {})))
    if 'run' not in data or lacks:
        what = f'it lacks {lacks}' if 'run' in data else 'it holds weights alone'
        raise ValueError(
            f'cannot go on from {path}: {what}; remove it to begin anew, or give another --out'
        )
    return data


def refuse_other(
    path: Path,
    data: dict[str, Any],
    config: ModelConfig,
    recipe: Recipe,
    steps_per_epoch: int,
    processes: int,
) -> None:
    """Raise `ValueError` if a checkpoint is of another network, recipe, data set or group."""
    run = data['run']
    differences = recipe.differences(Recipe.from_json(run['recipe']))
    if ModelConfig.from_json(data['config']) != config:
        differences.append(f'another network than {data["config"]["name"]}')
    if run['processes'] != processes:
        differences.append(f'processes {processes} instead of {run["processes"]}')
    if run['steps_per_epoch'] != steps_per_epoch and not differences:
        differences.append(
            f'another number of pictures: {steps_per_epoch} updates an epoch instead of '
            f'{run["steps_per_epoch"]}'
        )
    if differences:
        raise ValueError(
            f'cannot go on from {path}: this run has {"; ".join(differences)}; '
            'give what it began with, or another --out'
        )
