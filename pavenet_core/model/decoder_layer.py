"""One layer of either decoder."""

from collections.abc import Sequence

from torch import Tensor, nn

from pavenet_core.config import ModelConfig
from pavenet_core.model.deformable_attention import DeformableAttention, Values
from pavenet_core.model.layers import FeedForward
from pavenet_core.model.pyramid import CHANNELS
from pavenet_core.model.pyramid_attention import PyramidAttention


class DecoderLayer(nn.Module):
    """
    Self-attention within a group, deformable attention to the frames, feed-forward.

    A group is all queries of an image in the pose decoder, the joints of one person in the joint
    decoder.
    """

    def __init__(
        self, config: ModelConfig, frames: int, levels: Sequence[int], points: int
    ) -> None:
        super().__init__()
        channels, dropout = config.channels, config.dropout
        self.self_attention = nn.MultiheadAttention(
            channels, config.num_heads, dropout=dropout, batch_first=True
        )
        self.norm1 = nn.LayerNorm(channels)
        self.attention = (
            PyramidAttention(
                channels, config.num_heads, frames, points, [CHANNELS[i] for i in levels]
            )
            if config.pyramid
            else DeformableAttention(channels, config.num_heads, frames, len(levels), points)
        )
        self.norm2 = nn.LayerNorm(channels)
        self.feed_forward = FeedForward(channels, config.ffn_channels, dropout)
        self.norm3 = nn.LayerNorm(channels)
        self.dropout = nn.Dropout(dropout)

    def forward(
        self,
        query: Tensor,
        position: Tensor,
        anchors: Tensor,
        scales: Tensor,
        values: Values,
    ) -> Tensor:
        """
        Return the queries after one layer.

        query     (B, G, N, C) G groups of N
        position  (B*G, N, C), or (N, C) shared by all groups
        anchors, scales, values  as `DeformableAttention.forward` takes them, for G*N queries
        """
        return self.look(self.confer(query, position), position, anchors, scales, values)

    def confer(self, query: Tensor, position: Tensor) -> Tensor:
        """Attend within each group, of which there may be one that stands for all."""
        x = query.flatten(0, 1)
        moved = x + position
        answer = self.self_attention(moved, moved, x, need_weights=False)[0]
        return self.norm1(x + self.dropout(answer)).view(query.shape)

    def look(
        self,
        query: Tensor,
        position: Tensor,
        anchors: Tensor,
        scales: Tensor,
        values: Values,
    ) -> Tensor:
        """Attend to the frames and transform; shapes are those of `forward`."""
        # Of queries in a row, and not in groups, ONNX makes one step of a product and its bias.
        x = query.flatten(0, 2)
        moved = (query.flatten(0, 1) + position).view(query.shape).flatten(1, 2)
        mixed = self.attention(moved, anchors, scales, values)
        x = self.norm2(x + self.dropout(mixed.view(x.shape)))
        return self.norm3(self.feed_forward(x)).view(query.shape)
