"""The facts that define a network: one frozen dataclass and its named presets."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from typing import Any

from pavenet_core.skeleton import COCO17, POSETRACK15, Skeleton


@dataclass(frozen=True)
class ModelConfig:
    """
    Everything needed to build a `PaveNet`; the defaults are the paper's ResNet-50 model.

    backbone          any timm model that accepts `features_only=True`
    backbone_indices  which of its feature maps feed the neck, finest first
    num_levels        maps after the neck; those beyond the backbone's come from stride-2
                      convolutions of its last map
    joint_layers      3 as the paper's text says; the authors' released configurations have 2
    positions_from_poses  tell the pose decoder's self-attention where each query's pose is; the
                      authors' queries know only their rank, which makes duplicates slow to unlearn
    pixel_mean, pixel_std  red, green, blue on the 0-255 scale
    input_long_side   pixels of the resized image's longer side at run time
    input_alignment   images are padded right and below to multiples of this
    """

    name: str = 'r50'
    skeleton: Skeleton = field(default=POSETRACK15)
    num_frames: int = 3  # T; the key frame is the middle one
    # backbone and neck
    backbone: str = 'resnet50'
    backbone_indices: tuple[int, ...] = (2, 3, 4)
    num_levels: int = 4
    # transformer
    channels: int = 256
    num_heads: int = 8
    ffn_channels: int = 1024
    dropout: float = 0.1
    encoder_layers: int = 6
    encoder_points: int = 4
    num_queries: int = 300
    positions_from_poses: bool = False
    pose_layers: int = 3
    joint_layers: int = 3
    joint_points: int = 4
    # input
    pixel_mean: tuple[float, float, float] = (123.675, 116.28, 103.53)
    pixel_std: tuple[float, float, float] = (58.395, 57.12, 57.375)
    input_long_side: int = 1333
    input_alignment: int = 32

    def __post_init__(self) -> None:
        """Refuse what cannot be built, naming the value."""
        if self.num_frames < 1 or self.num_frames % 2 == 0:
            raise ValueError(f'num_frames must be odd and positive, got {self.num_frames}')
        if self.channels % self.num_heads or self.channels % 32:
            raise ValueError(
                f'channels must be a multiple of 32 and of num_heads, '
                f'got {self.channels} for {self.num_heads} heads'
            )
        if self.num_levels < len(self.backbone_indices):
            raise ValueError(
                f'num_levels {self.num_levels} is less than the {len(self.backbone_indices)} '
                'maps taken from the backbone'
            )
        for name in ('pose_layers', 'joint_layers', 'num_queries'):
            if getattr(self, name) < 1:
                raise ValueError(f'{name} must be at least 1, got {getattr(self, name)}')

    @property
    def key_frame(self) -> int:
        """Return the index of the frame whose people are asked for."""
        return self.num_frames // 2

    def with_frames(self, num_frames: int) -> 'ModelConfig':
        """Return the same network for another number of frames."""
        return replace(self, num_frames=num_frames)

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
        return cls(**values)


PRESETS = {
    config.name: config
    for config in (
        ModelConfig(),
        # Our network for CPUs: strides 16 and 32 only, the most expensive choice left out.
        ModelConfig(
            name='compact',
            skeleton=COCO17,
            backbone='mobilenetv2_150',
            backbone_indices=(3, 4),
            num_levels=2,
            channels=128,
            num_heads=4,
            ffn_channels=512,
            dropout=0.0,
            encoder_layers=1,
            num_queries=60,
            positions_from_poses=True,
            joint_layers=2,
            pixel_mean=(127.5, 127.5, 127.5),
            pixel_std=(127.5, 127.5, 127.5),
            input_long_side=512,
        ),
    )
}
