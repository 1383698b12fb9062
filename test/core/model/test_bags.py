"""The second form of the operator gives what the first does, where it is meant to stand in."""

import pytest
import torch

from pavenet_core.model import deformable_attention as module
from pavenet_core.model.bags import CHUNK, mix_by_bags
from pavenet_core.model.deformable_attention import deformable_attention

SHAPES = ((9, 7), (4, 5), (1, 1))
BATCH, HEADS, CHANNELS, POINTS = 2, 3, 8, 2


def call(
    queries: int, dtype: torch.dtype = torch.float64
) -> tuple[list[torch.Tensor], torch.Tensor, torch.Tensor]:
    """Draw one call; a part of the locations is outside the maps."""
    torch.manual_seed(0)
    grid = (BATCH, HEADS, len(SHAPES), POINTS, queries)
    values = [torch.randn(BATCH, HEADS, CHANNELS, *shape, dtype=dtype) for shape in SHAPES]
    locations = torch.rand(*grid, 2, dtype=dtype) * 1.6 - 0.3
    return values, locations, torch.rand(grid, dtype=dtype)


@pytest.mark.parametrize('queries', [1, 5, CHUNK, CHUNK + 3])
def test_bags_equal_samples(queries: int) -> None:
    values, locations, weights = call(queries)
    expected = deformable_attention(values, locations, weights)
    torch.testing.assert_close(mix_by_bags(values, locations, weights), expected)


def test_the_border_of_a_map_fades_alike() -> None:
    values, locations, weights = call(64)
    locations[..., 0] = torch.linspace(-0.2, 1.2, 64)
    locations[..., 1] = torch.tensor([0.0, 1.0]).repeat(32)
    expected = deformable_attention(values, locations, weights)
    torch.testing.assert_close(mix_by_bags(values, locations, weights), expected)


def test_a_location_that_is_not_a_number_samples_nothing() -> None:
    values, locations, weights = call(3)
    locations[:, :, 1, 0] = torch.nan
    without = weights.clone()
    without[:, :, 1, 0] = 0
    found = mix_by_bags(values, locations, weights)
    expected = mix_by_bags(values, locations.nan_to_num(0.5), without)
    torch.testing.assert_close(found, expected)


def test_narrow_values_are_summed_as_wide_as_the_weights() -> None:
    values, locations, weights = call(5, torch.float32)
    narrow = [value.bfloat16() for value in values]
    found = mix_by_bags(narrow, locations, weights)
    assert found.dtype == torch.float32
    expected = mix_by_bags([value.float() for value in narrow], locations, weights)
    torch.testing.assert_close(found, expected)


@pytest.mark.parametrize('gradients', [False, True])
def test_bags_are_taken_where_no_gradient_is_wanted(
    gradients: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls = []
    monkeypatch.setattr(module, 'mix_by_bags', lambda *args: calls.append(1) or args[0][0])
    with torch.set_grad_enabled(gradients):
        deformable_attention(*call(5, torch.float32))
    assert bool(calls) is not gradients
