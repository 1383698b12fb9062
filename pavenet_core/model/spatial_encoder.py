"""The spatial encoder (SE): each frame on its own, once. And the paper's baseline, all at once."""

from functools import partial
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from pavenet_core.config import ModelConfig
from pavenet_core.model.deformable_attention import DeformableAttention, by_window
from pavenet_core.model.layers import FeedForward
from pavenet_core.model.position_encoding import sine_encoding, valid_counts


class Memory(NamedTuple):
    """
    Encoded frames.

    tokens        (N, S, C)
    padding_mask  (N, S) True is padding
    valid_counts  (N, L, 2) rows and columns of each level that show picture
    shapes        [(h, w)] * L
    """

    tokens: Tensor
    padding_mask: Tensor
    valid_counts: Tensor
    shapes: list[tuple[int, int]]

    @property
    def valid_ratios(self) -> Tensor:
        """Return (N, L, 2): valid share of each level's width and height."""
        sizes = level_sizes(self.shapes, self.tokens.device)
        return (self.valid_counts / sizes).flip(2)

    def frame(self, index: int, num_frames: int) -> 'Memory':
        """Return one frame of each window; images lie window by window."""
        return Memory(
            self.tokens[index::num_frames],
            self.padding_mask[index::num_frames],
            self.valid_counts[index::num_frames],
            self.shapes,
        )


class EncoderLayer(nn.Module):
    """Deformable self-attention and feed-forward, norms after each."""

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        channels = config.channels
        self.frames = config.encoder_frames
        self.attention = DeformableAttention(
            channels, config.num_heads, self.frames, config.num_levels, config.encoder_points
        )
        self.attention.ring_bias()
        self.dropout = nn.Dropout(config.dropout)
        self.norm1 = nn.LayerNorm(channels)
        self.feed_forward = FeedForward(channels, config.ffn_channels, config.dropout)
        self.norm2 = nn.LayerNorm(channels)

    def forward(
        self, x: Tensor, position: Tensor, memory: Memory, anchors: Tensor, scales: Tensor
    ) -> Tensor:
        """Return the tokens (N, S, C) after one layer; anchors are (N, S, 1, L, 1, 2)."""
        values = self.attention.project(x, memory.shapes, memory.padding_mask)
        values = by_window(values, self.frames)
        # The tokens of all frames of a window ask together: (N/F, F*S, C).
        query, anchors = (
            t.reshape(-1, self.frames * t.shape[1], *t.shape[2:]) for t in (x + position, anchors)
        )
        mixed = self.attention(query, anchors, scales, values).view(x.shape)
        x = self.norm1(x + self.dropout(mixed))
        return self.norm2(self.feed_forward(x))


class SpatialEncoder(nn.Module):
    """
    Let every token of a frame gather from all levels of that frame (paper Eq. 4).

    With `spatiotemporal_encoder` it gathers from all frames of its window instead (Eq. 2), each
    with levels, offsets and weights of its own: T frames of L levels are T*L levels.
    """

    def __init__(self, config: ModelConfig, strides: list[int]) -> None:
        super().__init__()
        self.channels, self.frames, self.strides = config.channels, config.encoder_frames, strides
        self.level_embedding = nn.Parameter(
            torch.randn(self.frames * config.num_levels, config.channels)
        )
        self.layers = nn.ModuleList(EncoderLayer(config) for _ in range(config.encoder_layers))
        self.recompute = False

    def forward(self, levels: list[Tensor], valid_sizes: Tensor) -> Memory:
        """
        Encode N frames.

        levels       [(N, C, h_l, w_l)] * L
        valid_sizes  (N, 2) height, width in pixels of the un-padded images
        """
        shapes = [(x.shape[2], x.shape[3]) for x in levels]
        counts = [
            valid_counts(valid_sizes, stride, shape).to(levels[0].device, non_blocking=True)
            for stride, shape in zip(self.strides, shapes, strict=True)
        ]
        tokens = torch.cat([x.flatten(2).transpose(1, 2) for x in levels], 1)
        padding = torch.cat([_padding(c, s) for c, s in zip(counts, shapes, strict=True)], 1)
        memory = Memory(tokens, padding, torch.stack(counts, 1), shapes)
        position = self._position(counts, shapes)
        anchors = token_centres(memory)[:, :, None] * memory.valid_ratios[:, None]
        anchors, scales = anchors[:, :, None, :, None], cell_scale(shapes, tokens.device)
        again = self.recompute and torch.is_grad_enabled()
        for layer in self.layers:
            run = partial(checkpoint, layer, use_reentrant=False) if again else layer
            tokens = run(tokens, position, memory, anchors, scales)
        return memory._replace(tokens=tokens)

    def _position(self, counts: list[Tensor], shapes: list[tuple[int, int]]) -> Tensor:
        """Return (N, S, C): where a token is in its frame, and at which level of which frame."""
        embedding = self.level_embedding.view(self.frames, len(shapes), -1)
        embedding = embedding.repeat(counts[0].shape[0] // self.frames, 1, 1)  # (N, L, C)
        return torch.cat(
            [
                sine_encoding(count, shape, self.channels) + embedding[:, level, None]
                for level, (count, shape) in enumerate(zip(counts, shapes, strict=True))
            ],
            1,
        )


def token_centres(memory: Memory) -> Tensor:
    """Return (N, S, 2): each token's centre, x then y, in [0, 1] of the valid picture."""
    centres = []
    for level, (height, width) in enumerate(memory.shapes):
        counts = memory.valid_counts[:, level]
        y = (torch.arange(height, device=counts.device) + 0.5) / counts[:, :1]
        x = (torch.arange(width, device=counts.device) + 0.5) / counts[:, 1:]
        x, y = x[:, None].expand(-1, height, -1), y[:, :, None].expand(-1, -1, width)
        centres.append(torch.stack([x, y], 3).flatten(1, 2))
    return torch.cat(centres, 1)


def level_sizes(shapes: list[tuple[int, int]], device: torch.device) -> Tensor:
    """Return (L, 2): each level's height and width, sent without waiting for the device."""
    return torch.tensor(shapes, dtype=torch.float32).to(device, non_blocking=True)


def cell_scale(shapes: list[tuple[int, int]], device: torch.device) -> Tensor:
    """Return (1, 1, 1, L, 1, 2): one cell of each level as a share of its width and height."""
    sizes = level_sizes(shapes, device)
    return (1 / sizes.flip(1))[None, None, None, :, None]


def _padding(counts: Tensor, shape: tuple[int, int]) -> Tensor:
    """Return (N, h*w), True where a cell lies beyond the valid rows or columns."""
    rows = torch.arange(shape[0], device=counts.device)[None, :, None] >= counts[:, :1, None]
    columns = torch.arange(shape[1], device=counts.device)[None, None] >= counts[:, 1:, None]
    return (rows | columns).flatten(1)
