"""The spatiotemporal pose decoder (STPD): queries gather from T frames around their poses."""

from collections.abc import Sequence
from typing import cast

import torch
from torch import Tensor, nn

from pavenet_core.config import ModelConfig
from pavenet_core.model.decoder_layer import DecoderLayer
from pavenet_core.model.deformable_attention import DeformableAttention, Values
from pavenet_core.model.layers import Mlp, SigmaHead, class_head, inverse_sigmoid
from pavenet_core.model.pose_shape import describe_poses, pose_size
from pavenet_core.model.predictions import PosePrediction
from pavenet_core.model.query_selection import Queries


class PoseDecoder(nn.Module):
    """
    Refine each query's pose, in every frame of the window (paper Eq. 5-6).

    Sampling is pose-aware: point k is anchored on keypoint k of the query's pose in that frame
    and moves in units of half the pose's extent. Each frame keeps a reference pose of its own.
    """

    level_index: Tensor

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        channels, keypoints = config.channels, len(config.skeleton)
        self.num_frames = config.pose_frames
        self.key_frame, self.levels = self.num_frames // 2, list(config.levels('pose'))
        # As in the joint decoder, lest the host wait for the device.
        self.register_buffer('level_index', torch.tensor(self.levels), persistent=False)
        self.next_next_pose_bug, self.detach = config.next_next_pose_bug, config.detach_poses
        self.query_pos = nn.Parameter(torch.randn(config.num_queries, channels))
        self.pose_position = (
            Mlp(2 * keypoints + 3, channels, channels, 3, zero_last=True)
            if config.relative_poses
            else None
        )
        layers = range(config.pose_layers)
        self.layers = nn.ModuleList(
            DecoderLayer(config, self.num_frames, self.levels, keypoints) for _ in layers
        )
        # The peaks of a pyramid have scores of their own.
        self.class_heads = nn.ModuleList(class_head(channels, config.pyramid) for _ in layers)
        self.sigma_heads = nn.ModuleList(SigmaHead(channels, 2 * keypoints) for _ in layers)
        heads = config.pose_heads(self.num_frames)
        self.keypoint_heads = nn.ModuleList(
            nn.ModuleList(
                Mlp(channels, 2 * channels, 2 * keypoints, 4, zero_last=True) for _ in range(heads)
            )
            for _ in layers
        )

    @property
    def attentions(self) -> list[DeformableAttention]:
        """Return the attention of each layer, whose `project` makes that layer's values."""
        return [cast(DecoderLayer, layer).attention for layer in self.layers]

    def forward(
        self, queries: Queries, values: Sequence[Values], valid_ratios: Tensor
    ) -> tuple[list[PosePrediction], Tensor]:
        """
        Return each layer's prediction for the key frame and the last poses of all frames.

        values        per layer, of B windows; only the levels that this decoder reads
        valid_ratios  (B, L, 2) of the key frame, of all levels
        returns       [PosePrediction] * layers, poses (B, T, Q, K, 2)
        """
        query, ratios = queries.query, valid_ratios.index_select(1, self.level_index)
        poses = queries.reference_poses
        if poses.ndim == 4:  # the same in all frames
            poses = poses[:, None].expand(-1, self.num_frames, -1, -1, -1)
        predictions = []
        for index, layer in enumerate(self.layers):
            poses = poses.detach() if self.detach else poses
            anchors, scales = pose_anchors(poses, ratios)
            position = self._position(poses[:, self.key_frame])
            query = layer(query[:, None], position, anchors, scales, values[index])[:, 0]
            heads = list(cast(nn.ModuleList, self.keypoint_heads[index]))
            if self.next_next_pose_bug and index == len(self.layers) - 1:
                heads[4] = heads[3]
            moves = [head(query).unflatten(2, (-1, 2)) for head in heads]
            poses = self._moved(poses, torch.stack(moves, 1))
            logits = self.class_heads[index](query)[..., 0]
            predictions.append(
                PosePrediction(
                    logits if queries.logits is None else logits + queries.logits,
                    poses[:, self.key_frame],
                    self.sigma_heads[index](query).sigmoid().unflatten(2, (-1, 2)),
                )
            )
        return predictions, poses

    def _position(self, key_poses: Tensor) -> Tensor:
        """Return each query's position (B, Q, C): learned for its rank, plus where its pose is."""
        if self.pose_position is None:
            return self.query_pos.expand(key_poses.shape[0], -1, -1)
        return self.query_pos + self.pose_position(describe_poses(key_poses.detach()))

    def _moved(self, poses: Tensor, moves: Tensor) -> Tensor:
        """Move poses (B, T, Q, K, 2), in logits or in shares of their size."""
        if self.pose_position is None:
            return (moves + inverse_sigmoid(poses)).sigmoid()
        return poses + moves * pose_size(poses.detach())


def pose_anchors(poses: Tensor, valid_ratios: Tensor) -> tuple[Tensor, Tensor]:
    """
    Place one anchor on each keypoint and measure each pose.

    poses         (B, T, Q, K, 2) in [0, 1] of the valid picture
    valid_ratios  (B, L, 2)
    returns       anchors (B, Q, T, L, K, 2) and half extents (B, Q, T, L, 1, 2), of the padded map
    """
    ratios = valid_ratios[:, None, None, :, None]
    anchors = poses.transpose(1, 2)[:, :, :, None] * ratios
    extent = anchors.amax(4, keepdim=True) - anchors.amin(4, keepdim=True)
    return anchors, 0.5 * extent.clamp(min=1e-4)
