"""What training begins with: weights of before, a trained trunk, or nothing."""

import logging
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

from torch import Tensor

from pavenet_core.config import ModelConfig
from pavenet_core.model import PaveNet
from pavenet_core.model.adapt_skeleton import adapt_skeleton, keypoint_sources
from pavenet_core.model.checkpoint import Weights, read_tensors, weights_in, widened
from pavenet_core.model.official_checkpoint import from_official, tensors_in
from pavenet_core.presets import PRESETS
from pavenet_core.skeleton import Skeleton
from pavenet_core.train.initial_weights import load_movenet

log = logging.getLogger(__name__)

IMAGENET, RANDOM = 'imagenet', 'random'  # trunks that are no file


class Start(NamedTuple):
    """Hold a network to train, and the losses' densities where they were trained before."""

    model: PaveNet
    criterion: dict[str, Tensor]


def read_any_weights(path: Path) -> Weights:
    """
    Read a checkpoint of `pavenet train`, or of the authors: PAVE-Net or PETR.

    Raise `ValueError` in one sentence if it is neither.
    """
    if not path.is_file():
        raise ValueError(f'there are no weights {path}')
    try:
        return _any_weights_in(read_tensors(path))
    except ValueError as error:
        raise ValueError(f'{path}: {error}') from error


def _any_weights_in(data: dict[str, Any]) -> Weights:
    try:
        return weights_in(data)
    except ValueError as ours:
        try:
            official = from_official(tensors_in(data))
        except ValueError as theirs:
            raise ValueError(f'{ours}; nor one of the authors: {theirs}') from theirs
    return Weights(official.config, official.network, official.flows)


def choose_config(
    preset: str | None, num_frames: int | None, weights: Weights | None
) -> ModelConfig:
    """
    Return a preset's network, or that of the weights, for so many frames.

    Raise `ValueError` if there is no such preset, or neither is given.
    """
    if preset is not None and preset not in PRESETS:
        raise ValueError(f'no model {preset!r}; there are {sorted(PRESETS)}')
    if preset is None and weights is None:
        raise ValueError('neither a model nor weights are given')
    config = weights.config if preset is None and weights else PRESETS[preset or '']
    return config if num_frames is None else config.with_frames(num_frames)


def start(config: ModelConfig, weights: Weights | None, trunk: str, skeleton: Skeleton) -> Start:
    """Build a network for the labels' skeleton and fill it with what there is."""
    config = replace(config, skeleton=skeleton)
    if weights is None:
        return Start(fresh_model(config, trunk), {})
    model = PaveNet(config)
    return Start(model, take_weights(model, weights))


def fresh_model(config: ModelConfig, trunk: str) -> PaveNet:
    """
    Build a network of which the trunk at most is trained.

    trunk  'imagenet', 'random' or a file of MoveNet's weights

    Raise `ValueError` if those weights can't be had, or are of another network.
    """
    if trunk not in (IMAGENET, RANDOM):
        model = PaveNet(config)
        load_movenet(model, Path(trunk))
        return model
    try:
        return PaveNet(config, pretrained_backbone=trunk == IMAGENET)
    except (OSError, RuntimeError) as error:
        reason = str(error).partition('\n')[0]
        raise ValueError(
            f'cannot get the ImageNet weights of {config.backbone}: {reason}; '
            'give --weights FILE, or --trunk random to begin without'
        ) from error


def take_weights(model: PaveNet, weights: Weights) -> dict[str, Tensor]:
    """
    Fill a network with weights of fewer frames, or another skeleton; return the densities.

    What the weights lack keeps its start values and is named in the log. Raise `ValueError` if
    most of the network is not there, or of other shapes.
    """
    config, network = weights.config, weights.network
    if config.skeleton != model.config.skeleton:
        _name_new_keypoints(config.skeleton, model.config)
        network, config = adapt_skeleton(network, config, model.config.skeleton)
    if config.num_frames != model.config.num_frames:
        network = widened(network, config, model.config.num_frames)
    own = model.state_dict()
    fits = {n: x for n, x in network.items() if n in own and own[n].shape == x.shape}
    fresh = [n for n in own if n not in fits and not n.endswith('num_batches_tracked')]
    if len(fits) < len(own) / 2:
        raise ValueError(
            f'the weights are of {config.name}: of {len(own)} tensors of {model.config.name} '
            f'only {len(fits)} are there and fit; give another --model'
        )
    if fresh:
        log.info('%d tensors keep their start values: %s', len(fresh), ', '.join(fresh[:6]))
    model.load_state_dict(fits, strict=False)
    return weights.criterion


def _name_new_keypoints(known: Skeleton, config: ModelConfig) -> None:
    """Log which keypoints no weights are there for: a name written otherwise is a new keypoint."""
    pairs = zip(config.skeleton.names, keypoint_sources(known, config.skeleton), strict=True)
    new = [name for name, source in pairs if source is None]
    if new:
        log.info('keypoints that the weights do not know by name: %s', ', '.join(new))
    if new and config.pyramid:
        log.warning(
            'their scores stay low, and drawings leave them out: heat maps are not trained; '
            'better name each after what is nearest to it of %s',
            ', '.join(name for name in known.names if name not in config.skeleton.names),
        )
