"""The authors' parameter names of trunk and neck (those of mmdet), turned into ours."""

import re
from collections.abc import Callable, Mapping

import torch
from timm.models.swin_transformer import get_relative_position_index
from torch import Tensor

from pavenet_core.config import ModelConfig
from pavenet_core.model.backbone import Backbone

Read = Callable[[str], Tensor]

# timm's Swin to mmdet's; ResNet and HRNet are spelt alike.
SWIN_NAMES = (
    (r'^patch_embed\.proj\.', 'patch_embed.projection.'),
    (r'^layers_(\d+)\.blocks\.', r'stages.\1.blocks.'),
    (r'\.attn\.', '.attn.w_msa.'),
    (r'\.mlp\.fc1\.', '.ffn.layers.0.0.'),
    (r'\.mlp\.fc2\.', '.ffn.layers.1.'),
)
SWIN_BIAS_TABLE = 'relative_position_bias_table'
SWIN_WINDOW = 7


def backbone_state(
    official: Mapping[str, Tensor] | Read, config: ModelConfig
) -> dict[str, Tensor]:
    """
    Return our state of the trunk and of the norms of its maps.

    official  the authors' tensors by their name without `backbone.`, as a mapping or a function;
              the `pop` of a dict leaves there what the network has no place for
    """
    read = official if callable(official) else official.__getitem__
    with torch.device('meta'):  # names only
        names = list(Backbone(config).state_dict())
    swin = config.backbone.startswith('swin_')
    state: dict[str, Tensor] = {}
    for name in names:
        part, rest = name.split('.', 1)
        if part == 'norms':
            index, leaf = rest.split('.')
            tensor = read(f'norm{config.backbone_indices[int(index)]}.{leaf}')
        else:
            tensor = _swin_tensor(rest, read) if swin else read(rest)
        state[f'backbone.{name}'] = tensor
    return state


def neck_state(official: Mapping[str, Tensor] | Read, config: ModelConfig) -> dict[str, Tensor]:
    """
    Return our state of the neck.

    official  the authors' tensors by their name without `neck.`, as a mapping or a function
    """
    read = official if callable(official) else official.__getitem__
    lateral = len(config.backbone_indices)
    counts = {'lateral': lateral, 'extra': config.num_levels - lateral}
    theirs = {'lateral': 'convs', 'extra': 'extra_convs'}
    return {
        f'neck.{part}.{i}.{leaf}': read(f'{theirs[part]}.{i}.{official_leaf}')
        for part, count in counts.items()
        for i in range(count)
        for leaf, official_leaf in (
            ('0.weight', 'conv.weight'),
            ('1.weight', 'gn.weight'),
            ('1.bias', 'gn.bias'),
        )
    }


def _swin_tensor(name: str, read: Read) -> Tensor:
    """Read what timm calls `name`."""
    merging = re.fullmatch(r'layers_(\d+)\.downsample\.(.*)', name)
    if merging:
        # Theirs ends a stage, timm's begins the next.
        stage, leaf = int(merging[1]) - 1, merging[2]
        return _merging_order(read(f'stages.{stage}.downsample.{leaf}'))
    for pattern, replacement in SWIN_NAMES:
        name = re.sub(pattern, replacement, name)
    if name.endswith(SWIN_BIAS_TABLE):
        _check_bias_order(name.removesuffix(SWIN_BIAS_TABLE) + 'relative_position_index', read)
    return read(name)


def _merging_order(theirs: Tensor) -> Tensor:
    """
    Reorder the last axis, four neighbours of C channels each, of a patch merging.

    (.., C * row * column) -> (.., column * row * C)
    """
    parts = theirs.unflatten(-1, (-1, 2, 2))
    return parts.transpose(-1, -3).flatten(-3)


def _check_bias_order(name: str, read: Read) -> None:
    """Refuse a bias table whose rows stand for other offsets than timm's."""
    if not torch.equal(read(name).cpu(), get_relative_position_index(SWIN_WINDOW, SWIN_WINDOW)):
        raise ValueError(f'{name} is not the usual one of a {SWIN_WINDOW}x{SWIN_WINDOW} window')
