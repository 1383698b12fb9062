"""A run on disk: written whole or not at all, and refused where it does not fit."""

import os
from pathlib import Path
from typing import Any

import torch

from pavenet_core.config import ModelConfig
from pavenet_core.model.checkpoint import UNREADABLE
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
        data = torch.load(path, map_location=device, weights_only=True)
        lacks = sorted(RUN - set(data['run']))
    except (*UNREADABLE, KeyError, TypeError, AttributeError) as error:
        reason = 'it holds weights alone' if error.args == ('run',) else str(error)
        raise ValueError(
            f'cannot go on from {path}: {_first_line(reason)}; '
            'remove it to begin anew, or give another --out'
        ) from error
    if lacks:
        raise ValueError(f'cannot go on from {path}: it lacks {lacks}')
    return dict(data)


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
    for what, ours in (('steps_per_epoch', steps_per_epoch), ('processes', processes)):
        if run[what] != ours:
            differences.append(f'{what} {ours} instead of {run[what]}')
    if differences:
        raise ValueError(
            f'cannot go on from {path}: this run has {"; ".join(differences)}; '
            'give what it began with, or another --out'
        )


def _first_line(reason: str) -> str:
    return reason.partition('\n')[0]
