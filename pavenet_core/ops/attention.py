"""Deformable attention on tokens: by the CUDA kernel where there is one, else by torch."""

import itertools
from collections.abc import Sequence

import torch
from torch import Tensor

from pavenet_core.ops import registration  # noqa: F401  defines torch.ops.pavenet
from pavenet_core.ops.kernel import is_available

OUTSIDE = -9.0  # of any map
MAX_SAMPLES = 512  # of a head of a query, at which every number type fits in shared memory


def deformable_attention(
    value: Tensor,
    shapes: Sequence[tuple[int, int]],
    locations: Tensor,
    weights: Tensor,
    softmax: bool = False,
) -> Tensor:
    """
    Mix values sampled bilinearly at fractional locations, zero outside the map.

    value      (B, T, S, M, c)         tokens as a linear layer leaves them, level by level
    shapes     [(h, w)] * L
    locations  (B, Q, T, M, L, P, 2)   x then y in [0, 1] of each map
    weights    (B, Q, T, M, L, P)      sum to 1 over T, L and P, or with `softmax` their logits
    returns    (B, Q, M*c)

    A location that is not a number samples nothing and has no gradient. Locations keep at least
    single precision: half precision cannot tell neighbouring pixels apart.
    """
    _, _, frames, _, levels, points, _ = locations.shape
    if not uses_kernel(value, levels, frames * levels * points):
        return by_torch(value, shapes, locations, weights, softmax)
    wide = torch.promote_types(value.dtype, torch.float32)
    if weights.dtype != value.dtype:
        weights = weights.to(wide)
    flat = list(itertools.chain.from_iterable(shapes))
    output: Tensor = torch.ops.pavenet.deformable_attention(
        value, flat, locations.to(wide), weights, softmax
    )
    return output


def uses_kernel(value: Tensor, levels: int, samples: int) -> bool:
    """
    Return whether the CUDA kernel takes these.

    value    (..., M, c)
    samples  of a head of a query, over all frames, levels and points
    """
    fits = value.shape[-1] % 8 == 0 and samples <= MAX_SAMPLES and levels <= 16
    return fits and is_on_gpu(value) and is_available()


def is_on_gpu(tensor: Tensor) -> bool:
    """Return whether a tensor is where the kernel runs."""
    return tensor.is_cuda


def by_torch(
    value: Tensor,
    shapes: Sequence[tuple[int, int]],
    locations: Tensor,
    weights: Tensor,
    softmax: bool = False,
) -> Tensor:
    """Compute the same from the model's form, which takes maps, by rearranging."""
    from pavenet_core.model.deformable_attention import deformable_attention as of_maps

    batch, frames, _, heads, _ = value.shape
    wide = torch.promote_types(value.dtype, locations.dtype)
    # (B, Q, T, M, L, P, ...) -> (B, M, T*L, P, Q, ...)
    where = locations.permute(0, 3, 2, 4, 5, 1, 6).flatten(2, 3).to(wide)
    where = where.nan_to_num(OUTSIDE, OUTSIDE, OUTSIDE)
    shares = weights.permute(0, 3, 2, 4, 5, 1).flatten(2, 3).to(wide)
    if softmax:
        shares = shares.flatten(2, 3).softmax(2).view(shares.shape)
    levels = value.to(wide).split([height * width for height, width in shapes], 2)
    maps = [
        levels[level][:, frame].permute(0, 2, 3, 1).reshape(batch, heads, -1, *shape)
        for frame in range(frames)
        for level, shape in enumerate(shapes)
    ]
    return of_maps(maps, where, shares).to(value.dtype)
