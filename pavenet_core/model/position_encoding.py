"""Where the valid picture is, and sine codes of where a token lies in it."""

import math

import torch
from torch import Tensor


def valid_counts(valid_sizes: Tensor, stride: int, level: tuple[int, int]) -> Tensor:
    """
    Count the rows and columns of a level that show picture, not padding.

    valid_sizes  (N, 2) height, width in pixels of the un-padded images
    stride       pixels of a cell's side
    level        h, w of the level
    returns      (N, 2) float, rows then columns, each at least 1

    A cell is valid if its first pixel is; how far the batch is padded makes no difference.
    """
    sizes = torch.tensor(level, dtype=torch.float32, device=valid_sizes.device)
    return torch.minimum(torch.ceil(valid_sizes.to(torch.float32) / stride), sizes).clamp(min=1)


def sine_encoding(counts: Tensor, level: tuple[int, int], channels: int) -> Tensor:
    """
    Encode each token's row (first half of the channels) and column (second half).

    counts   (N, 2) valid rows and columns
    returns  (N, h*w, channels)

    Positions run over the valid part of the picture, half a cell inside, scaled to 2 pi.
    """
    half = channels // 2
    frequency = torch.arange(half, device=counts.device, dtype=torch.float32)
    frequency = 10000 ** (2 * torch.div(frequency, 2, rounding_mode='floor') / half)
    codes = []
    for axis in (0, 1):
        count = counts[:, axis : axis + 1]
        cells = torch.arange(1, level[axis] + 1, device=counts.device, dtype=torch.float32)
        position = (torch.minimum(cells[None], count) - 0.5) / (count + 1e-6) * (2 * math.pi)
        angle = position[:, :, None] / frequency
        codes.append(torch.stack([angle[..., 0::2].sin(), angle[..., 1::2].cos()], 3).flatten(2))
    rows = codes[0][:, :, None].expand(-1, -1, level[1], -1)
    columns = codes[1][:, None].expand(-1, level[0], -1, -1)
    return torch.cat([rows, columns], 3).flatten(1, 2)
