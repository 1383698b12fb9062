"""The operators' schemas, their shapes without data, and the gradient formula."""

from typing import Any

import torch
from torch import Tensor

ARGUMENTS = 'Tensor value, SymInt[] shapes, Tensor locations, Tensor weights, bool softmax'
FORWARD, BACKWARD = 'pavenet::deformable_attention', 'pavenet::deformable_attention_backward'

torch.library.define(FORWARD, f'({ARGUMENTS}) -> Tensor')
torch.library.define(BACKWARD, f'(Tensor upstream, {ARGUMENTS}) -> (Tensor, Tensor, Tensor)')


@torch.library.register_fake(FORWARD)
def _output_like(
    value: Tensor,
    shapes: list[int],
    locations: Tensor,
    weights: Tensor,
    softmax: bool,
) -> Tensor:
    batch, queries = locations.shape[:2]
    return value.new_empty(batch, queries, value.shape[3] * value.shape[4])


@torch.library.register_fake(BACKWARD)
def _gradients_like(
    upstream: Tensor,
    value: Tensor,
    shapes: list[int],
    locations: Tensor,
    weights: Tensor,
    softmax: bool,
) -> tuple[Tensor, Tensor, Tensor]:
    return (
        value.new_empty(value.shape),
        locations.new_empty(locations.shape),
        weights.new_empty(weights.shape),
    )


def _save(ctx: Any, inputs: tuple[Any, ...], output: Tensor) -> None:
    value, shapes, locations, weights, softmax = inputs
    ctx.save_for_backward(value, locations, weights)
    ctx.shapes, ctx.softmax = shapes, softmax


def _gradients(ctx: Any, upstream: Tensor) -> tuple[Tensor | None, ...]:
    value, locations, weights = ctx.saved_tensors
    by_value, by_locations, by_weights = torch.ops.pavenet.deformable_attention_backward(
        upstream, value, ctx.shapes, locations, weights, ctx.softmax
    )
    return by_value, None, by_locations, by_weights, None


torch.library.register_autograd(FORWARD, _gradients, setup_context=_save)
