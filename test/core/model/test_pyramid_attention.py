"""Sampling first and projecting after equals the other order."""

import pytest
import torch
from torch import Tensor

from pavenet_core.model.deformable_attention import DeformableAttention
from pavenet_core.model.pyramid_attention import PyramidAttention

BATCH, QUERIES, POINTS, CHANNELS, HEADS = 2, 5, 4, 32, 4
SIZES = {24: (12, 10), 32: (6, 5), 64: (3, 7)}  # of a level, by its channels


def attention(frames: int, channels_in: list[int]) -> PyramidAttention:
    torch.manual_seed(0)
    layer = PyramidAttention(CHANNELS, HEADS, frames, POINTS, channels_in).double()
    for parameter in layer.parameters():
        torch.nn.init.normal_(parameter, std=0.3)
    return layer


def inputs(frames: int, levels: list[int]) -> dict[str, Tensor | list[Tensor]]:
    noise = torch.Generator().manual_seed(1)

    def draw(*shape: int) -> Tensor:
        return torch.randn(*shape, generator=noise, dtype=torch.float64)

    return {
        'query': draw(BATCH, QUERIES, CHANNELS),
        'anchors': draw(BATCH, QUERIES, frames, len(levels), POINTS, 2).sigmoid(),
        'scales': draw(BATCH, QUERIES, frames, len(levels), 1, 2).sigmoid(),
        'values': [draw(BATCH, c, *SIZES[c]) for _ in range(frames) for c in levels],
    }


def projected_first(layer: PyramidAttention, given: dict) -> Tensor:
    """Do what the textbook does: values of every head for every cell, then sample."""
    frames, heads, levels, points = layer.shape
    plain = DeformableAttention(CHANNELS, heads, frames, levels, points).double()
    shared = {k: v for k, v in layer.state_dict().items() if not k.startswith('level_')}
    plain.load_state_dict(shared | {k: v for k, v in plain.state_dict().items() if 'value' in k})
    values = [
        layer.level_projections[index % levels](x.movedim(1, -1))
        .unflatten(-1, (heads, -1))
        .permute(0, 3, 4, 1, 2)
        for index, x in enumerate(given['values'])
    ]
    return plain(given['query'], given['anchors'], given['scales'], values)


@pytest.mark.parametrize('frames', [1, 3])
@pytest.mark.parametrize('levels', [[24], [24, 32, 64], [32, 64, 32, 64]])
def test_equals_projecting_the_maps_first(frames: int, levels: list[int]) -> None:
    layer, given = attention(frames, levels), inputs(frames, levels)
    mixed = layer(**given)
    assert mixed.shape == (BATCH, QUERIES, CHANNELS)
    torch.testing.assert_close(mixed, projected_first(layer, given))


def test_gradients_are_those_of_projecting_first() -> None:
    layer, given = attention(3, [24, 64]), inputs(3, [24, 64])
    leaves = [*given['values'], given['query'], given['anchors']]
    for leaf in leaves:
        leaf.requires_grad_()
    leaves += list(layer.level_projections.parameters())
    after = torch.autograd.grad(layer(**given).square().sum(), leaves)
    first = torch.autograd.grad(projected_first(layer, given).square().sum(), leaves)
    for ours, theirs in zip(after, first, strict=True):
        assert theirs.abs().max() > 0
        torch.testing.assert_close(ours, theirs)


def test_there_are_no_values_to_project_beforehand() -> None:
    names = {name.split('.')[0] for name, _ in attention(1, [24]).named_parameters()}
    assert names == {'sampling_offsets', 'attention_weights', 'level_projections', 'output_proj'}
