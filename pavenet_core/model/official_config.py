"""What an official checkpoint is of, read from its keys and shapes alone."""

import re
from collections.abc import Mapping
from dataclasses import replace

from torch import Tensor

from pavenet_core.config import ModelConfig
from pavenet_core.presets import HRNET_W48, R50, SWIN_L, five_frames, official
from pavenet_core.skeleton import COCO17, POSETRACK15

HEAD = 'bbox_head.'
RELEASE_FIELDS = (
    'input_alignment',
    'valid_tokens_only',
    'zero_padding_values',
    'next_next_pose_bug',
    'postprocess',
)
SKELETONS = {len(skeleton): skeleton for skeleton in (POSETRACK15, COCO17)}


def official_config(state: Mapping[str, Tensor]) -> ModelConfig:
    """
    Return the network of an official checkpoint, PAVE-Net of 3 or 5 frames or PETR of one.

    state  by the authors' names, such as `bbox_head.cls_branches.0.weight`

    Raise `ValueError` for a trunk or skeleton that none of theirs has.
    """
    shapes = {name: tuple(tensor.shape) for name, tensor in state.items()}
    if f'{HEAD}transformer.level_embeds' not in shapes:
        raise ValueError(
            'the checkpoint has no bbox_head.transformer.level_embeds: it is neither PAVE-Net nor '
            'PETR'
        )
    num_levels, channels = shapes[f'{HEAD}transformer.level_embeds']
    keypoints = _last_rows(shapes, 'kpt_branches.0.6') // 2
    if keypoints not in SKELETONS:
        raise ValueError(f'the checkpoint has {keypoints} keypoints; known are {list(SKELETONS)}')
    encoder = 'transformer.encoder.layers'
    heads = _last_rows(shapes, 'transformer.decoder.layers.0.attentions.1.attention_weights')
    heads //= num_levels * keypoints
    encoder_rows = _last_rows(shapes, f'{encoder}.0.attentions.0.attention_weights')
    joint_rows = _last_rows(
        shapes, 'transformer.refine_decoder.layers.0.attentions.1.attention_weights'
    )
    trunk = _trunk(shapes)
    config = replace(
        trunk,
        skeleton=SKELETONS[keypoints],
        num_frames=_num_frames(shapes),
        num_levels=num_levels,
        channels=channels,
        num_heads=heads,
        ffn_channels=_last_rows(shapes, f'{encoder}.0.ffns.0.layers.0.0'),
        encoder_layers=_count(shapes, encoder),
        encoder_points=encoder_rows // (heads * num_levels),
        num_queries=_last_rows(shapes, 'query_embedding'),
        pose_layers=_count(shapes, 'transformer.decoder.layers'),
        joint_points=joint_rows // (heads * num_levels),
    )
    joint_layers = _count(shapes, 'transformer.refine_decoder.layers')
    if config.num_frames == 1:  # weights to go on from: no quirk of theirs is wanted
        return replace(config, name=f'petr_{config.name}', joint_layers=joint_layers)
    release = official(five_frames(trunk) if config.num_frames == 5 else trunk)
    return replace(
        config,
        name=release.name,
        joint_layers=joint_layers,
        **{field: getattr(release, field) for field in RELEASE_FIELDS},
    )


def _last_rows(shapes: Mapping[str, tuple[int, ...]], layer: str) -> int:
    """Return the outputs of one of the head's layers."""
    name = f'{HEAD}{layer}.weight'
    if name not in shapes:
        raise ValueError(f'the checkpoint lacks {name}')
    return shapes[name][0]


def _count(shapes: Mapping[str, tuple[int, ...]], layers: str) -> int:
    """Return how many layers are numbered under a name."""
    pattern = re.compile(rf'{re.escape(HEAD + layers)}\.(\d+)\.')
    numbers = {int(found[1]) for name in shapes if (found := pattern.match(name))}
    return len(numbers)


def _num_frames(shapes: Mapping[str, tuple[int, ...]]) -> int:
    if any(name.startswith(f'{HEAD}pre_pre_') for name in shapes):
        return 5
    return 3 if any(name.startswith(f'{HEAD}pre_') for name in shapes) else 1


def _trunk(shapes: Mapping[str, tuple[int, ...]]) -> ModelConfig:
    """Return the preset with the checkpoint's trunk."""
    patches = shapes.get('backbone.patch_embed.projection.weight', (0,))[0]
    branch = shapes.get('backbone.stage4.0.branches.0.0.conv1.weight', (0,))[0]
    blocks = _blocks(shapes)
    if patches == 192:
        return SWIN_L
    if branch == 48:
        return HRNET_W48
    if blocks == (3, 4, 6, 3):
        return R50
    raise ValueError(
        'the checkpoint has a trunk that is neither ResNet-50, HRNet-W48 nor Swin-L: '
        f'residual blocks {blocks}, HRNet width {branch}, Swin width {patches}'
    )


def _blocks(shapes: Mapping[str, tuple[int, ...]]) -> tuple[int, ...]:
    """Return the number of bottlenecks of each ResNet stage."""
    pattern = re.compile(r'backbone\.layer(\d)\.(\d+)\.conv3\.weight')
    found = {match.groups() for name in shapes if (match := pattern.fullmatch(name))}
    return tuple(sum(stage == str(number) for stage, _ in found) for number in range(1, 5))
