"""Start the compact trunk from MoveNet MultiPose's published weights."""

from pathlib import Path

import numpy as np
import torch
from torch import nn


def load_movenet_trunk(trunk: nn.Module, path: Path) -> None:
    """
    Fill a `mobilenetv2_150` trunk from an .npz of `<layer>.weight` and `<layer>.bias` arrays.

    The arrays are MoveNet MultiPose's convolutions in network order (stem, then each block's
    expand, depthwise and project), in torch's layout, batch norm already folded in. The trunk's
    batch norms become plain biases; keep them in evaluation mode.
    """
    convolutions = [m for m in trunk.modules() if isinstance(m, nn.Conv2d)]
    norms = [m for m in trunk.modules() if isinstance(m, nn.BatchNorm2d)]
    with np.load(path) as arrays:
        layers = [n.removesuffix('.weight') for n in arrays.files if n.endswith('.weight')]
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
