"""Deformable attention to narrow maps that all heads and layers share."""

from collections.abc import Sequence
from typing import cast

import torch
from torch import Tensor, nn
from torch.nn import functional

from pavenet_core.model.deformable_attention import DeformableAttention


class PyramidAttention(DeformableAttention):
    """
    Sample first, project after.

    Sampling is linear: the projection of a weighted sum is the weighted sum of projections. So a
    frame needs no values for each layer, only its maps, and the cost of a layer does not grow
    with the picture. It pays where maps have fewer channels than all heads together.

    channels_in  C_l of each of the L maps that the layer reads
    """

    def __init__(
        self, channels: int, heads: int, frames: int, points: int, channels_in: Sequence[int]
    ) -> None:
        super().__init__(channels, heads, frames, len(channels_in), points)
        del self.value_proj
        self.level_projections = nn.ModuleList(
            nn.Linear(inputs, channels, bias=False) for inputs in channels_in
        )

    def _mix_maps(self, maps: list[Tensor], locations: Tensor, weights: Tensor) -> Tensor:
        """Return (B, Q, C) of maps [(B, C_l, h_l, w_l)] * T*L, frame by frame."""
        batch, queries = weights.shape[0], weights.shape[4]
        frames, heads, levels, points = self.shape
        grids = (2 * locations - 1).transpose(1, 2).flatten(2, 3)  # (B, T*L, M*P, Q, 2)
        weights = weights.transpose(1, 2).flatten(2, 3)  # (B, T*L, M*P, Q)
        mixed: Tensor | None = None
        for level, projection in enumerate(self.level_projections):
            gathered: Tensor | None = None
            for frame in range(frames):
                index = frame * levels + level
                sampled = functional.grid_sample(maps[index], grids[:, index], align_corners=False)
                part = sampled * weights[:, index, None]
                part = part.view(batch, -1, heads, points, queries).sum(3)
                gathered = part if gathered is None else gathered + part
            assert gathered is not None
            # (M, c, C_l) @ (B, M, C_l, Q)
            matrix = cast(nn.Linear, projection).weight.view(heads, -1, gathered.shape[1])
            part = torch.matmul(matrix, gathered.transpose(1, 2))
            mixed = part if mixed is None else mixed + part
        assert mixed is not None
        return mixed.flatten(1, 2).transpose(1, 2)
