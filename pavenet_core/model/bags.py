"""Deformable attention on a CPU, without gradients: bags of embeddings, no sample is stored."""

from collections.abc import Iterator

import torch
from torch import Tensor
from torch.nn import functional as F

CHUNK = 1024  # queries at a time: their rows and shares stay in the cache


def mix_by_bags(values: list[Tensor], locations: Tensor, weights: Tensor) -> Tensor:
    """
    Return what `deformable_attention` returns of the same tensors, without gradients.

    Each query of a head is a bag: the four cells around each of its samples, by their bilinear
    shares times the sample's weight. grid_sample writes every sample out first.
    """
    batch, heads, channels = values[0].shape[:3]
    table = torch.cat([value.flatten(3).permute(0, 3, 1, 2) for value in values], 1)
    shapes = torch.tensor([value.shape[3:] for value in values])[:, :, None]
    starts = shapes.prod(1).cumsum(0) - shapes.prod(1)  # (G, 1)
    starts = torch.arange(batch)[:, None, None, None, None] * table.shape[1] + starts
    starts = (starts * heads + torch.arange(heads)[:, None, None]).to(torch.int32)
    heights, widths = shapes.to(locations.dtype).unbind(1)
    mixed = []
    for where, share in zip(locations.split(CHUNK, 4), weights.split(CHUNK, 4), strict=True):
        # Bag after bag, (B, Q, M, G, P), which is how a linear layer has left them.
        x, y = where.permute(0, 4, 1, 2, 3, 5).unbind(-1)
        share = share.permute(0, 4, 1, 2, 3).contiguous()
        columns = list(_around(x, widths))
        rows, shares = [], []
        for row, by_y in _around(y, heights):
            by_y = by_y * share
            for column, by_x in columns:
                rows.append((row * widths + column).to(torch.int32) * heads + starts)
                shares.append(by_y * by_x)
        bags = F.embedding_bag(
            torch.stack(rows, 3).flatten(3).flatten(0, 2),
            table.reshape(-1, channels).to(by_y.dtype),
            per_sample_weights=torch.stack(shares, 3).flatten(3).flatten(0, 2),
            mode='sum',
        )
        mixed.append(bags.view(batch, -1, heads * channels))
    return torch.cat(mixed, 1)


def _around(places: Tensor, lengths: Tensor) -> Iterator[tuple[Tensor, Tensor]]:
    """
    Yield the two cells around each place along one axis, with their shares: 0 if outside.

    places   (..., G, P)  in [0, 1] of the map
    lengths  (G, 1)       cells of each map
    """
    middle = places * lengths - 0.5
    first = middle.floor()
    beyond = middle - first
    for cell, share in ((first, 1 - beyond), (first + 1, beyond)):
        inside = (cell >= 0) & (cell < lengths)  # not of what is not a number
        yield cell.where(inside, 0), share.where(inside, 0)
