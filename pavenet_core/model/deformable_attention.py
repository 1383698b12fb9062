"""The one operator of the network: mix a few values sampled where a query asks."""

import math
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from pavenet_core import ops
from pavenet_core.model.bags import mix_by_bags


class TokenValues(NamedTuple):
    """
    Values as the CUDA kernel reads them.

    tokens  (B, T, S, M, c)
    shapes  [(h, w)] * L
    """

    tokens: Tensor
    shapes: list[tuple[int, int]]


# Maps [(B, M, c, h, w)] * T*L, frame by frame, of a pyramid [(B, C_l, h, w)] * T*L; or tokens.
Values = list[Tensor] | TokenValues


def by_window(values: Values, frames: int) -> Values:
    """Line up the frames of each window: of B*T frames, window by window, to B windows of T."""
    if frames == 1:
        return values
    if isinstance(values, TokenValues):
        return values._replace(tokens=values.tokens.squeeze(1).unflatten(0, (-1, frames)))
    return [level[frame::frames] for frame in range(frames) for level in values]


def map_shapes(values: Values, levels: int) -> list[tuple[int, int]]:
    """Return the L levels' heights and widths."""
    if isinstance(values, TokenValues):
        return values.shapes
    return [(x.shape[-2], x.shape[-1]) for x in values[:levels]]


def deformable_attention(values: list[Tensor], locations: Tensor, weights: Tensor) -> Tensor:
    """
    Mix values sampled bilinearly at fractional locations, zero outside the map.

    values     [(B, M, c, h_g, w_g)] * G  value maps; G is frames times levels
    locations  (B, M, G, P, Q, 2)         x then y in [0, 1] of each map
    weights    (B, M, G, P, Q)            sum to 1 over G and P
    returns    (B, Q, M*c)
    """
    inference = not torch.is_grad_enabled() and not torch.compiler.is_compiling()
    if inference and weights.device.type == 'cpu':  # quicker there (benchmarks/README.md)
        return mix_by_bags(values, locations, weights)
    return mix_by_samples(values, locations, weights)


def mix_by_samples(values: list[Tensor], locations: Tensor, weights: Tensor) -> Tensor:
    """
    Do it by grid_sample.

    Points stand before queries because it then writes what the sum reads in order.
    """
    batch, queries = locations.shape[0], locations.shape[4]
    grids = 2 * locations - 1
    mixed = None
    for index, value in enumerate(values):
        sampled = F.grid_sample(
            value.flatten(0, 1), grids[:, :, index].flatten(0, 1), align_corners=False
        )
        part = (sampled * weights[:, :, index].flatten(0, 1)[:, None]).sum(2)
        mixed = part if mixed is None else mixed + part
    assert mixed is not None
    return mixed.reshape(batch, -1, queries).transpose(1, 2)


class DeformableAttention(nn.Module):
    """
    Multi-scale deformable attention over the levels of one or more frames.

    To the operator, T frames of L levels are T*L maps under one softmax; every frame has its own
    offsets and weights (rows of one linear layer, frame by frame), the values share a projection.
    """

    def __init__(self, channels: int, heads: int, frames: int, levels: int, points: int) -> None:
        super().__init__()
        self.heads, self.shape = heads, (frames, heads, levels, points)
        self.sampling_offsets = nn.Linear(channels, 2 * math.prod(self.shape))
        self.attention_weights = nn.Linear(channels, math.prod(self.shape))
        self.value_proj = nn.Linear(channels, channels)
        self.output_proj = nn.Linear(channels, channels)
        for layer in (self.sampling_offsets, self.attention_weights):
            nn.init.zeros_(layer.weight)
            nn.init.zeros_(layer.bias)
        for layer in (self.value_proj, self.output_proj):
            nn.init.xavier_uniform_(layer.weight)
            nn.init.zeros_(layer.bias)

    def ring_bias(self) -> None:
        """Let head m look in direction m, point p at p+1 steps (Deformable DETR's start)."""
        frames, heads, levels, points = self.shape
        angle = torch.arange(heads) * (2 * math.pi / heads)
        direction = torch.stack([angle.cos(), angle.sin()], 1)
        direction = direction / direction.abs().amax(1, keepdim=True)
        steps = torch.arange(1, points + 1)[:, None]
        bias = direction[None, :, None, None] * steps  # (1, M, 1, P, 2)
        bias = bias.expand(frames, heads, levels, points, 2)
        with torch.no_grad():
            self.sampling_offsets.bias.copy_(bias.flatten())

    def project(
        self, memory: Tensor, shapes: list[tuple[int, int]], padding_mask: Tensor | None = None
    ) -> Values:
        """
        Turn the tokens of N frames into values; they depend on nothing but the frame.

        memory        (N, S, C)
        padding_mask  (N, S) True is padding: its values become zero
        returns       [(N, M, C/M, h_l, w_l)] * L, or for the CUDA kernel (N, 1, S, M, C/M)
        """
        value = self.value_proj(memory)
        if padding_mask is not None:
            value = value.masked_fill(padding_mask[..., None], 0)
        frames, _, levels, points = self.shape
        tokens = value.unflatten(2, (self.heads, -1))[:, None]
        if ops.uses_kernel(tokens, levels, frames * levels * points):
            return TokenValues(tokens, shapes)
        return [
            x.transpose(1, 2).reshape(x.shape[0], self.heads, -1, h, w)
            for x, (h, w) in zip(value.split([h * w for h, w in shapes], 1), shapes, strict=True)
        ]

    def forward(self, query: Tensor, anchors: Tensor, scales: Tensor, values: Values) -> Tensor:
        """
        Sample around each query's anchors and mix.

        query    (B, Q, C)                        with its position added
        anchors  (B, Q, T, 1|L, 1|P, 2)           in [0, 1] of the padded map, x then y
        scales   broadcastable to (B, Q, T, L, P, 2)  length of one unit of offset
        values   of B windows
        returns  (B, Q, C)
        """
        if isinstance(values, TokenValues):
            mixed = self._mix_tokens(values, query, anchors, scales)
        else:
            mixed = self._mix_maps(values, *self._locations_and_weights(query, anchors, scales))
        return self.output_proj(mixed)

    def _mix_tokens(
        self, values: TokenValues, query: Tensor, anchors: Tensor, scales: Tensor
    ) -> Tensor:
        offsets = self.sampling_offsets(query).unflatten(2, (*self.shape, 2))
        logits = self.attention_weights(query).unflatten(2, self.shape)
        locations = anchors[:, :, :, None] + scales[:, :, :, None] * offsets
        return ops.deformable_attention(*values, locations, logits, softmax=True)

    def _mix_maps(self, maps: list[Tensor], locations: Tensor, weights: Tensor) -> Tensor:
        return deformable_attention(maps, locations, weights)

    def _locations_and_weights(
        self, query: Tensor, anchors: Tensor, scales: Tensor
    ) -> tuple[Tensor, Tensor]:
        """
        Return (B, M, T*L, P, Q, 2), and (B, M, T*L, P, Q) that sum to 1 over T*L and P.

        Queries come last from the start, (B, T, M, L, P, 2, Q): ONNX Runtime broadcasts long last
        axes fast, and would turn a later transposition into products of two numbers at a time.
        """
        batch, queries = query.shape[:2]
        frames, heads, levels, points = self.shape
        columns = query.transpose(1, 2)
        offsets = _of_columns(self.sampling_offsets, columns).view(batch, *self.shape, 2, queries)
        logits = _of_columns(self.attention_weights, columns).view(batch, *self.shape, queries)
        anchors, scales = (x.permute(0, 2, 3, 4, 5, 1)[:, :, None] for x in (anchors, scales))
        locations = (anchors + scales * offsets).permute(0, 2, 1, 3, 4, 6, 5).flatten(2, 3)
        logits = logits.transpose(1, 2).reshape(batch, heads, -1, queries)
        weights = logits.softmax(2).view(batch, heads, frames * levels, points, queries)
        return locations, weights


def _of_columns(layer: nn.Linear, columns: Tensor) -> Tensor:
    """Return what a linear layer makes of columns (B, C, Q): (B, C', Q)."""
    return torch.matmul(layer.weight, columns) + layer.bias[:, None]
