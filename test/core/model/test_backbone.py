from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from pavenet_core.config import ModelConfig
from pavenet_core.model.backbone import Backbone
from pavenet_core.presets import PRESETS
from pavenet_core.train.initial_weights import load_movenet_trunk


@pytest.mark.parametrize(
    ('name', 'indices', 'size'),
    [
        ('resnet18', (2, 3, 4), (96, 160)),
        ('hgnetv2_b0', (2, 3), (96, 160)),
        ('swin_tiny_patch4_window7_224', (1, 2, 3), (224, 224)),
    ],
)
def test_any_timm_model_gives_maps_of_the_promised_shape(
    name: str, indices: tuple[int, ...], size: tuple[int, int]
) -> None:
    config = ModelConfig(backbone=name, backbone_indices=indices)
    backbone = Backbone(config).eval()
    with torch.inference_mode():
        maps = backbone(torch.zeros(1, 3, *size))
    expected = [
        (1, channels, size[0] // stride, size[1] // stride)
        for channels, stride in zip(backbone.channels, backbone.strides, strict=True)
    ]
    assert [tuple(x.shape) for x in maps] == expected


def test_compact_trunk_pads_right_and_below_only() -> None:
    backbone = Backbone(PRESETS['compact']).eval()
    stem = backbone.trunk.conv_stem
    picture = torch.zeros(1, 3, 8, 8)
    picture[..., 0, 0] = 1  # seen by the first kernel's top left weight, not by its centre
    with torch.inference_mode():
        first = stem(picture)[0, :, 0, 0]
    torch.testing.assert_close(first, stem.weight[:, :, 0, 0].sum(1))


def test_movenet_weights_fill_the_trunk_in_order(tmp_path: Path) -> None:
    config = PRESETS['compact']
    source, target = Backbone(config).trunk, Backbone(config).trunk
    layers = [m for m in source.modules() if isinstance(m, nn.Conv2d)]
    arrays = {}
    for index, layer in enumerate(layers):
        name = 'stem.conv' if index == 0 else f'block{index}.conv'
        arrays[f'{name}.weight'] = layer.weight.detach().numpy()
        arrays[f'{name}.bias'] = np.full(layer.out_channels, index, np.float32)
    np.savez(tmp_path / 'movenet.npz', **arrays)
    load_movenet_trunk(target, tmp_path / 'movenet.npz')
    norms = [m for m in target.modules() if isinstance(m, nn.BatchNorm2d)]
    filled = [m for m in target.modules() if isinstance(m, nn.Conv2d)]
    for index, (layer, ours, norm) in enumerate(zip(layers, filled, norms, strict=True)):
        assert torch.equal(layer.weight, ours.weight)
        # Folded batch norm: what goes in comes out, plus the bias (the activation aside).
        spread = (norm.running_var + norm.eps).sqrt()
        values = (2.0 - norm.running_mean) / spread * norm.weight + norm.bias
        torch.testing.assert_close(values, torch.full_like(values, index + 2.0))

    del arrays['stem.conv.weight']
    np.savez(tmp_path / 'short.npz', **arrays)
    with pytest.raises(ValueError, match='has 50 trunk layers, the trunk 51'):
        load_movenet_trunk(target, tmp_path / 'short.npz')
