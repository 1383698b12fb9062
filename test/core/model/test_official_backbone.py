"""
The authors' weights in our trunk and neck, against their networks written out from the maths.

The references read the authors' names and know nothing of timm or of our own modules. How deep
and wide a network is, they learn from its weights.
"""

import gzip
import re
from collections.abc import Callable, Mapping
from dataclasses import replace
from math import prod, sqrt
from pathlib import Path

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from pavenet_core.config import ModelConfig
from pavenet_core.model.backbone import Backbone
from pavenet_core.model.neck import Neck
from pavenet_core.model.official_backbone import backbone_state, neck_state
from pavenet_core.presets import PRESETS

NAMES = Path(__file__).parents[2] / 'golden' / 'state_dict.tsv.gz'
Weights = Mapping[str, Tensor]
Shapes = dict[str, tuple[int, ...]]
SWIN_L = PRESETS['official_swin_l']
SMALL = {'embed_dim': 32, 'depths': (2, 2, 2, 2), 'num_heads': (1, 2, 4, 8)}
SMALL_SWIN = replace(SWIN_L, backbone_args={**SWIN_L.backbone_args, **SMALL})


def count(w: Weights, prefix: str) -> int:
    """Return how many numbered children a name has."""
    return len({m[1] for name in w if (m := re.match(rf'{re.escape(prefix)}\.(\d+)\.', name))})


def conv_norm(x: Tensor, w: Weights, conv: str, norm: str, stride: int = 1) -> Tensor:
    kernel = w[f'{conv}.weight']
    x = F.conv2d(x, kernel, stride=stride, padding=kernel.shape[-1] // 2)
    mean, variance, scale, shift = (
        w[f'{norm}.{leaf}'][:, None, None]
        for leaf in ('running_mean', 'running_var', 'weight', 'bias')
    )
    return (x - mean) / (variance + 1e-5).sqrt() * scale + shift


def residual_block(x: Tensor, w: Weights, name: str, stride: int = 1) -> Tensor:
    """Add two 3x3 convolutions, or a 3x3 between two 1x1; a stride is in the second."""
    last = 3 if f'{name}.conv3.weight' in w else 2
    y = x
    for i in range(1, last + 1):
        y = conv_norm(y, w, f'{name}.conv{i}', f'{name}.bn{i}', stride if i == 2 else 1)
        y = y.relu() if i < last else y
    if f'{name}.downsample.0.weight' in w:
        x = conv_norm(x, w, f'{name}.downsample.0', f'{name}.downsample.1', stride)
    return (x + y).relu()


def residual_blocks(x: Tensor, w: Weights, name: str, stride: int = 1) -> Tensor:
    for i in range(count(w, name)):
        x = residual_block(x, w, f'{name}.{i}', 1 if i else stride)
    return x


def resnet(images: Tensor, w: Weights) -> list[Tensor]:
    x = conv_norm(images, w, 'conv1', 'bn1', 2).relu()
    x = F.max_pool2d(x, 3, 2, 1)
    maps = []
    for layer in range(1, 5):
        x = residual_blocks(x, w, f'layer{layer}', 1 if layer == 1 else 2)
        maps.append(x)
    return maps[1:]


def hrnet(images: Tensor, w: Weights) -> list[Tensor]:
    x = conv_norm(images, w, 'conv1', 'bn1', 2).relu()
    x = conv_norm(x, w, 'conv2', 'bn2', 2).relu()
    branches = [residual_blocks(x, w, 'layer1')]
    for stage in (2, 3, 4):
        branches = [next_branch(branches, w, f'transition{stage - 1}', i) for i in range(stage)]
        for module in range(count(w, f'stage{stage}')):
            branches = exchange(branches, w, f'stage{stage}.{module}')
    return branches[1:]


def next_branch(branches: list[Tensor], w: Weights, name: str, i: int) -> Tensor:
    """Hand a branch to the next stage, or make it of the coarsest one there was."""
    if i >= len(branches):
        halved = conv_norm(branches[-1], w, f'{name}.{i}.0.0', f'{name}.{i}.0.1', 2)
        return halved.relu()
    if f'{name}.{i}.0.weight' in w:
        return conv_norm(branches[i], w, f'{name}.{i}.0', f'{name}.{i}.1').relu()
    return branches[i]


def exchange(branches: list[Tensor], w: Weights, name: str) -> list[Tensor]:
    maps = [residual_blocks(x, w, f'{name}.branches.{i}') for i, x in enumerate(branches)]
    return [
        sum(resized(x, w, f'{name}.fuse_layers.{i}.{j}', i - j) for j, x in enumerate(maps)).relu()
        for i in range(len(maps))
    ]


def resized(x: Tensor, w: Weights, name: str, halvings: int) -> Tensor:
    if halvings < 0:
        x, times = conv_norm(x, w, f'{name}.0', f'{name}.1'), 2**-halvings
        return x.repeat_interleave(times, 2).repeat_interleave(times, 3)
    for k in range(halvings):
        x = conv_norm(x, w, f'{name}.{k}.0', f'{name}.{k}.1', 2)
        x = x.relu() if k < halvings - 1 else x
    return x


def linear(x: Tensor, w: Weights, name: str) -> Tensor:
    return F.linear(x, w[f'{name}.weight'], w.get(f'{name}.bias'))


def layer_norm(x: Tensor, w: Weights, name: str) -> Tensor:
    centred = x - x.mean(-1, keepdim=True)
    spread = (centred.square().mean(-1, keepdim=True) + 1e-5).sqrt()
    return centred / spread * w[f'{name}.weight'] + w[f'{name}.bias']


def pad(x: Tensor, multiple: int) -> Tensor:
    """Add zeros below and to the right."""
    height, width = x.shape[1:3]
    return F.pad(x, (0, 0, 0, -width % multiple, 0, -height % multiple))


def swin(images: Tensor, w: Weights) -> list[Tensor]:
    """Return Swin's maps; inside, maps are (N, h, w, C)."""
    patches = pad(images.permute(0, 2, 3, 1), 4).permute(0, 3, 1, 2)
    weight, bias = w['patch_embed.projection.weight'], w['patch_embed.projection.bias']
    x = F.conv2d(patches, weight, bias, stride=4).permute(0, 2, 3, 1)
    x = layer_norm(x, w, 'patch_embed.norm')
    maps = []
    for stage in range(4):
        for block in range(count(w, f'stages.{stage}.blocks')):
            x = swin_block(x, w, f'stages.{stage}.blocks.{block}', 3 if block % 2 else 0)
        if stage > 0:
            maps.append(layer_norm(x, w, f'norm{stage}').permute(0, 3, 1, 2))
        if stage < 3:
            x = merge_patches(x, w, f'stages.{stage}.downsample')
    return maps


def swin_block(x: Tensor, w: Weights, name: str, shift: int) -> Tensor:
    x = x + window_attention(layer_norm(x, w, f'{name}.norm1'), w, f'{name}.attn.w_msa', shift)
    hidden = linear(layer_norm(x, w, f'{name}.norm2'), w, f'{name}.ffn.layers.0.0')
    gelu = hidden * (1 + torch.erf(hidden / sqrt(2))) / 2
    return x + linear(gelu, w, f'{name}.ffn.layers.1')


def window_attention(x: Tensor, w: Weights, name: str, shift: int) -> Tensor:
    """
    Let each token see those of its own 7x7 window, padding included.

    Windows begin at row and column `shift`; what is above or left of that has windows of its own,
    cut off by the border.
    """
    height, width = x.shape[1:3]
    x = pad(x, 7)
    rows = torch.arange(x.shape[1]).repeat_interleave(x.shape[2])
    columns = torch.arange(x.shape[2]).repeat(x.shape[1])
    window = (rows - shift) // 7 * x.shape[2] + (columns - shift) // 7
    table = w[f'{name}.relative_position_bias_table']
    below = (rows[:, None] - rows).clamp(-6, 6)
    right = (columns[:, None] - columns).clamp(-6, 6)
    bias = table[13 * (below + 6) + right + 6].permute(2, 0, 1)
    heads = linear(x.flatten(1, 2), w, f'{name}.qkv').unflatten(-1, (3, table.shape[1], -1))
    q, k, v = heads.permute(2, 0, 3, 1, 4)  # (N, M, h * w, C / M) each
    logits = q @ k.mT / sqrt(q.shape[-1]) + bias
    weights = logits.masked_fill(window[:, None] != window, float('-inf')).softmax(-1)
    out = linear((weights @ v).transpose(1, 2).flatten(2), w, f'{name}.proj')
    return out.unflatten(1, x.shape[1:3])[:, :height, :width]


def merge_patches(x: Tensor, w: Weights, name: str) -> Tensor:
    x = pad(x, 2)
    neighbours = F.unfold(x.permute(0, 3, 1, 2), 2, stride=2).mT
    x = neighbours.unflatten(1, (x.shape[1] // 2, x.shape[2] // 2))
    return linear(layer_norm(x, w, f'{name}.norm'), w, f'{name}.reduction')


def official_shapes(preset: str, prefix: str) -> Shapes:
    """Return the shapes of one of the authors' networks by the names below `prefix`."""
    lines = gzip.decompress(NAMES.read_bytes()).decode().splitlines()
    rows = [line.split('\t') for line in lines]
    return {
        name.removeprefix(prefix): () if shape == 'scalar' else tuple(map(int, shape.split('x')))
        for model, name, shape in rows
        if model == preset and name.startswith(prefix)
    }


def small_swin_shapes() -> Shapes:
    """Return those of Swin-L at a sixth of its width and with two blocks a stage."""
    return {
        name: tuple(size // 6 if size % 6 == 0 else size for size in shape)
        for name, shape in official_shapes('official_swin_l', 'backbone.').items()
        if not re.match(r'stages\.2\.blocks\.(?![01]\.)', name)
    }


def bias_index() -> Tensor:
    """Return the row of the bias table for every two places of a window."""
    i = torch.arange(49)
    row, column = i // 7, i % 7
    return 13 * (row[:, None] - row + 6) + column[:, None] - column + 6


def random_weight(name: str, shape: tuple[int, ...], rng: torch.Generator) -> Tensor:
    if name.endswith('num_batches_tracked'):
        return torch.tensor(5)
    if name.endswith('relative_position_index'):
        return bias_index()
    if name.endswith('running_var'):
        return 0.5 + torch.rand(shape, generator=rng)
    x = torch.randn(shape, generator=rng)
    if len(shape) == 1:
        return 0.2 * x + name.endswith('weight')
    # Halved, or HRNet's sums of branches would outgrow its biases.
    return x if name.endswith('bias_table') else x.div_(2 * sqrt(prod(shape[1:])))


def random_weights(shapes: Shapes) -> dict[str, Tensor]:
    rng = torch.Generator().manual_seed(1)
    return {name: random_weight(name, shape, rng) for name, shape in shapes.items()}


def check(
    config: ModelConfig,
    shapes: Shapes,
    reference: Callable[..., list[Tensor]],
    *sizes: tuple[int, int],
) -> None:
    """Compare our trunk's maps with the reference's; every weight must have found its place."""
    theirs = random_weights(shapes)
    left = dict(theirs)
    state = backbone_state(left.pop, config)
    assert not left
    backbone = Backbone(config).eval()
    backbone.load_state_dict({k.removeprefix('backbone.'): v for k, v in state.items()})
    for size in sizes:
        images = torch.randn(2, 3, *size, generator=torch.Generator().manual_seed(2))
        with torch.inference_mode():
            maps, expected = backbone(images), reference(images, theirs)
        for ours, wanted in zip(maps, expected, strict=True):
            largest = wanted.abs().max().item()
            torch.testing.assert_close(ours, wanted, rtol=1e-4, atol=1e-5 * largest)


@pytest.mark.parametrize(
    ('preset', 'reference', 'size'),
    [('r50', resnet, (97, 130)), ('hrnet_w48', hrnet, (96, 128)), ('swin_l', swin, (96, 160))],
)
def test_trunk_gives_the_maps_of_the_authors(
    preset: str, reference: Callable[..., list[Tensor]], size: tuple[int, int]
) -> None:
    preset = f'official_{preset}'
    check(PRESETS[preset], official_shapes(preset, 'backbone.'), reference, size)


def test_swin_gives_the_maps_of_the_authors_at_any_size() -> None:
    # Whole windows; windows to pad; no whole patches and odd maps; maps smaller than a window.
    sizes = (224, 224), (224, 160), (150, 201), (36, 32)
    check(SMALL_SWIN, small_swin_shapes(), swin, *sizes)


def test_bias_table_of_another_order_is_refused() -> None:
    weights = random_weights(small_swin_shapes())
    name = 'stages.1.blocks.0.attn.w_msa.relative_position_index'
    weights[name] = weights[name].T.contiguous()
    with pytest.raises(ValueError, match=name):
        backbone_state(weights, SMALL_SWIN)


@pytest.mark.parametrize(
    'preset',
    [f'official_{name}' for name in ('r50', 'r50_t5', 'hrnet_w48', 'swin_l', 'swin_l_t5')],
)
def test_neck_gives_the_levels_of_the_authors(preset: str) -> None:
    w = random_weights(official_shapes(preset, 'neck.'))
    state = neck_state((left := dict(w)).pop, PRESETS[preset])
    assert not left
    names = ['convs.0', 'convs.1', 'convs.2', 'extra_convs.0']
    kernels = [w[f'{name}.conv.weight'] for name in names]
    channels = [kernel.shape[1] for kernel in kernels[:3]]
    neck = Neck(PRESETS[preset], channels)
    neck.load_state_dict({k.removeprefix('neck.'): v for k, v in state.items()})
    maps = [torch.randn(2, c, 12, 15) for c in channels]
    with torch.inference_mode():
        levels = neck(maps)
    for name, kernel, x, level in zip(names, kernels, [*maps, maps[-1]], levels, strict=True):
        side = kernel.shape[-1]
        y = F.conv2d(x, kernel, stride=side // 2 + 1, padding=side // 2)
        wanted = F.group_norm(y, 32, w[f'{name}.gn.weight'], w[f'{name}.gn.bias'], eps=1e-5)
        torch.testing.assert_close(level, wanted, rtol=1e-4, atol=1e-4)
