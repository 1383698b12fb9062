from dataclasses import replace
from math import ceil

import pytest
import torch

from pavenet_core.config import ModelConfig
from pavenet_core.model.backbone import Backbone
from pavenet_core.model.neck import Neck
from pavenet_core.presets import PRESETS

SMALL_SWIN = {'embed_dim': 8, 'depths': (2, 2, 2, 2), 'num_heads': (1, 1, 1, 1)}
ANY_SIZE = {'strict_img_size': False, 'always_partition': True}


@pytest.mark.parametrize(
    ('name', 'arguments', 'indices', 'size'),
    [
        ('resnet18', {}, (2, 3, 4), (96, 160)),
        ('mobilenetv2_150', {}, (3, 4), (96, 160)),
        ('hgnetv2_b0', {}, (2, 3), (96, 160)),
        ('hrnet_w18_small', {'feature_location': ''}, (2, 3, 4), (96, 160)),
        ('swin_tiny_patch4_window7_224', {}, (1, 2, 3), (224, 224)),
        ('swin_tiny_patch4_window7_224', ANY_SIZE, (1, 2, 3), (96, 160)),
        ('swin_tiny_patch4_window7_224', ANY_SIZE, (1, 2, 3), (150, 201)),
        # As high in cells as it is deep in channels.
        ('swin_tiny_patch4_window7_224', {**ANY_SIZE, **SMALL_SWIN}, (0,), (32, 64)),
    ],
)
def test_any_timm_model_gives_maps_of_the_promised_shape(
    name: str, arguments: dict[str, object], indices: tuple[int, ...], size: tuple[int, int]
) -> None:
    config = ModelConfig(backbone=name, backbone_args=arguments, backbone_indices=indices)
    backbone = Backbone(config).eval()
    with torch.inference_mode():
        maps = backbone(torch.zeros(2, 3, *size))
    expected = [
        (2, channels, ceil(size[0] / stride), ceil(size[1] / stride))
        for channels, stride in zip(backbone.channels, backbone.strides, strict=True)
    ]
    assert [tuple(x.shape) for x in maps] == expected


@pytest.mark.parametrize(
    ('preset', 'channels', 'trunk', 'neck'),
    [
        ('r50', [512, 1024, 2048], 23_508_032, 5_638_144),
        ('hrnet_w48', [96, 192, 384], 65_325_120, 1_058_816),
        ('swin_l', [384, 768, 1536], 194_997_780, 4_229_120),
    ],
)
def test_paper_trunks_are_as_large_as_the_authors(
    preset: str, channels: list[int], trunk: int, neck: int
) -> None:
    with torch.device('meta'):
        backbone = Backbone(PRESETS[preset]).eval()
        modules = backbone, Neck(PRESETS[preset], backbone.channels)
        maps = backbone(torch.zeros(1, 3, 64, 96))
    assert [sum(p.numel() for p in m.parameters()) for m in modules] == [trunk, neck]
    assert [tuple(x.shape[1:]) for x in maps] == [
        (c, 64 // stride, 96 // stride) for c, stride in zip(channels, (8, 16, 32), strict=True)
    ]


def test_norm_of_a_map_is_over_its_channels() -> None:
    config = ModelConfig(backbone='resnet18', backbone_norm=True)
    backbone = Backbone(config).eval()
    plain = Backbone(replace(config, backbone_norm=False)).eval()
    plain.trunk.load_state_dict(backbone.trunk.state_dict())
    images = 1e-3 * torch.randn(1, 3, 96, 160)  # so small that the norm's epsilon shows
    with torch.inference_mode():
        for x, normed in zip(plain(images), backbone(images), strict=True):
            variance, mean = torch.var_mean(x, 1, keepdim=True, correction=0)
            torch.testing.assert_close(normed, (x - mean) / (variance + 1e-5).sqrt())


def test_compact_trunk_pads_right_and_below_only() -> None:
    backbone = Backbone(PRESETS['compact']).eval()
    stem = backbone.trunk.conv_stem
    picture = torch.zeros(1, 3, 8, 8)
    picture[..., 0, 0] = 1  # seen by the first kernel's top left weight, not by its centre
    with torch.inference_mode():
        first = stem(picture)[0, :, 0, 0]
    torch.testing.assert_close(first, stem.weight[:, :, 0, 0].sum(1))
