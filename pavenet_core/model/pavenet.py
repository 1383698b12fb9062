"""PAVE-Net: read this file first, then the blocks in the order they are called."""

from typing import NamedTuple

import torch
from torch import Tensor, nn

from pavenet_core.config import ModelConfig
from pavenet_core.model.backbone import Backbone
from pavenet_core.model.joint_decoder import JointDecoder
from pavenet_core.model.neck import Neck
from pavenet_core.model.pose_decoder import PoseDecoder
from pavenet_core.model.predictions import JointPrediction, PosePrediction
from pavenet_core.model.query_selection import QuerySelection
from pavenet_core.model.spatial_encoder import Memory, SpatialEncoder


class PosesOfWindow(NamedTuple):
    """
    Everything known before the joint decoder.

    proposals  of the S tokens of the key frame
    layers     of each pose decoder layer, for the key frame
    poses      (B, T, Q, K, 2) the last layer's poses in every frame
    memory     of all B*T frames, window by window
    """

    proposals: PosePrediction
    layers: list[PosePrediction]
    poses: Tensor
    memory: Memory


class PaveNet(nn.Module):
    """
    Find every person's keypoints in the key frame of a window of T frames.

    images -> backbone -> neck -> spatial encoder -> memory      each frame once
    memory of the key frame -> query selection -> Q pose queries
    queries, memory of T frames -> pose decoder -> Q poses and scores
    people kept, memory of T frames -> joint decoder -> keypoints
    """

    def __init__(self, config: ModelConfig, pretrained_backbone: bool = False) -> None:
        super().__init__()
        self.config = config
        self.backbone = Backbone(config, pretrained_backbone)
        self.neck = Neck(config, self.backbone.channels)
        self.spatial_encoder = SpatialEncoder(config)
        self.query_selection = QuerySelection(config)
        self.pose_decoder = PoseDecoder(config)
        self.joint_decoder = JointDecoder(config)
        self.pixel_mean: Tensor
        self.pixel_std: Tensor
        self.register_buffer('pixel_mean', torch.tensor(config.pixel_mean), persistent=False)
        self.register_buffer('pixel_std', torch.tensor(config.pixel_std), persistent=False)

    def normalise(self, images: Tensor, valid_sizes: Tensor) -> Tensor:
        """
        Turn stored pictures into the backbone's input; padding becomes zero.

        images       (N, H, W, 3) uint8, blue-green-red
        valid_sizes  (N, 2) height, width in pixels of the un-padded images
        returns      (N, 3, H, W) float
        """
        x = (images.flip(3).to(torch.float32) - self.pixel_mean) / self.pixel_std
        rows = torch.arange(x.shape[1], device=x.device)[None] < valid_sizes[:, :1]
        columns = torch.arange(x.shape[2], device=x.device)[None] < valid_sizes[:, 1:]
        inside = (rows[:, :, None] & columns[:, None])[..., None]
        return (x * inside).permute(0, 3, 1, 2)

    def encode(self, images: Tensor, valid_sizes: Tensor) -> Memory:
        """Encode N normalised images (N, 3, H, W), each on its own."""
        return self.encode_maps(
            self.backbone(images), valid_sizes, (images.shape[2], images.shape[3])
        )

    def encode_maps(
        self, maps: list[Tensor], valid_sizes: Tensor, padded: tuple[int, int]
    ) -> Memory:
        """Encode the backbone's maps of N images; `padded` is their height and width."""
        return self.spatial_encoder(self.neck(maps), valid_sizes, padded)

    def find_poses(self, memory: Memory) -> PosesOfWindow:
        """Select queries in the key frame and decode their poses over the window (B*T frames)."""
        key = memory.frame(self.config.key_frame, self.config.num_frames)
        proposals, queries = self.query_selection(key)
        values = self.window_values(self.pose_decoder, memory)
        layers, poses = self.pose_decoder(queries, values, key.valid_ratios)
        return PosesOfWindow(proposals, layers, poses, memory)

    def find_joints(self, found: PosesOfWindow, people: Tensor) -> list[JointPrediction]:
        """
        Refine the chosen people.

        people  (B, P) indices of queries; a fill-in for images with fewer people may be any index
        """
        memory, poses = found.memory, found.poses
        chosen = people[:, None, :, None, None].expand(-1, poses.shape[1], -1, *poses.shape[3:])
        ratios = memory.valid_ratios.unflatten(0, (-1, self.config.num_frames))
        values = self.window_values(self.joint_decoder, memory)
        return self.joint_decoder(poses.gather(2, chosen), values, ratios)

    def window_values(
        self, decoder: PoseDecoder | JointDecoder, memory: Memory
    ) -> list[list[Tensor]]:
        """Return per layer the T*L value maps (B, M, c, h, w), frame by frame."""
        frames = self.config.num_frames
        return [
            [level[frame::frames] for frame in range(frames) for level in levels]
            for levels in self.frame_values(decoder, memory)
        ]

    @staticmethod
    def frame_values(decoder: PoseDecoder | JointDecoder, memory: Memory) -> list[list[Tensor]]:
        """Return per layer the L value maps (N, M, c, h, w) of N frames, cached at run time."""
        # The authors zero padded tokens before the projection: padding then has the bias's value.
        tokens = memory.tokens.masked_fill(memory.padding_mask[..., None], 0)
        return [attention.project(tokens, memory.shapes) for attention in decoder.attentions]

    def forward(
        self, images: Tensor, valid_sizes: Tensor, max_people: int
    ) -> tuple[PosePrediction, JointPrediction]:
        """
        Return the best people of each window, best first.

        images       (B, T, 3, H, W) normalised
        valid_sizes  (B, 2) height, width in pixels, one size for all frames of a window
        returns      pose predictions and refined keypoints of min(max_people, Q) people
        """
        frames = self.config.num_frames
        memory = self.encode(images.flatten(0, 1), valid_sizes.repeat_interleave(frames, 0))
        found = self.find_poses(memory)
        last = found.layers[-1]
        best = last.class_logits.topk(min(max_people, last.class_logits.shape[1]), 1).indices
        poses = PosePrediction(
            *(
                x.gather(
                    1, best.view(*best.shape, *[1] * (x.ndim - 2)).expand(-1, -1, *x.shape[2:])
                )
                for x in last
            )
        )
        return poses, self.find_joints(found, best)[-1]
