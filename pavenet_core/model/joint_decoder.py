"""The spatiotemporal joint decoder (STJD): every keypoint of a person on its own."""

from collections.abc import Sequence
from typing import cast

import torch
from torch import Tensor, nn

from pavenet_core.config import ModelConfig
from pavenet_core.model.decoder_layer import DecoderLayer
from pavenet_core.model.deformable_attention import DeformableAttention, Values, map_shapes
from pavenet_core.model.layers import Mlp, SigmaHead, inverse_sigmoid
from pavenet_core.model.pose_shape import pose_size
from pavenet_core.model.predictions import JointPrediction
from pavenet_core.model.spatial_encoder import cell_scale


class JointDecoder(nn.Module):
    """
    Refine the keypoints of the people kept, each keypoint with a query of its own (paper Eq. 7).

    The joint queries are learned and the same for everyone; a person enters by where its
    keypoints are in each frame.
    """

    level_index: Tensor

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        channels = config.channels
        self.num_frames, self.levels = config.joint_frames, list(config.levels('joint'))
        # A list as index would be sent to the device, and waited for, in every call.
        self.register_buffer('level_index', torch.tensor(self.levels), persistent=False)
        self.key_frame, self.detach = self.num_frames // 2, config.detach_poses
        self.relative = config.relative_poses
        self.content = nn.Parameter(torch.randn(len(config.skeleton), channels))
        self.query_pos = nn.Parameter(torch.randn(len(config.skeleton), channels))
        layers = range(config.joint_layers)
        self.layers = nn.ModuleList(
            DecoderLayer(config, self.num_frames, self.levels, config.joint_points) for _ in layers
        )
        for attention in self.attentions:
            attention.ring_bias()
        self.sigma_heads = nn.ModuleList(SigmaHead(channels, 2) for _ in layers)
        heads = config.pose_heads(self.num_frames)
        self.keypoint_heads = nn.ModuleList(
            nn.ModuleList(Mlp(channels, channels, 2, 3, zero_last=True) for _ in range(heads))
            for _ in layers
        )

    @property
    def attentions(self) -> list[DeformableAttention]:
        """Return the attention of each layer, whose `project` makes that layer's values."""
        return [cast(DecoderLayer, layer).attention for layer in self.layers]

    def forward(
        self,
        poses: Tensor,
        values: Sequence[Values],
        valid_ratios: Tensor,
    ) -> list[JointPrediction]:
        """
        Return each layer's keypoints in the key frame.

        poses         (B, T, P, K, 2) in [0, 1] of the valid picture; no gradient flows into them
        values        per layer, of B windows; only the levels that this decoder reads
        valid_ratios  (B, T, L, 2) of all levels
        """
        batch, _, people, keypoints, _ = poses.shape
        poses = poses.detach()
        size = pose_size(poses[:, self.key_frame : self.key_frame + 1])
        scales = cell_scale(map_shapes(values[0], len(self.levels)), poses.device)
        ratios = valid_ratios.index_select(2, self.level_index)[:, None, :, :, None]
        query, predictions = self.content[None, None], []
        for index, sigma_head in enumerate(self.sigma_heads):
            layer = cast(DecoderLayer, self.layers[index])
            poses = poses.detach() if self.detach else poses
            anchors = poses.flatten(2, 3).transpose(1, 2)[:, :, :, None, None] * ratios
            # Before the first look all people are alike, and so confer but once.
            query = layer.confer(query, self.query_pos)
            query = query.expand(batch, people, -1, -1)
            query = layer.look(query, self.query_pos, anchors, scales, values[index])
            tokens = query.flatten(0, 2)
            heads = list(cast(nn.ModuleList, self.keypoint_heads[index]))
            if index == len(self.layers) - 1:  # nobody asks for the other frames' poses any more
                heads, poses = [heads[len(heads) // 2]], poses[:, self.key_frame, None]
            moves = [head(tokens).view(batch, people, keypoints, 2) for head in heads]
            if self.relative:
                poses = poses + torch.stack(moves, 1) * size
            else:
                poses = (torch.stack(moves, 1) + inverse_sigmoid(poses)).sigmoid()
            sigmas = sigma_head(tokens).sigmoid().view(batch, people, keypoints, 2)
            predictions.append(JointPrediction(poses[:, poses.shape[1] // 2], sigmas))
        return predictions
