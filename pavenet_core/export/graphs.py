"""What is exported: each block with its example tensors, names and free sizes."""

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.export import Dim

from pavenet_core.bundle import (
    BundleMetadata,
    encoder_names,
    pose_decoder_outputs,
    query_inputs,
    value_names,
)
from pavenet_core.export.blocks import JointDecoderGraph, PoseDecoderGraph, SpatialEncoderGraph
from pavenet_core.model import PaveNet

BATCH, PEOPLE = 2, 7  # of the examples; the exported graphs take any number
ANY_BATCH = {0: Dim('batch', min=1)}


@dataclass(frozen=True)
class Graph:
    """A block to export: its example tensors by position, their names and free sizes."""

    name: str
    block: nn.Module
    inputs: tuple[Any, ...]
    input_names: list[str]
    output_names: list[str]
    dynamic_shapes: tuple[Any, ...]


@dataclass(frozen=True)
class Example:
    """
    What the network says of noise, block by block, so that each graph has true inputs.

    keys    of the key frame or each frame, as `query_inputs` lists them
    values  of 'pose' and 'joint', frame by frame as the decoders take them
    """

    images: Tensor
    valid_sizes: Tensor
    keys: list[Tensor]
    values: dict[str, list[Tensor]]
    poses: Tensor
    valid_ratios: Tensor


@torch.no_grad()
def run_example(model: PaveNet, metadata: BundleMetadata, size: tuple[int, int]) -> Example:
    """Run windows of noise pictures of this height and width through the network's blocks."""
    noise = torch.Generator().manual_seed(0)
    shape = (metadata.num_frames, BATCH, *size, 3)
    frames = torch.randint(0, 256, shape, generator=noise, dtype=torch.uint8)
    margin = metadata.input_alignment - 1
    valid = torch.tensor([[size[0] - margin, size[1] - margin // 2]] * BATCH)
    valid = valid.to(torch.float32)
    encoded = [
        dict(zip(encoder_names(metadata), SpatialEncoderGraph(model)(images, valid), strict=True))
        for images in frames
    ]
    keys = [encoded[frame][name] for _, frame, name in query_inputs(metadata)]
    values = {
        kind: [frame[name] for frame in encoded for name in value_names(kind, metadata)]
        for kind in ('pose', 'joint')
    }
    _, poses, *_ = PoseDecoderGraph(model)(keys, values['pose'])
    ratios = encoded[metadata.key_frame]['valid_ratios']
    return Example(frames[0], valid, keys, values, poses, ratios)


def example_graphs(model: PaveNet, metadata: BundleMetadata, size: tuple[int, int]) -> list[Graph]:
    """Return the blocks with their example tensors, names and free sizes."""
    example = run_example(model, metadata, size)
    step = metadata.input_alignment
    height, width = (step * Dim(f'{side}_steps', min=4, max=256) for side in ('h', 'w'))
    encoder = Graph(
        'spatial_encoder',
        SpatialEncoderGraph(model),
        (example.images, example.valid_sizes),
        ['image', 'valid_size'],
        encoder_names(metadata),
        ({**ANY_BATCH, 1: height, 2: width}, ANY_BATCH),
    )
    names, free = _value_maps('pose', model, metadata, example)
    poser = Graph(
        'pose_decoder',
        PoseDecoderGraph(model),
        (example.keys, example.values['pose']),
        [*(name for name, _, _ in query_inputs(metadata)), *names],
        pose_decoder_outputs(metadata),
        ([ANY_BATCH for _ in example.keys], free),
    )
    if model.joint_decoder is None:
        return [encoder, poser]
    names, free = _value_maps('joint', model, metadata, example)
    jointer = Graph(
        'joint_decoder',
        JointDecoderGraph(model),
        (example.poses[:, :, :PEOPLE], example.valid_ratios, example.values['joint']),
        ['poses', 'valid_ratios', *names],
        ['keypoints', 'sigmas'],
        ({**ANY_BATCH, 2: Dim('people', min=1)}, ANY_BATCH, free),
    )
    return [encoder, poser, jointer]


def _value_maps(
    kind: str, model: PaveNet, metadata: BundleMetadata, example: Example
) -> tuple[list[str], list[dict[int, Any]]]:
    """Return the names of a window's value maps as a decoder takes them, and their free sizes."""
    each = value_names(kind, metadata)
    names = [f'frame{t}.{name}' for t in range(metadata.num_frames) for name in each]
    rows = example.values[kind][0].ndim - 2
    levels = [
        {**ANY_BATCH, rows: Dim(f'h{level}', min=2), rows + 1: Dim(f'w{level}', min=2)}
        for level in model.config.levels(kind)
    ]
    return names, levels * (len(names) // len(levels))
