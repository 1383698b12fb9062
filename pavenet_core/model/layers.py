"""Small parts that several blocks share."""

import math
from itertools import pairwise

import torch
from torch import Tensor, nn

EPS = 1e-5


def inverse_sigmoid(x: Tensor) -> Tensor:
    """Return the logit of values in [0, 1] of any shape, kept finite at both ends."""
    x = x.clamp(0, 1)
    return torch.log(x.clamp(min=EPS) / (1 - x).clamp(min=EPS))


class Mlp(nn.Sequential):
    """Linear layers with ReLU between them; `zero_last` makes the output start at zero."""

    def __init__(
        self, inputs: int, hidden: int, outputs: int, layers: int, zero_last: bool = False
    ) -> None:
        sizes = [inputs, *[hidden] * (layers - 1)]
        parts: list[nn.Module] = []
        for first, second in pairwise(sizes):
            parts += [nn.Linear(first, second), nn.ReLU(inplace=True)]
        last = nn.Linear(hidden, outputs)
        if zero_last:
            nn.init.zeros_(last.weight)
            nn.init.zeros_(last.bias)
        super().__init__(*parts, last)


class SigmaHead(nn.Sequential):
    """Three linear layers without activations between, as the authors built it."""

    def __init__(self, channels: int, outputs: int) -> None:
        last = nn.Linear(channels, outputs)
        nn.init.xavier_uniform_(last.weight, gain=0.01)
        super().__init__(nn.Linear(channels, channels), nn.Linear(channels, channels), last)


def class_head(channels: int, on_top: bool = False) -> nn.Linear:
    """
    Build the one-class score head, starting at a probability of 0.01.

    on_top  it adds to scores that are there already, at first nothing
    """
    head = nn.Linear(channels, 1)
    if on_top:
        nn.init.zeros_(head.weight)
    nn.init.constant_(head.bias, 0 if on_top else -math.log((1 - 0.01) / 0.01))
    return head


class FeedForward(nn.Module):
    """Two linear layers around a ReLU, added to the input."""

    def __init__(self, channels: int, hidden: int, dropout: float) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            nn.Linear(channels, hidden),
            nn.ReLU(inplace=True),
            nn.Dropout(dropout),
            nn.Linear(hidden, channels),
            nn.Dropout(dropout),
        )

    def forward(self, x: Tensor) -> Tensor:
        """Return x plus its transformation, shape kept."""
        return x + self.layers(x)
