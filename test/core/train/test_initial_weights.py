"""MoveNet's arrays, here drawn at random, in a compact network."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from pavenet_core.model import PaveNet
from pavenet_core.model.peak_selection import HeatHead, PeakSelection
from pavenet_core.model.pyramid import separable
from pavenet_core.presets import COMPACT
from pavenet_core.train.initial_weights import balance, load_movenet

# Every layer beyond the trunk, as the file names it: its place, inputs, outputs, kernel, bias.
PYRAMID = {
    'last.conv': ('neck.last', 480, 1280, 1, True),
    'fpn.lateral32': ('neck.lateral32', 1280, 64, 1, True),
    'fpn.lateral16': ('neck.lateral16', 96, 64, 1, True),
    'fpn.lateral8': ('neck.lateral8', 48, 32, 1, True),
    'fpn.lateral4': ('neck.lateral4', 40, 24, 1, True),
    'fpn.topdown16.depthwise': ('neck.topdown16.0', 1, 64, 3, False),
    'fpn.topdown16.pointwise': ('neck.topdown16.1', 64, 32, 1, True),
    'fpn.topdown8.depthwise': ('neck.topdown8.0', 1, 32, 3, False),
    'fpn.topdown8.pointwise': ('neck.topdown8.1', 32, 24, 1, True),
    'fpn.topdown4.depthwise': ('neck.topdown4.0', 1, 24, 3, False),
    'fpn.topdown4.pointwise': ('neck.topdown4.1', 24, 24, 1, True),
}
HEADS = {
    'center': ('centre_head', 1),
    'kpt_regress': ('guess_head', 34),
    'kpt_heatmap': ('keypoint_head', 17),
    'kpt_offset': ('offset_head', 34),
}
for theirs, (ours, outputs) in HEADS.items():
    place = f'query_selection.{ours}'
    PYRAMID[f'head.{theirs}.depthwise'] = (f'{place}.depthwise', 1, 24, 3, False)
    PYRAMID[f'head.{theirs}.pointwise'] = (f'{place}.pointwise', 24, 96, 1, True)
    PYRAMID[f'head.{theirs}.out'] = (f'{place}.out', 96, outputs, 1, True)

Arrays = dict[str, np.ndarray]


def build() -> PaveNet:
    return PaveNet(replace(COMPACT, pose_layers=1)).eval()


@pytest.fixture(scope='module')
def arrays() -> Arrays:
    """Draw what the file holds, each layer with numbers of its own."""
    rng = np.random.default_rng(0)
    layers = [m for m in build().backbone.trunk.modules() if isinstance(m, nn.Conv2d)]
    found = {}
    for index, layer in enumerate(layers):
        name = f'block{index}.conv' if index else 'stem.conv'
        found[f'{name}.weight'] = rng.normal(size=layer.weight.shape).astype(np.float32)
        found[f'{name}.bias'] = rng.normal(size=layer.out_channels).astype(np.float32)
    for name, (_, inputs, outputs, kernel, has_bias) in PYRAMID.items():
        shape = (outputs, inputs, kernel, kernel)
        found[f'{name}.weight'] = rng.normal(size=shape).astype(np.float32)
        if has_bias:
            found[f'{name}.bias'] = rng.normal(size=outputs).astype(np.float32)
    return found


@pytest.fixture(scope='module')
def file(arrays: Arrays, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp('movenet') / 'movenet.npz'
    np.savez(path, **arrays)
    return path


@pytest.fixture(scope='module')
def model(file: Path) -> PaveNet:
    model = build()
    load_movenet(model, file)
    return model


def x_before_y(array: np.ndarray) -> Tensor:
    pairs = array.reshape(-1, 2, *array.shape[1:])
    return torch.from_numpy(np.ascontiguousarray(pairs[:, ::-1]).reshape(array.shape))


@pytest.mark.parametrize('name', [n for n in PYRAMID if 'topdown' not in n])
def test_every_array_lands_in_its_place(model: PaveNet, arrays: Arrays, name: str) -> None:
    layer = model.get_submodule(PYRAMID[name][0])
    assert isinstance(layer, nn.Conv2d)
    as_it_is = torch.from_numpy
    convert = x_before_y if name in ('head.kpt_regress.out', 'head.kpt_offset.out') else as_it_is
    assert torch.equal(layer.weight, convert(arrays[f'{name}.weight']))
    if PYRAMID[name][-1]:
        assert torch.equal(layer.bias, convert(arrays[f'{name}.bias']))
    else:
        assert layer.bias is None


def test_the_trunk_is_filled_in_order(model: PaveNet, arrays: Arrays) -> None:
    trunk = model.backbone.trunk
    layers = [m for m in trunk.modules() if isinstance(m, nn.Conv2d)]
    norms = [m for m in trunk.modules() if isinstance(m, nn.BatchNorm2d)]
    names = [n.removesuffix('.weight') for n in arrays if n.startswith(('stem', 'block'))]
    for name, layer, norm in zip(names[::2], layers, norms, strict=True):
        assert torch.equal(layer.weight, torch.from_numpy(arrays[f'{name}.weight']))
        # Folded batch norm: what goes in comes out, plus the bias (the activation aside).
        spread = (norm.running_var + norm.eps).sqrt()
        values = (2.0 - norm.running_mean) / spread * norm.weight + norm.bias
        torch.testing.assert_close(values, 2 + torch.from_numpy(arrays[f'{name}.bias']))


def test_nothing_else_is_touched(file: Path) -> None:
    torch.manual_seed(3)
    model = build()
    before = {name: value.clone() for name, value in model.state_dict().items()}
    load_movenet(model, file)
    changed = {n for n, value in model.state_dict().items() if not torch.equal(value, before[n])}
    assert all(name.startswith(model.trunk_parts) for name in changed)
    convolutions = {
        f'{name}.weight' for name, layer in model.named_modules() if isinstance(layer, nn.Conv2d)
    }
    assert convolutions <= changed


@pytest.mark.parametrize('stride', [16, 8, 4])
def test_balanced_layers_of_the_pyramid_compute_what_the_arrays_say(
    model: PaveNet, arrays: Arrays, stride: int
) -> None:
    inputs = PYRAMID[f'fpn.topdown{stride}.pointwise'][1]
    x = torch.randn(1, inputs, 6, 7)
    depthwise, pointwise, bias = (
        torch.from_numpy(arrays[f'fpn.topdown{stride}.{part}'])
        for part in ('depthwise.weight', 'pointwise.weight', 'pointwise.bias')
    )
    expected = nn.functional.conv2d(x, depthwise, padding=1, groups=inputs)
    expected = nn.functional.conv2d(expected, pointwise, bias).relu()
    layer = model.neck.get_submodule(f'topdown{stride}')
    torch.testing.assert_close(layer(x), expected, atol=1e-4, rtol=1e-4)
    lengths = layer[0].weight.flatten(1).norm(dim=1), layer[1].weight.flatten(1).norm(dim=0)
    torch.testing.assert_close(*lengths)


def test_balancing_bears_channels_that_are_switched_off() -> None:
    layer, x = separable(4, 3), torch.randn(1, 4, 5, 5)
    with torch.no_grad():
        layer[0].weight[0] = 0
        layer[1].weight[:, 1] = 0
        layer[0].weight[2] *= 1e6
    before = layer(x)
    balance(layer)
    assert all(parameter.isfinite().all() for parameter in layer.parameters())
    torch.testing.assert_close(layer(x), before, atol=1e-3, rtol=1e-4)


@torch.no_grad()
def test_guesses_and_offsets_of_the_file_are_y_before_x(file: Path, arrays: Arrays) -> None:
    """The file's head gives y, x of each keypoint; ours is read as x, y."""
    model = build()
    load_movenet(model, file)
    selection = model.query_selection
    assert isinstance(selection, PeakSelection)
    x = torch.randn(1, 24, 5, 5)
    for theirs, head in (
        ('kpt_regress', selection.guess_head),
        ('kpt_offset', selection.offset_head),
    ):
        assert isinstance(head, HeatHead)
        hidden = head.pointwise(head.depthwise(x)).relu()
        weight, bias = (
            torch.from_numpy(arrays[f'head.{theirs}.out.{part}']) for part in ('weight', 'bias')
        )
        y_x = nn.functional.conv2d(hidden, weight, bias).unflatten(1, (17, 2))
        torch.testing.assert_close(head(x).unflatten(1, (17, 2)), y_x.flip(2))


def test_a_network_without_pyramid_takes_the_trunk_alone(
    make_tiny_model: Callable[..., PaveNet], file: Path, arrays: Arrays
) -> None:
    plain = make_tiny_model(1, backbone='mobilenetv2_150')
    neck = {name: value.clone() for name, value in plain.neck.state_dict().items()}
    load_movenet(plain, file)
    stem = plain.backbone.trunk.conv_stem.weight
    assert torch.equal(stem, torch.from_numpy(arrays['stem.conv.weight']))
    assert all(torch.equal(value, neck[n]) for n, value in plain.neck.state_dict().items())


def test_another_network_s_file_is_refused(arrays: Arrays, tmp_path: Path) -> None:
    np.savez(tmp_path / 'short.npz', **{k: v for k, v in arrays.items() if 'stem' not in k})
    with pytest.raises(ValueError, match='has 50 trunk layers, the trunk 51'):
        load_movenet(build(), tmp_path / 'short.npz')
