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
    names = {kind: value_names(kind, metadata) for kind in ('pose', 'joint')}
    windows = {
        kind: [f'frame{t}.{name}' for t in range(metadata.num_frames) for name in names[kind]]
        for kind in names
    }
    batch = Dim('batch', min=1)
    cells = [(Dim(f'h{i}', min=2), Dim(f'w{i}', min=2)) for i in range(metadata.num_levels)]
    free = {}
    for kind, values in example.values.items():
        if not values:
            continue
        chosen = [cells[level] for level in model.config.levels(kind)]
        rows = values[0].ndim - 2
        free[kind] = [
            {0: batch, rows: h, rows + 1: w}
            for _ in range(len(values) // len(chosen))
            for h, w in chosen
        ]
    step = metadata.input_alignment
    height, width = (step * Dim(f'{side}_steps', min=4, max=256) for side in ('h', 'w'))
    graphs = [
        Graph(
            'spatial_encoder',
            SpatialEncoderGraph(model),
            (example.images, example.valid_sizes),
            ['image', 'valid_size'],
            encoder_names(metadata),
            ({0: batch, 1: height, 2: width}, {0: batch}),
        ),
        Graph(
            'pose_decoder',
            PoseDecoderGraph(model),
            (example.keys, example.values['pose']),
            [*(name for name, _, _ in query_inputs(metadata)), *windows['pose']],
            pose_decoder_outputs(metadata),
            ([{0: batch} for _ in example.keys], free['pose']),
        ),
    ]
    if model.joint_decoder is not None:
        graphs.append(
            Graph(
                'joint_decoder',
                JointDecoderGraph(model),
                (example.poses[:, :, :PEOPLE], example.valid_ratios, example.values['joint']),
                ['poses', 'valid_ratios', *windows['joint']],
                ['keypoints', 'sigmas'],
                ({0: batch, 2: Dim('people', min=1)}, {0: batch}, free['joint']),
            )
        )
    return graphs
