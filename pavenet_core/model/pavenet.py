"""PAVE-Net: read this file first, then the blocks in the order they are called."""

from typing import NamedTuple

import torch
from torch import Tensor, nn

from pavenet_core.config import ModelConfig
from pavenet_core.model.backbone import Backbone
from pavenet_core.model.deformable_attention import Values, by_window
from pavenet_core.model.joint_decoder import JointDecoder
from pavenet_core.model.neck import Neck
from pavenet_core.model.own_canvas import on_own_canvas, own_canvases
from pavenet_core.model.peak_linking import PeakLinking
from pavenet_core.model.peak_selection import Peaks, PeakSelection
from pavenet_core.model.pose_decoder import PoseDecoder
from pavenet_core.model.predictions import JointPrediction, PosePrediction
from pavenet_core.model.pyramid import Pyramid, PyramidEncoder, PyramidMemory
from pavenet_core.model.query_selection import LearnedQueries, Queries, QuerySelection
from pavenet_core.model.spatial_encoder import Memory, SpatialEncoder


class PosesOfWindow(NamedTuple):
    """
    Everything known before the joint decoder.

    proposals  of the S tokens of the key frame; none with learned poses, nor with a pyramid, whose
               peaks are not trained further
    layers     of each pose decoder layer, for the key frame
    poses      (B, T, Q, K, 2) the last layer's poses in every frame that the pose decoder reads
    sigmas     (B, Q, K, 2) their spread in the key frame, if no joint decoder says more
    memory     of all B*T frames, window by window
    """

    proposals: PosePrediction | None
    layers: list[PosePrediction]
    poses: Tensor
    sigmas: Tensor
    memory: Memory | PyramidMemory


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
        self.neck: Neck | Pyramid
        self.spatial_encoder: SpatialEncoder | PyramidEncoder
        self.query_selection: QuerySelection | LearnedQueries | PeakSelection
        self.peak_linking: PeakLinking | None = None
        if config.pyramid:
            self.neck = Pyramid(self.backbone.channels)
            self.spatial_encoder = PyramidEncoder(self.strides)
            self.query_selection = PeakSelection(config)
            self.peak_linking = PeakLinking(config)
        else:
            self.neck = Neck(config, self.backbone.channels)
            self.spatial_encoder = SpatialEncoder(config, self.strides)
            self.query_selection = (
                LearnedQueries(config) if config.learned_poses else QuerySelection(config)
            )
        self.pose_decoder = PoseDecoder(config)
        self.joint_decoder = JointDecoder(config) if config.joint_layers else None
        self.pixel_mean: Tensor
        self.pixel_std: Tensor
        self.red_green_blue: Tensor
        self.register_buffer('pixel_mean', by_channel(config.pixel_mean), persistent=False)
        self.register_buffer('pixel_std', by_channel(config.pixel_std), persistent=False)
        self.register_buffer('red_green_blue', torch.tensor([2, 1, 0]), persistent=False)

    @property
    def strides(self) -> list[int]:
        """Return the pixels of a cell's side, of each of the L levels."""
        trunk, levels = self.backbone.strides, self.config.num_levels
        return [*trunk, *(trunk[-1] * 2**i for i in range(1, levels - len(trunk) + 1))]

    @property
    def trunk_parts(self) -> tuple[str, ...]:
        """Return how the names of the parameters begin that trained weights are given for."""
        names = ('centre', 'guess', 'keypoint', 'offset')
        heads = (f'query_selection.{name}_head.' for name in names)
        return ('backbone.', 'neck.', *heads) if self.config.pyramid else ('backbone.',)

    def recompute_activations(self, wanted: bool) -> None:
        """In training, keep what goes into trunk and encoder, and run them anew for gradients."""
        self.backbone.recompute = self.spatial_encoder.recompute = wanted

    def normalise(self, images: Tensor, valid_sizes: Tensor) -> Tensor:
        """
        Turn stored pictures into the backbone's input; padding becomes zero.

        images       (N, H, W, 3) uint8, blue-green-red
        valid_sizes  (N, 2) height, width in pixels of the un-padded images
        returns      (N, 3, H, W) float
        """
        # Channels first before any arithmetic, so that the long axes are the last; whole planes
        # change places, while they are bytes.
        x = images.permute(0, 3, 1, 2).index_select(1, self.red_green_blue).to(torch.float32)
        valid_sizes = valid_sizes.to(x.device, non_blocking=True)
        rows = torch.arange(x.shape[2], device=x.device)[None] < valid_sizes[:, :1]
        columns = torch.arange(x.shape[3], device=x.device)[None] < valid_sizes[:, 1:]
        shown = (rows[:, :, None] & columns[:, None])[:, None]
        return (x - self.pixel_mean) * (shown / self.pixel_std)

    def encode(self, images: Tensor, valid_sizes: Tensor) -> Memory | PyramidMemory:
        """
        Encode N normalised images (N, 3, H, W), each as if it were alone.

        valid_sizes  (N, 2) height, width in pixels; each image runs through the trunk on the
                     smallest canvas of multiples of `input_alignment` that holds it. An exported
                     graph can't do that and takes images on their own canvas. Best on the host:
                     that reads them, and would wait for a GPU
        """
        padded = (images.shape[2], images.shape[3])
        if torch.compiler.is_exporting():
            return self.encode_maps(self.backbone(images), valid_sizes)
        canvases = own_canvases(valid_sizes, padded, self.config.input_alignment)
        levels = on_own_canvas(lambda x: self.neck(self.backbone(x)), images, canvases)
        return self.spatial_encoder(levels, valid_sizes)

    def encode_maps(self, maps: list[Tensor], valid_sizes: Tensor) -> Memory | PyramidMemory:
        """Encode the backbone's maps of N images that share one canvas."""
        return self.spatial_encoder(self.neck(maps), valid_sizes)

    def find_poses(self, memory: Memory | PyramidMemory) -> PosesOfWindow:
        """Select queries in the key frame and decode their poses over the window (B*T frames)."""
        key = memory.frame(self.config.key_frame, self.config.num_frames)
        proposals, queries = self._select(memory, key)
        values = self.window_values(self.pose_decoder, memory)
        layers, poses = self.pose_decoder(queries, values, key.valid_ratios)
        sigmas = layers[-1].sigmas if queries.sigmas is None else queries.sigmas
        return PosesOfWindow(proposals, layers, poses, sigmas, memory)

    def _select(
        self, memory: Memory | PyramidMemory, key: Memory | PyramidMemory
    ) -> tuple[PosePrediction | None, Queries]:
        if self.peak_linking is None:
            found: tuple[PosePrediction | None, Queries] = self.query_selection(key)
            return found
        peaks, frames = self.query_selection(memory), self.config.num_frames
        return None, self.peak_linking(
            [Peaks(*(x[t::frames] for x in peaks)) for t in range(frames)]
        )

    def find_joints(self, found: PosesOfWindow, people: Tensor) -> list[JointPrediction]:
        """
        Refine the chosen people; without a joint decoder there is no refinement.

        people  (B, P) indices of queries; a fill-in for images with fewer people may be any index
        """
        if self.joint_decoder is None:
            return []
        memory, poses = found.memory, found.poses
        chosen = people[:, None, :, None, None].expand(-1, poses.shape[1], -1, *poses.shape[3:])
        poses = poses.gather(2, chosen)
        frames = self.joint_decoder.num_frames
        if poses.shape[1] != frames:  # decoders of all and of one frame: from or to the key frame
            poses = poses[:, [poses.shape[1] // 2]].expand(-1, frames, -1, -1, -1)
        key = memory.frame(self.config.key_frame, self.config.num_frames)
        ratios = key.valid_ratios[:, None].expand(-1, frames, -1, -1)
        return self.joint_decoder(poses, self.window_values(self.joint_decoder, memory), ratios)

    def window_values(
        self, decoder: PoseDecoder | JointDecoder, memory: Memory | PyramidMemory
    ) -> list[Values]:
        """Return per layer the values of the frames of B windows that a decoder reads."""
        if decoder.num_frames < self.config.num_frames:
            memory = memory.frame(self.config.key_frame, self.config.num_frames)
        frame_values = self.frame_values(decoder, memory)
        return [by_window(values, decoder.num_frames) for values in frame_values]

    def frame_values(
        self, decoder: PoseDecoder | JointDecoder, memory: Memory | PyramidMemory
    ) -> list[Values]:
        """Return per layer the values of N frames, cached at run time."""
        if isinstance(memory, PyramidMemory):
            return [[memory.maps[level] for level in decoder.levels] for _ in decoder.attentions]
        if self.config.zero_padding_values:
            tokens, padding = memory.tokens, memory.padding_mask
        else:
            # Zeroed before the projection, as in the authors' code: padding has the bias's value.
            tokens = memory.tokens.masked_fill(memory.padding_mask[..., None], 0)
            padding = None
        return [
            attention.project(tokens, memory.shapes, padding) for attention in decoder.attentions
        ]

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
        last = found.layers[-1]._replace(sigmas=found.sigmas)
        best = last.class_logits.topk(min(max_people, last.class_logits.shape[1]), 1).indices
        poses = PosePrediction(
            *(
                x.gather(
                    1, best.view(*best.shape, *[1] * (x.ndim - 2)).expand(-1, -1, *x.shape[2:])
                )
                for x in last
            )
        )
        joints = self.find_joints(found, best)
        return poses, joints[-1] if joints else JointPrediction(poses.poses, poses.sigmas)


def by_channel(values: tuple[float, float, float]) -> Tensor:
    """Return a pixel's constants, (3, 1, 1), or (1, 1, 1) of equal ones: less to compute with."""
    distinct = values[:1] if len(set(values)) == 1 else values
    return torch.tensor(distinct)[:, None, None]
