"""The facts that define a network: one frozen dataclass."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from typing import Any

from pavenet_core.postprocess_config import PAPER_POSTPROCESS, PostprocessConfig
from pavenet_core.skeleton import POSETRACK15, Skeleton


@dataclass(frozen=True)
class ModelConfig:
    """
    Everything needed to build a `PaveNet`; the defaults are the paper's ResNet-50 model.

    backbone          any timm model that accepts `features_only=True`
    backbone_args     further arguments of `timm.create_model`
    backbone_indices  which of its feature maps feed the neck, finest first
    backbone_norm     layer norm on each of those maps, as the authors' Swin has
    num_levels        maps after the neck; those beyond the backbone's come from stride-2
                      convolutions of its last map
    pyramid           a convolutional pyramid of strides 4 to 32 stands for neck and encoder, as in
                      MoveNet, and queries begin at the peaks of its heat maps; for CPUs
    scales            2: trunk and pyramid also see the picture at half its size, which is where
                      large people are found; its maps follow those of the whole
    pose_levels, joint_levels  which maps a decoder reads, finest first; all where empty
    spatiotemporal_encoder  tokens gather from all frames already in the encoder (paper Eq. 1-2,
                      "STE"); nothing can then be encoded once and reused
    learned_poses     start from learned poses instead of the key frame's tokens (Table 5)
    query_features    add the chosen token's own feature to its query, as the authors' code does;
                      in the paper's text and in PETR queries are learned alone
    detach_poses      no gradient from a decoder layer to the poses of the one before, as in PETR
    poses_per_frame   refine a pose for each frame of its own, as the authors' code does; in the
                      paper's text all frames share the key frame's
    relative_poses    poses move in shares of their size, and the pose decoder's self-attention is
                      told what each query's pose looks like. The authors' move in logits, where
                      people of all sizes need moves of all sizes, and their queries know only
                      their rank: both are slow to learn from
    temporal_pose_decoder, temporal_joint_decoder  the decoder sees all frames, not the key frame
                      alone (Tables 3 and 4)
    joint_layers      3 as the paper's text says; the authors' released configurations have 2;
                      0 leaves the joint decoder out (Table 4)
    pixel_mean, pixel_std  red, green, blue on the 0-255 scale
    input_long_side   pixels of the resized image's longer side at run time
    input_alignment   images are padded right and below to multiples of this

    Where the authors' code differs from what a batch needs, ours is the default:

    valid_tokens_only    prefer tokens inside the picture as queries; theirs takes any
    zero_padding_values  padding contributes nothing to the decoders; theirs, the projection's bias
    next_next_pose_bug   with five frames, their last pose of the last frame comes from the head
                         of the frame before it
    postprocess          from numbers to people
    """

    name: str = 'r50'
    skeleton: Skeleton = field(default=POSETRACK15)
    num_frames: int = 3  # T; the key frame is the middle one
    # backbone and neck
    backbone: str = 'resnet50'
    backbone_args: Mapping[str, Any] = field(default_factory=dict)
    backbone_indices: tuple[int, ...] = (2, 3, 4)
    backbone_norm: bool = False
    num_levels: int = 4
    pyramid: bool = False
    scales: int = 1
    # transformer
    channels: int = 256
    num_heads: int = 8
    ffn_channels: int = 1024
    dropout: float = 0.1
    encoder_layers: int = 6
    encoder_points: int = 4
    spatiotemporal_encoder: bool = False
    num_queries: int = 300
    learned_poses: bool = False
    query_features: bool = True
    relative_poses: bool = False
    poses_per_frame: bool = True
    detach_poses: bool = False
    pose_layers: int = 3
    pose_levels: tuple[int, ...] = ()
    temporal_pose_decoder: bool = True
    joint_layers: int = 3
    joint_levels: tuple[int, ...] = ()
    joint_points: int = 4
    temporal_joint_decoder: bool = True
    # input
    pixel_mean: tuple[float, float, float] = (123.675, 116.28, 103.53)
    pixel_std: tuple[float, float, float] = (58.395, 57.12, 57.375)
    input_long_side: int = 1333
    input_alignment: int = 32
    # where the authors' code differs
    valid_tokens_only: bool = True
    zero_padding_values: bool = True
    next_next_pose_bug: bool = False
    postprocess: PostprocessConfig = PAPER_POSTPROCESS

    def __post_init__(self) -> None:
        """Refuse what cannot be built, naming the value."""
        if self.num_frames < 1 or self.num_frames % 2 == 0:
            raise ValueError(f'num_frames must be odd and positive, got {self.num_frames}')
        if self.channels % self.num_heads or self.channels % 32:
            raise ValueError(
                f'channels must be a multiple of 32 and of num_heads, '
                f'got {self.channels} for {self.num_heads} heads'
            )
        self._check_levels()
        for name in ('pose_layers', 'num_queries'):
            if getattr(self, name) < 1:
                raise ValueError(f'{name} must be at least 1, got {getattr(self, name)}')
        if self.joint_layers < 0:
            raise ValueError(f'joint_layers must be 0 or more, got {self.joint_layers}')
        if self.next_next_pose_bug and self.pose_heads(self.pose_frames) != 5:
            raise ValueError('next_next_pose_bug needs a pose decoder with 5 frames of own poses')

    def _check_levels(self) -> None:
        if self.scales not in (1, 2) or (self.scales == 2 and not self.pyramid):
            raise ValueError(f'scales must be 1, or 2 with a pyramid, got {self.scales}')
        if self.num_levels < self.scales * len(self.backbone_indices):
            raise ValueError(
                f'num_levels {self.num_levels} is less than the '
                f'{self.scales * len(self.backbone_indices)} '
                'maps taken from the backbone'
            )
        coarsest = 32 * self.scales  # stride of the coarsest map, of which finer ones are twice
        if self.pyramid and self.input_alignment % coarsest:
            raise ValueError(
                f'input_alignment must be a multiple of {coarsest} for a pyramid of {self.scales} '
                f'scales, got {self.input_alignment}'
            )

    @property
    def key_frame(self) -> int:
        """Return the index of the frame whose people are asked for."""
        return self.num_frames // 2

    @property
    def encoder_frames(self) -> int:
        """Return how many frames a token gathers from in the encoder."""
        return self.num_frames if self.spatiotemporal_encoder else 1

    @property
    def pose_frames(self) -> int:
        """Return how many frames the pose decoder reads."""
        return self.num_frames if self.temporal_pose_decoder else 1

    @property
    def joint_frames(self) -> int:
        """Return how many frames the joint decoder reads."""
        return self.num_frames if self.temporal_joint_decoder else 1

    def levels(self, decoder: str) -> tuple[int, ...]:
        """Return which maps the 'pose' or 'joint' decoder reads."""
        chosen = self.pose_levels if decoder == 'pose' else self.joint_levels
        return chosen or tuple(range(self.num_levels))

    def pose_heads(self, frames: int) -> int:
        """Return how many keypoint heads a layer of a decoder of so many frames has."""
        return frames if self.poses_per_frame else 1

    def with_frames(self, num_frames: int) -> 'ModelConfig':
        """Return the same network for another number of frames."""
        bug = self.next_next_pose_bug and num_frames == 5
        return replace(self, num_frames=num_frames, next_next_pose_bug=bug)

    def to_json(self) -> dict[str, Any]:
        """Return plain values that `from_json` reads back."""
        return asdict(self)

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> 'ModelConfig':
        """Read what `to_json` wrote."""
        values: dict[str, Any] = {
            k: tuple(v) if isinstance(v, list) else v for k, v in data.items()
        }
        values['skeleton'] = Skeleton.from_json(data['skeleton'])
        values['postprocess'] = PostprocessConfig(**data.get('postprocess', {}))
        return cls(**values)
