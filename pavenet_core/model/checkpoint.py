"""Trained weights from disk, as a network of the number of frames that is wanted."""

import pickle
import re
import struct
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from pavenet_core.config import ModelConfig
from pavenet_core.model.pavenet import PaveNet

# What torch.load raises for a file that is cut short or of another kind.
UNREADABLE = (
    *(OSError, RuntimeError, EOFError, ValueError, pickle.UnpicklingError, struct.error),
    *(KeyError, IndexError, TypeError, AttributeError),
)
PER_FRAME_ROWS = re.compile(
    r'_decoder\.layers\.\d+\.attention\.(sampling_offsets|attention_weights)'
)
PER_FRAME_HEAD = re.compile(r'(_decoder\.keypoint_heads\.\d+\.)(\d+)\.')


@dataclass(frozen=True)
class Weights:
    """
    What a checkpoint knows, whatever else is in it.

    network    state of `PaveNet(config)`, averaged where training did that
    criterion  state of the losses' densities
    """

    config: ModelConfig
    network: dict[str, Tensor]
    criterion: dict[str, Tensor]


def read_tensors(path: Path, device: torch.device | str = 'cpu') -> dict[str, Any]:
    """
    Return what `torch.save` wrote: a dictionary of tensors and plain values, nothing that runs.

    Raise `ValueError` if the file is not there, damaged, or something else.
    """
    try:
        file = path.open('rb')
    except OSError as error:
        raise ValueError(f'it cannot be read: {error.strerror}') from error
    try:
        with file:
            data = torch.load(file, map_location=device, weights_only=True)
    except UNREADABLE as error:
        # torch's own words are about its archive, or advise to run what the file holds.
        raise ValueError(
            'it is no file of weights by torch.save, is damaged, or holds more than tensors and '
            'plain values'
        ) from error
    if not isinstance(data, dict):
        raise ValueError(f'it holds a {type(data).__name__}, no dictionary of weights')
    return data


def weights_in(data: dict[str, Any]) -> Weights:
    """Return the weights of a checkpoint of `pavenet train`; `ValueError` if it is none."""
    try:
        config = ModelConfig.from_json(data['config'])
        return Weights(config, dict(data['average']), dict(data.get('criterion', {})))
    except UNREADABLE as error:
        reason = str(error).partition('\n')[0]
        raise ValueError(f'not a checkpoint of pavenet train: {reason}') from error


def read_weights(path: Path) -> Weights:
    """Read the weights of a checkpoint of `pavenet train`; `ValueError` if it is none."""
    try:
        return weights_in(read_tensors(path))
    except ValueError as error:
        raise ValueError(f'{path}: {error}') from error


def load_checkpoint(path: Path, num_frames: int | None = None) -> PaveNet:
    """
    Build the network of a training checkpoint, with its averaged weights.

    num_frames  widen an image model to so many frames; by default the checkpoint's own number

    Raise `ValueError` if it is none, or of a network that this version builds otherwise.
    """
    weights = read_weights(path)
    config, state = weights.config, weights.network
    if num_frames is not None and num_frames != config.num_frames:
        state = widened(state, config, num_frames)
        config = config.with_frames(num_frames)
    try:
        model = PaveNet(config)
        model.load_state_dict(state)
    except RuntimeError as error:  # no such trunk, or weights of other names or shapes
        reason = ' '.join(str(error).split())
        raise ValueError(
            f'{path} is of a network that this version does not build; use the version that '
            f'trained it ({reason:.200})'
        ) from error
    return model.eval()


def widened(state: dict[str, Tensor], config: ModelConfig, num_frames: int) -> dict[str, Tensor]:
    """
    Give every frame the weights of the one frame of an image model.

    On a window of equal frames the result is the image model's: the softmax over T equal frames
    gives each a T-th, and the T parts sum to the whole. `ValueError` if it has several frames.
    """
    if config.num_frames != 1:
        raise ValueError(
            f'only an image model (1 frame) can be widened to {num_frames}, this one has '
            f'{config.num_frames}; leave --frames out'
        )
    wide = {}
    for name, value in state.items():
        if PER_FRAME_ROWS.search(name):
            wide[name] = value.repeat(num_frames, *[1] * (value.ndim - 1))
        elif PER_FRAME_HEAD.search(name):
            for frame in range(config.pose_heads(num_frames)):
                wide[PER_FRAME_HEAD.sub(rf'\g<1>{frame}.', name)] = value.clone()
        else:
            wide[name] = value
    return wide
