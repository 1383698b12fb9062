"""Ways to compute deformable attention from the same tensors; the network has the first two."""

from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn import functional as F

from pavenet_core.model.bags import mix_by_bags
from pavenet_core.model.deformable_attention import mix_by_samples

Maps = list[Tensor]  # as DeformableAttention.project gives them: (B, M, c, h, w)
Form = Callable[[Maps, Tensor, Tensor], Tensor]


class Call(NamedTuple):
    """
    What one call gets, as the linear layers leave it.

    values     [(B, M, c, h, w)] * G
    locations  (B, Q, M, G, P, 2)
    weights    (B, Q, M, G, P)
    """

    values: Maps
    locations: Tensor
    weights: Tensor


def samples(values: Maps, locations: Tensor, weights: Tensor) -> Tensor:
    """Call the network's own with grid_sample."""
    return mix_by_samples(
        values, locations.permute(0, 2, 3, 4, 1, 5), weights.permute(0, 2, 3, 4, 1)
    )


def bags(values: Maps, locations: Tensor, weights: Tensor) -> Tensor:
    """Call the network's own with embedding_bag."""
    return mix_by_bags(values, locations.permute(0, 2, 3, 4, 1, 5), weights.permute(0, 2, 3, 4, 1))


def maps_queries_first(values: Maps, locations: Tensor, weights: Tensor) -> Tensor:
    """Call grid_sample on each map, queries before points, and sum all at once: the textbook's."""
    grids = 2 * locations.permute(0, 2, 3, 1, 4, 5) - 1
    sampled = [_sample(value, grids[:, :, g]) for g, value in enumerate(values)]
    shares = weights.transpose(1, 2).flatten(3).flatten(0, 1)[:, None]
    return _joined((torch.stack(sampled, 3).flatten(3) * shares).sum(3), locations)


def one_weighted_sum(values: Maps, locations: Tensor, weights: Tensor) -> Tensor:
    """Call grid_sample on each map, points before queries, and sum all at once."""
    grids = 2 * locations.permute(0, 2, 3, 4, 1, 5) - 1
    sampled = [_sample(value, grids[:, :, g]) for g, value in enumerate(values)]
    shares = weights.permute(0, 2, 3, 4, 1).flatten(2, 3).flatten(0, 1)[:, None]
    return _joined((torch.cat(sampled, 2) * shares).sum(2), locations)


def gather_and_matmul(values: Maps, locations: Tensor, weights: Tensor) -> Tensor:
    """Copy the four corners of every sample out, and mix them by a small matrix product."""
    table, rows, shares = _corners(values, locations, weights)
    batch, queries, heads = locations.shape[:3]
    cells = table[rows.flatten()].view(*shares.shape, table.shape[1])
    return (shares[:, :, :, None] @ cells).reshape(batch, queries, heads * table.shape[1])


def dense_matmul(values: Maps, locations: Tensor, weights: Tensor) -> Tensor:
    """Spread each query's shares over all cells and multiply: bilinear shares are separable."""
    mixed = None
    for g, value in enumerate(values):
        height, width = value.shape[3:]
        x, y = locations[:, :, :, g].transpose(1, 2).unbind(-1)  # (B, M, Q, P)
        rows = torch.arange(height, device=value.device) + 0.5
        columns = torch.arange(width, device=value.device) + 0.5
        in_row = (1 - (y[..., None] * height - rows).abs()).relu()
        in_row = in_row * weights[:, :, :, g].transpose(1, 2)[..., None]
        in_column = (1 - (x[..., None] * width - columns).abs()).relu()
        shares = (in_row.transpose(3, 4) @ in_column).flatten(3)  # (B, M, Q, h*w)
        part = shares @ value.flatten(3).transpose(2, 3)
        mixed = part if mixed is None else mixed + part
    assert mixed is not None
    return mixed.transpose(1, 2).flatten(2)


def _sample(value: Tensor, grid: Tensor) -> Tensor:
    return F.grid_sample(value.flatten(0, 1), grid.flatten(0, 1), align_corners=False)


def _joined(mixed: Tensor, locations: Tensor) -> Tensor:
    """Turn (B*M, c, Q) into (B, Q, M*c)."""
    return mixed.reshape(locations.shape[0], -1, locations.shape[1]).transpose(1, 2)


def _corners(values: Maps, locations: Tensor, weights: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """
    Return every cell as a row of one table, and which rows each query reads by which shares.

    returns  (B*S*M, c), (B, Q, M, G*P*4) and (B, Q, M, G*P*4)
    """
    batch, heads, channels = values[0].shape[:3]
    tokens = torch.cat([value.flatten(3).permute(0, 3, 1, 2) for value in values], 1)
    sizes = torch.tensor([value.shape[3:] for value in values], device=tokens.device)
    starts = sizes.prod(1).cumsum(0) - sizes.prod(1)
    height, width = sizes.to(locations.dtype)[:, :, None].unbind(1)  # (G, 1)
    x, y = locations[..., 0] * width - 0.5, locations[..., 1] * height - 0.5
    left, top = x.floor(), y.floor()
    rows, shares = [], []
    for row, down in ((top, 1 - (y - top)), (top + 1, y - top)):
        for column, right in ((left, 1 - (x - left)), (left + 1, x - left)):
            inside = (row >= 0) & (row < height) & (column >= 0) & (column < width)
            cell = (row * width + column).masked_fill(~inside, 0).long() + starts[:, None]
            rows.append(cell)
            shares.append((weights * down * right).masked_fill(~inside, 0))
    picture = torch.arange(batch, device=tokens.device)[:, None, None, None] * tokens.shape[1]
    head = torch.arange(heads, device=tokens.device)[None, None, :, None]
    index = (torch.stack(rows, -1).flatten(3) + picture) * heads + head
    return tokens.reshape(-1, channels), index, torch.stack(shares, -1).flatten(3)
