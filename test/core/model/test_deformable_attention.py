"""The one operator against its definition, value by value."""

import math

import numpy as np
import pytest
import torch

from pavenet_core.model.deformable_attention import DeformableAttention, deformable_attention

SHAPES = ((4, 5), (2, 3), (1, 1))
SCALE = torch.full((1, 1, 1, 1, 1, 2), 0.1)
BATCH, HEADS, CHANNELS, POINTS, QUERIES = 2, 3, 4, 2, 5


def sample(value: np.ndarray, x: float, y: float) -> np.ndarray:
    """Interpolate a map (c, h, w) at shares of its width and height; nothing outside."""
    height, width = value.shape[1:]
    column, row = x * width - 0.5, y * height - 0.5
    mixed = np.zeros(len(value))
    for i in (math.floor(row), math.floor(row) + 1):
        for j in (math.floor(column), math.floor(column) + 1):
            if 0 <= i < height and 0 <= j < width:
                mixed += (1 - abs(row - i)) * (1 - abs(column - j)) * value[:, i, j]
    return mixed


@pytest.fixture
def values() -> list[torch.Tensor]:
    torch.manual_seed(0)
    return [torch.randn(BATCH, HEADS, CHANNELS, *shape).double() for shape in SHAPES]


def test_it_is_the_weighted_sum_of_bilinear_samples(values: list[torch.Tensor]) -> None:
    grid = (BATCH, HEADS, len(SHAPES), POINTS, QUERIES)
    locations = torch.rand(*grid, 2).double() * 1.6 - 0.3  # some outside
    weights = torch.randn(grid).double()
    ours = deformable_attention(values, locations, weights)
    for b, q in np.ndindex(BATCH, QUERIES):
        expected = np.zeros((HEADS, CHANNELS))
        for m, g, p in np.ndindex(HEADS, len(SHAPES), POINTS):
            where = locations[b, m, g, p, q].tolist()
            weight = float(weights[b, m, g, p, q])
            expected[m] += weight * sample(values[g][b, m].numpy(), *where)
        np.testing.assert_allclose(ours[b, q], expected.ravel(), atol=1e-9)


@pytest.fixture
def attention() -> DeformableAttention:
    """Make one of two frames, each with the levels of `SHAPES`."""
    torch.manual_seed(1)
    module = DeformableAttention(HEADS * CHANNELS, HEADS, 2, len(SHAPES), POINTS)
    for parameter in module.parameters():
        torch.nn.init.normal_(parameter, std=0.5)
    return module.double()


def frames_of(attention: DeformableAttention) -> list[torch.Tensor]:
    torch.manual_seed(2)
    tokens = sum(h * w for h, w in SHAPES)
    memory = torch.randn(2, BATCH, tokens, HEADS * CHANNELS).double()
    return [value for frame in memory for value in attention.project(frame, list(SHAPES))]


def test_one_softmax_spans_frames_levels_and_points(attention: DeformableAttention) -> None:
    """With equal values everywhere, weights that sum to one give that value back."""
    ones = [torch.ones(BATCH, HEADS, CHANNELS, 9, 9).double() for _ in range(2 * len(SHAPES))]
    query = torch.randn(BATCH, QUERIES, HEADS * CHANNELS).double()
    anchors = torch.full((BATCH, QUERIES, 2, 1, 1, 2), 0.5).double()
    mixed = attention(query, anchors, 0.1 * SCALE.double(), ones)
    expected = attention.output_proj(torch.ones_like(query))
    torch.testing.assert_close(mixed, expected)


def test_large_logits_stay_finite(attention: DeformableAttention) -> None:
    """The authors exponentiate the logits as they are, which overflows beyond 88."""
    torch.nn.init.constant_(attention.attention_weights.bias, 200.0)
    values = [value.float() for value in frames_of(attention)]
    attention = attention.float()
    query = torch.randn(BATCH, QUERIES, HEADS * CHANNELS)
    anchors = torch.full((BATCH, QUERIES, 2, 1, 1, 2), 0.5)
    assert attention(query, anchors, SCALE, values).isfinite().all()


def test_frames_have_offsets_and_weights_of_their_own(attention: DeformableAttention) -> None:
    values = frames_of(attention)
    query = torch.randn(BATCH, QUERIES, HEADS * CHANNELS).double()
    anchors = torch.rand(BATCH, QUERIES, 2, 1, 1, 2).double()
    scales = 2 * SCALE.double()
    before = attention(query, anchors, scales, values)
    swapped = attention(query, anchors.flip(2), scales, [*values[3:], *values[:3]])
    assert not torch.allclose(before, swapped)
    for layer in (attention.sampling_offsets, attention.attention_weights):
        for parameter in (layer.weight, layer.bias):
            first, second = parameter.data.chunk(2)
            parameter.data = torch.cat([second, first])
    swapped = attention(query, anchors.flip(2), scales, [*values[3:], *values[:3]])
    torch.testing.assert_close(swapped, before)


def test_padding_has_no_value(attention: DeformableAttention) -> None:
    tokens = sum(h * w for h, w in SHAPES)
    memory = torch.randn(1, tokens, HEADS * CHANNELS).double()
    padding = torch.zeros(1, tokens, dtype=torch.bool)
    padding[0, 3] = True
    finest = attention.project(memory, list(SHAPES), padding)[0]
    assert not finest[0, :, :, 0, 3].any()
    assert finest[0, :, :, 0, 2].any()


def test_the_ring_looks_in_all_directions() -> None:
    attention = DeformableAttention(32, 8, 1, 1, 2)
    attention.ring_bias()
    steps = attention.sampling_offsets.bias.detach().view(8, 2, 2)
    angles = torch.atan2(steps[:, 0, 1], steps[:, 0, 0]) % (2 * math.pi)
    torch.testing.assert_close(angles, torch.arange(8) * math.pi / 4)
    torch.testing.assert_close(steps[:, 1], 2 * steps[:, 0])
    torch.testing.assert_close(steps[:, 0].abs().amax(1), torch.ones(8))
