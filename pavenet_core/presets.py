"""The networks that have a name: the paper's systems, the authors' release, and our own."""

from dataclasses import replace

from pavenet_core.config import ModelConfig
from pavenet_core.postprocess_config import AUTHORS_POSTPROCESS
from pavenet_core.skeleton import COCO17

R50 = ModelConfig()
# The stride-4 map is dropped, and timm's widening of the others too.
HRNET_W48 = replace(
    R50,
    name='hrnet_w48',
    backbone='hrnet_w48',
    backbone_args={'feature_location': ''},
)
SWIN_L = replace(
    R50,
    name='swin_l',
    backbone='swin_large_patch4_window7_224',
    backbone_args={
        'drop_path_rate': 0.3,
        # Any picture size; windows stay 7x7 and their masks follow the picture.
        'strict_img_size': False,
        'always_partition': True,
    },
    backbone_indices=(1, 2, 3),
    backbone_norm=True,
)
# Our network for CPUs: MoveNet's trunk and pyramid under PAVE-Net's decoders.
COMPACT = ModelConfig(
    name='compact',
    skeleton=COCO17,
    backbone='mobilenetv2_150',
    backbone_indices=(1, 2, 3, 4),
    num_levels=8,
    pyramid=True,
    scales=2,
    channels=128,
    num_heads=4,
    ffn_channels=512,
    encoder_layers=0,
    num_queries=60,
    relative_poses=True,
    pose_layers=1,
    pose_levels=(1, 2, 6, 7),
    joint_layers=0,
    pixel_mean=(127.5, 127.5, 127.5),
    pixel_std=(127.5, 127.5, 127.5),
    input_long_side=512,
    input_alignment=64,
)
# Half the time and less: one scale, a smaller picture, fewer people.
NANO = replace(
    COMPACT,
    name='nano',
    num_levels=4,
    scales=1,
    num_queries=30,
    pose_levels=(1,),
    input_long_side=384,
    input_alignment=32,
)


def official(config: ModelConfig) -> ModelConfig:
    """Return the authors' released form of a network: two joint layers, every quirk."""
    return replace(
        config,
        name=f'official_{config.name}',
        joint_layers=2,
        input_alignment=32 if config.backbone.startswith('hrnet') else 1,
        valid_tokens_only=False,
        zero_padding_values=False,
        next_next_pose_bug=config.num_frames == 5,
        # Their ResNet-50 configuration of three frames keeps 20 people, the others 100.
        postprocess=replace(AUTHORS_POSTPROCESS, max_people=20 if config == R50 else 100),
    )


def five_frames(config: ModelConfig) -> ModelConfig:
    """Return a network that sees two frames on either side."""
    return replace(config.with_frames(5), name=f'{config.name}_t5')


_PAPER = [
    variant(config) for config in (R50, HRNET_W48, SWIN_L) for variant in (replace, five_frames)
]
_OFFICIAL = [official(config) for config in _PAPER]
# The systems of the paper's Tables 3 to 6, all on ResNet-50 with three frames but the first.
_ABLATIONS = [
    # PETR: one frame.
    replace(R50, name='petr', num_frames=1, query_features=False, detach_poses=True),
    # Table 3: all frames mixed in the encoder; the decoder, of poses only, sees the key frame.
    replace(
        R50,
        name='baseline',
        spatiotemporal_encoder=True,
        temporal_pose_decoder=False,
        joint_layers=0,
    ),
    replace(R50, name='pavenet_ste', spatiotemporal_encoder=True),
    # Table 4
    replace(R50, name='no_stpd_no_stjd', temporal_pose_decoder=False, joint_layers=0),
    replace(R50, name='stpd_only', joint_layers=0),
    # Table 5
    replace(R50, name='learned_poses', learned_poses=True),
    # Table 6
    *(replace(R50, name=f'layers_{n}', pose_layers=n, joint_layers=n) for n in (1, 2, 4, 5)),
]

PRESETS = {config.name: config for config in (*_PAPER, *_OFFICIAL, *_ABLATIONS, COMPACT, NANO)}
