"""The network's three blocks as they are exported."""

from collections.abc import Sequence

from torch import Tensor, nn

from pavenet_core.model import PaveNet
from pavenet_core.model.joint_decoder import JointDecoder
from pavenet_core.model.peak_selection import Peaks
from pavenet_core.model.pose_decoder import PoseDecoder
from pavenet_core.model.pyramid import PyramidMemory
from pavenet_core.model.query_selection import Queries


class SpatialEncoderGraph(nn.Module):
    """
    Stored pictures to all that later windows need of them.

    Each picture is to lie on the smallest aligned canvas that holds it: beyond that the trunk
    would see padding that `PaveNet.encode` spares it.
    """

    def __init__(self, model: PaveNet) -> None:
        super().__init__()
        self.model = model

    def forward(self, image: Tensor, valid_size: Tensor) -> tuple[Tensor, ...]:
        """Return what `encoder_names` lists: of the key frame, then both decoders' value maps."""
        model = self.model
        memory = model.encode(model.normalise(image, valid_size), valid_size)
        if isinstance(memory, PyramidMemory):
            maps = (memory.maps[level] for level in map_levels(model))
            return (*model.query_selection(memory), memory.valid_ratios, *maps)
        _, queries = model.query_selection(memory)
        keys = (queries.query, queries.reference_poses, memory.valid_ratios)
        values = [
            value
            for decoder in decoders(model)
            for levels in model.frame_values(decoder, memory)
            for value in levels
        ]
        return (*keys, *values)


class PoseDecoderGraph(nn.Module):
    """The key frame's queries, or each frame's peaks, and the values to scores and poses."""

    def __init__(self, model: PaveNet) -> None:
        super().__init__()
        self.model = model

    def forward(self, keys: list[Tensor], values: list[Tensor]) -> tuple[Tensor, ...]:
        """
        Return scores (B, Q) and the poses of all frames (B, T, Q, K, 2).

        Without a joint decoder also the spreads in the key frame (B, Q, K, 2).
        """
        decoder, config = self.model.pose_decoder, self.model.config
        *frames, valid_ratios = keys
        queries = self._queries(frames)
        grouped = by_layer(values, config.num_frames, config.pose_layers, config.pyramid)
        layers, poses = decoder(queries, grouped, valid_ratios)
        found = (layers[-1].class_logits.sigmoid(), poses)
        if self.model.joint_decoder is not None:
            return found
        return (*found, layers[-1].sigmas if queries.sigmas is None else queries.sigmas)

    def _queries(self, tensors: list[Tensor]) -> Queries:
        link = self.model.peak_linking
        if link is None:
            return Queries(*tensors)
        each = len(Peaks._fields)
        return link([Peaks(*tensors[i : i + each]) for i in range(0, len(tensors), each)])


class JointDecoderGraph(nn.Module):
    """The chosen people's poses and the window's values to keypoints."""

    def __init__(self, model: PaveNet) -> None:
        super().__init__()
        self.model = model

    def forward(
        self, poses: Tensor, valid_ratios: Tensor, values: list[Tensor]
    ) -> tuple[Tensor, Tensor]:
        """Return keypoints and sigmas, both (B, P, K, 2)."""
        decoder, config = self.model.joint_decoder, self.model.config
        assert decoder is not None
        grouped = by_layer(values, config.num_frames, config.joint_layers, config.pyramid)
        ratios = valid_ratios[:, None].expand(-1, config.num_frames, -1, -1)
        last = decoder(poses, grouped, ratios)[-1]
        return last.keypoints, last.sigmas


def decoders(model: PaveNet) -> list[PoseDecoder | JointDecoder]:
    """Return the decoders; raise `ValueError` for a network that can't be run frame by frame."""
    config = model.config
    if config.spatiotemporal_encoder:
        raise ValueError(
            f'{config.name} cannot be exported: its spatiotemporal encoder mixes all frames, '
            'so that no frame could be encoded once and reused'
        )
    if not (config.temporal_pose_decoder and config.temporal_joint_decoder):
        raise ValueError(
            f'{config.name} cannot be exported: a bundle needs decoders that read all frames; '
            'for one frame, choose num_frames 1'
        )
    both = (model.pose_decoder, model.joint_decoder)
    return [decoder for decoder in both if decoder is not None]


def map_levels(model: PaveNet) -> list[int]:
    """Return the maps of a pyramid in the order in which decoders first ask for them."""
    return list(dict.fromkeys(level for decoder in decoders(model) for level in decoder.levels))


def by_layer(
    values: Sequence[Tensor], frames: int, layers: int, shared: bool = False
) -> list[list[Tensor]]:
    """Regroup value maps given frame by frame, layer by layer: per layer the T*L maps."""
    if shared:
        return [list(values)] * layers
    levels = len(values) // (frames * layers)
    return [
        [
            values[(frame * layers + layer) * levels + level]
            for frame in range(frames)
            for level in range(levels)
        ]
        for layer in range(layers)
    ]
