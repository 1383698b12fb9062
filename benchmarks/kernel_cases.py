"""The sizes at which the network calls deformable attention, and inputs like its own."""

import math
from dataclasses import dataclass, replace
from typing import NamedTuple

import torch
from torch import Tensor

LARGE = ((100, 167), (50, 84), (25, 42), (13, 21))  # 800x1333, strides 8 to 64
SMALL = ((60, 80), (30, 40), (15, 20), (8, 10))  # 480x640


@dataclass(frozen=True)
class Case:
    """
    One call.

    queries    0: every token asks about its neighbourhood, as in the encoder
    scattered  locations anywhere in the picture, the worst case for caches
    """

    name: str
    shapes: tuple[tuple[int, int], ...]
    batch: int = 1
    frames: int = 3
    queries: int = 300
    points: int = 4
    heads: int = 8
    channels: int = 32
    scattered: bool = False

    @property
    def tokens(self) -> int:
        """Return the tokens of a frame."""
        return sum(height * width for height, width in self.shapes)

    @property
    def samples(self) -> int:
        """Return how many samples are taken in all."""
        queries = self.queries or self.tokens
        per_head = self.frames * len(self.shapes) * self.points
        return self.batch * queries * self.heads * per_head


class Inputs(NamedTuple):
    """Arguments of `pavenet_core.ops.deformable_attention`, and an output gradient."""

    value: Tensor
    locations: Tensor
    weights: Tensor
    upstream: Tensor


def cases(dry_run: bool) -> list[Case]:
    """Return the encoder's and the decoders' calls for windows of three frames."""
    if dry_run:
        tiny = ((4, 6), (2, 3))
        return [
            Case('encoder tiny', tiny, batch=3, frames=1, queries=0, heads=2, channels=8),
            Case('pose decoder tiny', tiny, queries=5, points=3, heads=2, channels=8),
        ]
    found = []
    for size, shapes in (('800x1333', LARGE), ('480x640', SMALL)):
        encoder = Case(f'encoder {size}', shapes, batch=3, frames=1, queries=0)
        found += [
            encoder,
            Case(f'pose decoder {size}', shapes, points=15),
            Case(f'joint decoder {size}', shapes),  # 20 people of 15 keypoints
        ]
    scattered = replace(found[0], name='encoder 800x1333, scattered', scattered=True)
    return [*found, scattered]


def draw(case: Case, dtype: torch.dtype, device: str, seed: int = 0) -> Inputs:
    """Draw values, locations, softmaxed weights; locations keep at least single precision."""
    generator = torch.Generator(device).manual_seed(seed)
    wide = torch.promote_types(dtype, torch.float32)
    queries, levels = case.queries or case.tokens, len(case.shapes)
    sampled = (case.batch, queries, case.frames, case.heads, levels, case.points)

    def normal(*size: int) -> Tensor:
        return torch.randn(size, generator=generator, device=device)

    cells = torch.tensor(case.shapes, device=device, dtype=torch.float32).flip(1)  # width, height
    if case.scattered:
        locations = torch.rand(*sampled, 2, generator=generator, device=device)
    elif case.queries:  # a person of a tenth to a half of the picture
        centre = torch.rand(case.batch, queries, 1, 1, 1, 1, 2, generator=generator, device=device)
        extent = 0.1 + 0.4 * torch.rand(centre.shape, generator=generator, device=device)
        locations = centre + 0.5 * extent * normal(*sampled, 2)
    else:
        steps = _directions(case, device) + 0.5 * normal(*sampled, 2)
        locations = _centres(case, device)[None, :, None, None, None, None]
        locations = locations + steps / cells[:, None]
    weights = normal(*sampled).transpose(2, 3).flatten(3).softmax(3)
    weights = weights.view(*sampled[:2], case.heads, case.frames, levels, -1).transpose(2, 3)
    return Inputs(
        normal(case.batch, case.frames, case.tokens, case.heads, case.channels).to(dtype),
        locations.to(wide),
        weights.to(dtype).contiguous(),
        normal(case.batch, queries, case.heads * case.channels).to(dtype),
    )


def compulsory_bytes(case: Case, element: int) -> dict[str, int]:
    """
    Count what forward and backward move at least: every input read, every output written once.

    `gather` is what the threads ask for: four corners of every sample, most of it from caches.
    """
    value = case.batch * case.frames * case.tokens * case.heads * case.channels * element
    output = case.batch * (case.queries or case.tokens) * case.heads * case.channels * element
    wide = max(element, 4)
    sampled = case.samples * (2 * wide + element)
    return {
        'forward': value + sampled + output,
        'backward': 2 * (value + sampled) + output,
        'gather': 4 * case.samples * case.channels * element,
    }


def _centres(case: Case, device: str) -> Tensor:
    """Return (S, 2): each token's centre in [0, 1], x then y."""
    centres = []
    for height, width in case.shapes:
        y = (torch.arange(height, device=device) + 0.5) / height
        x = (torch.arange(width, device=device) + 0.5) / width
        centres.append(torch.stack(torch.meshgrid(x, y, indexing='xy'), 2).flatten(0, 1))
    return torch.cat(centres)


def _directions(case: Case, device: str) -> Tensor:
    """Return (M, 1, P, 2): each head's direction, point p at p+1 cells."""
    angle = torch.arange(case.heads, device=device) * (2 * math.pi / case.heads)
    direction = torch.stack([angle.cos(), angle.sin()], 1)
    steps = torch.arange(1, case.points + 1, device=device)[:, None]
    return (direction[:, None] * steps)[:, None]
