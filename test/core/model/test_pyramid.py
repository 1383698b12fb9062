"""Trunk and pyramid on one and two scales."""

import json
from dataclasses import replace

import pytest
import torch
from torch import Tensor
from torch.nn import functional

from pavenet_core.config import ModelConfig
from pavenet_core.model import PaveNet
from pavenet_core.model.pyramid import CHANNELS, MAPS, Pyramid, PyramidEncoder, PyramidMemory
from pavenet_core.presets import COMPACT

STRIDES = [4, 8, 16, 32, 8, 16, 32, 64]


@pytest.fixture(scope='module')
def model() -> PaveNet:
    torch.manual_seed(0)
    return PaveNet(replace(COMPACT, pose_layers=1, num_queries=4)).eval()


def pictures(height: int, width: int) -> Tensor:
    return torch.randn(2, 3, height, width, generator=torch.Generator().manual_seed(0))


def one_scale(model: PaveNet) -> PaveNet:
    config = replace(
        model.config, scales=1, num_levels=MAPS, pose_levels=(1, 2), joint_levels=(0,)
    )
    one = PaveNet(config).eval()
    one.backbone.load_state_dict(model.backbone.state_dict())
    one.neck.load_state_dict(model.neck.state_dict())
    return one


@torch.inference_mode()
def test_maps_of_two_scales_are_those_of_each_alone(model: PaveNet) -> None:
    alone, x = one_scale(model), pictures(128, 64)
    sizes = torch.tensor([[128, 64]] * 2)
    both = model.encode(x, sizes)
    whole = alone.encode(x, sizes)
    half = alone.encode(functional.avg_pool2d(x, 2), sizes // 2)
    for ours, theirs in zip(both.maps, [*whole.maps, *half.maps], strict=True):
        torch.testing.assert_close(ours, theirs)
    expected = torch.cat([whole.valid_counts, half.valid_counts], 1)
    torch.testing.assert_close(both.valid_counts, expected)


@torch.inference_mode()
def test_maps_are_of_the_promised_strides_and_channels(model: PaveNet) -> None:
    assert model.strides == model.backbone.strides == STRIDES
    assert model.backbone.channels == [40, 48, 96, 480]
    maps = model.neck(model.backbone(pictures(192, 64)))
    assert [tuple(x.shape) for x in maps] == [
        (2, channels, 192 // stride, 64 // stride)
        for channels, stride in zip(CHANNELS * 2, STRIDES, strict=True)
    ]


@torch.inference_mode()
def test_each_map_knows_the_coarser_ones_but_none_that_is_finer() -> None:
    torch.manual_seed(0)
    channels = [8, 12, 16, 20]
    pyramid = Pyramid(channels).eval()
    maps = [torch.randn(1, c, 32 >> i, 32 >> i) for i, c in enumerate(channels)]
    before = pyramid(maps)
    for changed in range(MAPS):
        others = [x + 5 * (i == changed) for i, x in enumerate(maps)]
        differ = [not torch.equal(a, b) for a, b in zip(before, pyramid(others), strict=True)]
        assert differ == [level <= changed for level in range(MAPS)]


def test_the_encoder_measures_what_shows_picture_in_cells_and_keeps_maps_in_float32() -> None:
    maps = [torch.ones(2, 3, 64 // s, 128 // s, dtype=torch.bfloat16) for s in STRIDES]
    memory = PyramidEncoder(STRIDES)(maps, torch.tensor([[64, 128], [33, 80]]))
    assert memory.valid_counts[0].tolist() == [[64 // s, 128 // s] for s in STRIDES]
    assert memory.valid_counts[1].tolist() == [[33 / s, 80 / s] for s in STRIDES]
    # x before y
    assert memory.valid_ratios[1, 0].tolist() == [20 / 32, 8.25 / 16]
    assert all(x.dtype == torch.float32 for x in memory.maps)


def test_a_frame_of_each_window_is_taken() -> None:
    images = torch.arange(6.0)
    maps = [images.view(-1, 1, 1, 1).expand(-1, 2, s, s) for s in (4, 2)]
    memory = PyramidMemory(maps, images.view(-1, 1, 1).expand(-1, 2, 2))
    middle = memory.frame(1, 3)
    assert [x[:, 0, 0, 0].tolist() for x in middle.maps] == [[1, 4], [1, 4]]
    assert middle.valid_counts[:, 0, 0].tolist() == [1, 4]


@pytest.mark.parametrize(
    ('change', 'sentence'),
    [
        ({'scales': 3}, 'scales must be 1, or 2 with a pyramid, got 3'),
        ({'pyramid': False}, 'scales must be 1, or 2 with a pyramid, got 2'),
        ({'num_levels': 7}, 'num_levels 7 is less than the 8 maps'),
        ({'input_alignment': 32}, 'multiple of 64 for a pyramid of 2 scales, got 32'),
    ],
)
def test_a_pyramid_that_cannot_be_is_refused(change: dict[str, object], sentence: str) -> None:
    with pytest.raises(ValueError, match=sentence):
        replace(COMPACT, **change)


def test_the_configuration_survives_json() -> None:
    written = json.loads(json.dumps(COMPACT.to_json()))
    assert ModelConfig.from_json(written) == COMPACT


@torch.inference_mode()
def test_a_picture_comes_out_as_alone_whatever_canvas_it_shares(model: PaveNet) -> None:
    small = pictures(64, 128)[:1]
    canvas = torch.zeros(2, 3, 128, 128)
    canvas[0, :, :64], canvas[1] = small[0], pictures(128, 128)[1]
    shared = model.encode(canvas, torch.tensor([[64, 128], [128, 128]]))
    alone = model.encode(small, torch.tensor([[64, 128]]))
    for ours, theirs in zip(shared.maps, alone.maps, strict=True):
        torch.testing.assert_close(ours[:1, :, : theirs.shape[2]], theirs)
    torch.testing.assert_close(shared.valid_counts[:1], alone.valid_counts)
