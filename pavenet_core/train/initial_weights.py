"""Start a compact network from MoveNet MultiPose's published weights."""

from collections.abc import Iterator, Mapping
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from pavenet_core.model import PaveNet
from pavenet_core.model.peak_selection import PeakSelection
from pavenet_core.model.pyramid import Pyramid

HEADS = {
    'centre_head': 'center',
    'guess_head': 'kpt_regress',
    'keypoint_head': 'kpt_heatmap',
    'offset_head': 'kpt_offset',
}
Arrays = Mapping[str, NDArray[np.generic]]


def load_movenet(model: PaveNet, path: Path) -> None:
    """
    Fill trunk, pyramid and heat-map heads from an .npz of `<layer>.weight` and `<layer>.bias`.

    The arrays are MoveNet MultiPose's convolutions in network order (stem, then each block's
    expand, depthwise and project; `last`, `fpn.*`, `head.*`), in torch's layout, batch norm
    already folded in. The trunk's batch norms become plain biases; keep them in evaluation mode.
    """
    with np.load(path) as arrays:
        load_trunk(model.backbone.trunk, arrays, path)
        neck, selection = model.neck, model.query_selection
        if isinstance(neck, Pyramid) and isinstance(selection, PeakSelection):
            for convolution, name in _pyramid_layers(neck, selection):
                fill(convolution, arrays, name)
            for stride in (16, 8, 4):
                balance(neck.get_submodule(f'topdown{stride}'))
            # Theirs are y before x.
            with torch.no_grad():
                for head in (selection.guess_head, selection.offset_head):
                    for parameter in head.out.parameters():
                        parameter.copy_(parameter.unflatten(0, (-1, 2)).flip(1).flatten(0, 1))


def load_trunk(trunk: nn.Module, arrays: Arrays, path: Path) -> None:
    """Fill a `mobilenetv2_150` trunk; `ValueError` if the arrays are of another."""
    convolutions = [m for m in trunk.modules() if isinstance(m, nn.Conv2d)]
    norms = [m for m in trunk.modules() if isinstance(m, nn.BatchNorm2d)]
    layers = [n.removesuffix('.weight') for n in arrays if n.endswith('.weight')]
    layers = [n for n in layers if n.startswith(('stem.', 'block'))]
    if len(layers) != len(convolutions):
        raise ValueError(
            f'{path} has {len(layers)} trunk layers, the trunk {len(convolutions)}; '
            'is it MoveNet MultiPose Lightning?'
        )
    with torch.no_grad():
        for name, convolution, norm in zip(layers, convolutions, norms, strict=True):
            convolution.weight.copy_(torch.from_numpy(arrays[f'{name}.weight']))
            norm.weight.fill_(1)
            norm.bias.copy_(torch.from_numpy(arrays[f'{name}.bias']))
            assert norm.running_mean is not None and norm.running_var is not None
            norm.running_mean.zero_()
            norm.running_var.fill_(1 - norm.eps)


def balance(separable: nn.Module) -> None:
    """
    Make a channel's depthwise and pointwise weights equally long; the layer stays the same.

    MoveNet's lengths differ by up to a million, so that one learning rate would not do for both.
    """
    depthwise, pointwise = separable.get_submodule('0'), separable.get_submodule('1')
    assert isinstance(depthwise, nn.Conv2d) and isinstance(pointwise, nn.Conv2d)
    with torch.no_grad():
        before = depthwise.weight.flatten(1).norm(dim=1).clamp(min=1e-12)
        after = pointwise.weight.flatten(1).norm(dim=0).clamp(min=1e-12)
        factor = (after / before).sqrt()
        depthwise.weight *= factor[:, None, None, None]
        pointwise.weight /= factor[:, None, None]


def fill(convolution: nn.Module, arrays: Arrays, name: str) -> None:
    """Copy one layer; a convolution without bias takes the weight alone."""
    assert isinstance(convolution, nn.Conv2d)
    with torch.no_grad():
        convolution.weight.copy_(torch.from_numpy(arrays[f'{name}.weight']))
        if convolution.bias is not None:
            convolution.bias.copy_(torch.from_numpy(arrays[f'{name}.bias']))


def _pyramid_layers(pyramid: Pyramid, selection: PeakSelection) -> Iterator[tuple[nn.Module, str]]:
    """Pair our layers with their names."""
    yield pyramid.last, 'last.conv'
    for stride in (32, 16, 8, 4):
        yield pyramid.get_submodule(f'lateral{stride}'), f'fpn.lateral{stride}'
    for stride in (16, 8, 4):
        topdown = pyramid.get_submodule(f'topdown{stride}')
        yield topdown.get_submodule('0'), f'fpn.topdown{stride}.depthwise'
        yield topdown.get_submodule('1'), f'fpn.topdown{stride}.pointwise'
    for ours, theirs in HEADS.items():
        head = selection.get_submodule(ours)
        for part in ('depthwise', 'pointwise', 'out'):
            yield head.get_submodule(part), f'head.{theirs}.{part}'
