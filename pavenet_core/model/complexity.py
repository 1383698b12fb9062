"""How large a network is and what it costs to run, by module; computed without weights."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from pavenet_core.config import ModelConfig
from pavenet_core.model.joint_decoder import JointDecoder
from pavenet_core.model.pavenet import PaveNet
from pavenet_core.model.pose_decoder import PoseDecoder
from pavenet_core.model.query_selection import Queries, QuerySelection
from pavenet_core.model.spatial_encoder import Memory

MODULES = (
    'backbone',
    'neck',
    'spatial_encoder',
    'query_selection',
    'pose_decoder',
    'joint_decoder',
)
SAMPLED_CHANNEL = 5  # multiply-adds: four neighbours and the attention weight


@dataclass(frozen=True)
class Cost:
    """
    Parameters, and multiply-adds of finding the people of one key frame.

    frame    once for each frame that comes in, and kept for all windows that the frame is in
    window   once for each window
    scratch  for a window none of whose frames was seen before
    """

    parameters: int = 0
    frame: int = 0
    window: int = 0
    scratch: int = 0

    @property
    def stream(self) -> int:
        """Return the multiply-adds for each frame of a video."""
        return self.frame + self.window

    def __add__(self, other: 'Cost') -> 'Cost':
        return Cost(
            self.parameters + other.parameters,
            self.frame + other.frame,
            self.window + other.window,
            self.scratch + other.scratch,
        )


@dataclass(frozen=True)
class Complexity:
    """
    What a network costs.

    size     height, width in pixels of the pictures
    canvas   the same with padding, which is what is computed
    people   that the joint decoder refines
    modules  by name, in the order of `MODULES`
    """

    size: tuple[int, int]
    canvas: tuple[int, int]
    people: int
    modules: dict[str, Cost]

    @property
    def total(self) -> Cost:
        """Return the whole network's cost."""
        return sum(self.modules.values(), Cost())


def default_size(config: ModelConfig) -> tuple[int, int]:
    """Return the pictures that costs are stated for: 800x1333 as in the paper, otherwise 3:4."""
    side = config.input_long_side
    return (800, side) if side == 1333 else (side * 3 // 4, side)


def default_people(config: ModelConfig) -> int:
    """Return the number of people that costs are stated for."""
    return min(20, config.num_queries)


def complexity(
    config: ModelConfig, size: tuple[int, int] | None = None, people: int | None = None
) -> Complexity:
    """
    Count the parameters and multiply-adds of a network.

    size    height, width in pixels; by default `default_size`
    people  that the joint decoder refines; by default `default_people`

    Counted are convolutions, matrix products and sampling; not counted are elementwise work and
    heads that only training reads, which exported graphs leave out. Raise `ValueError` for an
    empty picture, or fewer people than one or more than queries.
    """
    size = size or default_size(config)
    people = default_people(config) if people is None else people
    if min(size) < 1:
        raise ValueError(f'height and width must be at least 1, got {size}')
    if not 1 <= people <= config.num_queries:
        raise ValueError(f'people must be 1 to {config.num_queries} (the queries), got {people}')
    step = config.input_alignment
    canvas = (-(-size[0] // step) * step, -(-size[1] // step) * step)
    with torch.device('meta'):
        model = PaveNet(config).eval().requires_grad_(False)
    costs, memory = _encoding(model, canvas)
    costs['pose_decoder'] = _pose_decoding(model, memory)
    costs['joint_decoder'] = _joint_decoding(model, memory, people)
    for name in MODULES:
        if (part := getattr(model, name)) is not None:
            costs[name] += Cost(sum(p.numel() for p in part.parameters()))
    return Complexity(size, canvas, people, costs)


def multiply_adds(function: Callable[..., Any], *inputs: Any) -> tuple[int, Any]:
    """Count the multiply-adds of a function of meta tensors, and return its result too."""
    formulas = {torch.ops.aten.grid_sampler_2d: _sampling_flops}
    with FlopCounterMode(display=False, custom_mapping=formulas) as counter:
        result = function(*inputs)
    return counter.get_total_flops() // 2, result


def _sampling_flops(maps: tuple[int, ...], grid: tuple[int, ...], *_: object, **__: object) -> int:
    """Return two FLOPs for each multiply-add: maps (N, C, h, w), grid (N, P, Q, 2)."""
    return 2 * SAMPLED_CHANNEL * maps[0] * maps[1] * grid[1] * grid[2]


def _encoding(model: PaveNet, canvas: tuple[int, int]) -> tuple[dict[str, Cost], Memory]:
    """Return the cost of all that comes before the decoders, and one frame's memory."""
    config, mixed = model.config, model.config.encoder_frames
    trunk, maps = multiply_adds(model.backbone, torch.empty(1, 3, *canvas, device='meta'))
    neck, levels = multiply_adds(model.neck, maps)
    levels = [x.repeat(mixed, 1, 1, 1) for x in levels]
    sizes = torch.empty(mixed, 2, device='meta')
    encoder, memory = multiply_adds(model.spatial_encoder, levels, sizes)
    key = memory.frame(0, mixed)
    selection, _ = multiply_adds(model.query_selection, key)
    if isinstance(model.query_selection, QuerySelection):  # the poses of tokens not chosen
        unread = [model.query_selection.keypoint_head, model.query_selection.sigma_head]
        selection -= _heads(unread, key.tokens)
    frames, kept = config.num_frames, mixed == 1
    costs = {
        'backbone': _of_frames(trunk, frames, True),
        'neck': _of_frames(neck, frames, True),
        'spatial_encoder': _of_frames(encoder // mixed, frames, kept),
        # Peaks are linked, and so wanted of every frame.
        'query_selection': _of_frames(selection, frames if model.peak_linking else 1, kept),
    }
    return costs, key


def _pose_decoding(model: PaveNet, memory: Memory) -> Cost:
    """Return the cost of the pose decoder; its values are made once for each frame."""
    decoder = model.pose_decoder
    queries = _queries(model, memory)
    values_cost, values = _window_values(model, decoder, memory)
    cost, _ = multiply_adds(decoder, queries, values, memory.valid_ratios)
    unread = [*decoder.class_heads[:-1], *decoder.sigma_heads[:-1]]
    if model.joint_decoder is not None:  # which gives spreads of its own
        unread.append(decoder.sigma_heads[-1])
    return values_cost + _of_window(cost - _heads(unread, queries.query))


def _queries(model: PaveNet, memory: Memory) -> Queries:
    if model.peak_linking is None:
        queries: Queries = model.query_selection(memory)[1]
        return queries
    linked: Queries = model.peak_linking([model.query_selection(memory)] * model.config.num_frames)
    return linked


def _joint_decoding(model: PaveNet, memory: Memory, people: int) -> Cost:
    """Return the cost of the joint decoder, if any; its values are made once for each frame."""
    decoder, keypoints = model.joint_decoder, len(model.config.skeleton)
    if decoder is None:
        return Cost()
    poses = torch.empty(1, decoder.num_frames, people, keypoints, 2, device='meta')
    ratios = memory.valid_ratios[:, None].expand(-1, decoder.num_frames, -1, -1)
    values_cost, values = _window_values(model, decoder, memory)
    cost, _ = multiply_adds(decoder, poses, values, ratios)
    cost -= _heads(decoder.sigma_heads[:-1], decoder.content.expand(people, -1, -1))
    return values_cost + _of_window(cost)


def _heads(heads: Iterable[nn.Module], features: Tensor) -> int:
    """Return the multiply-adds of heads that all read the same features."""
    return sum(multiply_adds(head, features)[0] for head in heads)


def _window_values(
    model: PaveNet, decoder: PoseDecoder | JointDecoder, memory: Memory
) -> tuple[Cost, list[list[Tensor]]]:
    """Return the cost of a decoder's values, and those of a window: per layer T*L maps."""
    one, values = multiply_adds(model.frame_values, decoder, memory)
    cost = _of_frames(one, decoder.num_frames, model.config.encoder_frames == 1)
    return cost, [levels * decoder.num_frames for levels in values]


def _of_frames(one: int, frames: int, kept: bool) -> Cost:
    """Return the cost of what is done to each of so many frames of a window, kept or not."""
    every = one * frames
    return Cost(frame=one, scratch=every) if kept else Cost(window=every, scratch=every)


def _of_window(once: int) -> Cost:
    return Cost(window=once, scratch=once)
