"""From a trained network to a bundle: three graphs, each proven against torch."""

import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime as ort
import torch
from torch import Tensor, nn
from torch.export import Dim

from pavenet_core import __version__
from pavenet_core.bundle import (
    KEY_FEATURES,
    BundleError,
    BundleMetadata,
    save_metadata,
    value_names,
)
from pavenet_core.config import ModelConfig
from pavenet_core.model import PaveNet
from pavenet_core.model.query_selection import Queries

OPSET = 20
TOLERANCE = 1e-3  # largest difference from torch, relative to the tensor's largest value
PEOPLE = 7  # the joint decoder's example; the exported graph takes any number

Shapes = dict[str, Any]


class SpatialEncoderGraph(nn.Module):
    """One stored picture to all that later windows need of it."""

    def __init__(self, model: PaveNet) -> None:
        super().__init__()
        self.model = model

    def forward(self, image: Tensor, valid_size: Tensor) -> tuple[Tensor, ...]:
        """Return query, reference poses, valid ratios, then the value maps of both decoders."""
        model = self.model
        memory = model.encode(model.normalise(image, valid_size), valid_size)
        _, queries = model.query_selection(memory)
        values = [
            value
            for decoder in (model.pose_decoder, model.joint_decoder)
            for levels in model.frame_values(decoder, memory)
            for value in levels
        ]
        return (queries.query, queries.reference_poses, memory.valid_ratios, *values)


class PoseDecoderGraph(nn.Module):
    """The key frame's queries and the window's values to scores and poses."""

    def __init__(self, model: PaveNet) -> None:
        super().__init__()
        self.model = model

    def forward(
        self, query: Tensor, reference_poses: Tensor, valid_ratios: Tensor, values: list[Tensor]
    ) -> tuple[Tensor, Tensor]:
        """Return scores (1, Q) and the poses of all frames (1, T, Q, K, 2)."""
        decoder, config = self.model.pose_decoder, self.model.config
        grouped = by_layer(values, config.num_frames, config.pose_layers)
        layers, poses = decoder(Queries(query, reference_poses), grouped, valid_ratios)
        return layers[-1].class_logits.sigmoid(), poses


class JointDecoderGraph(nn.Module):
    """The chosen people's poses and the window's values to keypoints."""

    def __init__(self, model: PaveNet) -> None:
        super().__init__()
        self.model = model

    def forward(
        self, poses: Tensor, valid_ratios: Tensor, values: list[Tensor]
    ) -> tuple[Tensor, Tensor]:
        """Return keypoints and sigmas, both (1, P, K, 2)."""
        decoder, config = self.model.joint_decoder, self.model.config
        grouped = by_layer(values, config.num_frames, config.joint_layers)
        ratios = valid_ratios[:, None].expand(-1, config.num_frames, -1, -1)
        last = decoder(poses, grouped, ratios)[-1]
        return last.keypoints, last.sigmas


def by_layer(values: Sequence[Tensor], frames: int, layers: int) -> list[list[Tensor]]:
    """Regroup value maps given frame by frame, layer by layer: per layer the T*L maps."""
    levels = len(values) // (frames * layers)
    return [
        [
            values[(frame * layers + layer) * levels + level]
            for frame in range(frames)
            for level in range(levels)
        ]
        for layer in range(layers)
    ]


@dataclass(frozen=True)
class Graph:
    """A block to export: its example tensors by position, their names and free sizes."""

    name: str
    block: nn.Module
    inputs: tuple[Any, ...]
    input_names: list[str]
    output_names: list[str]
    dynamic_shapes: tuple[Any, ...]


def export_bundle(
    model: PaveNet,
    path: Path,
    *,
    frame_interval_s: float = 0.04,
    facts: Mapping[str, Any] | None = None,
) -> BundleMetadata:
    """
    Write a network as a bundle folder.

    facts  further fields of `BundleMetadata`: licence, training, accuracy

    Every graph is run by onnxruntime on pictures of two other sizes and compared with torch;
    `BundleError` if any number is off by more than `TOLERANCE`.
    """
    model = model.eval()
    metadata = describe(model.config, frame_interval_s, facts or {})
    path.mkdir(parents=True, exist_ok=True)
    small, wide = example_graphs(model, metadata, (256, 320)), (384, 256)
    with torch.inference_mode():
        other = example_graphs(model, metadata, wide)
    for graph, check in zip(small, other, strict=True):
        file = path / f'{graph.name}.onnx'
        write_graph(graph, file)
        for example in (graph, check):
            compare(example, file)
    save_metadata(path, metadata)
    return metadata


def describe(
    config: ModelConfig, frame_interval_s: float, facts: Mapping[str, Any]
) -> BundleMetadata:
    """Collect what the runtime must know of a network."""
    return BundleMetadata(
        name=config.name,
        version=__version__,
        skeleton=config.skeleton,
        num_frames=config.num_frames,
        input_long_side=config.input_long_side,
        input_alignment=config.input_alignment,
        num_levels=config.num_levels,
        num_pose_layers=config.pose_layers,
        num_joint_layers=config.joint_layers,
        max_people=config.num_queries,
        postprocess=config.postprocess,
        frame_interval_s=frame_interval_s,
        **facts,
    )


@torch.no_grad()
def example_graphs(model: PaveNet, metadata: BundleMetadata, size: tuple[int, int]) -> list[Graph]:
    """Run the network block by block on noise, so that each graph has true inputs."""
    frames = metadata.num_frames
    noise = torch.Generator().manual_seed(0)
    images = torch.randint(0, 256, (frames, *size, 3), generator=noise, dtype=torch.uint8)
    valid = torch.tensor([[size[0] - 20.0, size[1] - 10.0]])
    names = {kind: value_names(kind, metadata) for kind in ('pose', 'joint')}
    encoder = SpatialEncoderGraph(model)
    encoded = [encoder(image[None], valid) for image in images]
    keys = encoded[metadata.key_frame][: len(KEY_FEATURES)]
    split = len(KEY_FEATURES) + len(names['pose'])
    pose_values = [value for frame in encoded for value in frame[len(KEY_FEATURES) : split]]
    joint_values = [value for frame in encoded for value in frame[split:]]
    _, poses = PoseDecoderGraph(model)(*keys, pose_values)

    cells = [(Dim(f'h{i}', min=2), Dim(f'w{i}', min=2)) for i in range(metadata.num_levels)]
    free = {
        kind: [{3: h, 4: w} for _ in range(frames * layers) for h, w in cells]
        for kind, layers in (
            ('pose', metadata.num_pose_layers),
            ('joint', metadata.num_joint_layers),
        )
    }
    windows = {
        kind: [f'frame{t}.{name}' for t in range(frames) for name in names[kind]] for kind in names
    }
    step = metadata.input_alignment
    height, width = (step * Dim(f'{side}_steps', min=4, max=256) for side in ('h', 'w'))
    return [
        Graph(
            'spatial_encoder',
            encoder,
            (images[:1], valid),
            ['image', 'valid_size'],
            [*KEY_FEATURES, *names['pose'], *names['joint']],
            ({1: height, 2: width}, None),
        ),
        Graph(
            'pose_decoder',
            PoseDecoderGraph(model),
            (*keys, pose_values),
            [*KEY_FEATURES, *windows['pose']],
            ['scores', 'poses'],
            (None, None, None, free['pose']),
        ),
        Graph(
            'joint_decoder',
            JointDecoderGraph(model),
            (poses[:, :, :PEOPLE], keys[-1], joint_values),
            ['poses', 'valid_ratios', *windows['joint']],
            ['keypoints', 'sigmas'],
            ({2: Dim('people', min=1)}, None, free['joint']),
        ),
    ]


def write_graph(graph: Graph, file: Path) -> None:
    """Export one block with torch's own exporter."""
    with warnings.catch_warnings():
        warnings.simplefilter('ignore')  # of the exporter's inner workings
        program = torch.onnx.export(
            graph.block,
            graph.inputs,
            input_names=graph.input_names,
            output_names=graph.output_names,
            dynamic_shapes=graph.dynamic_shapes,
            opset_version=OPSET,
            dynamo=True,
            verbose=False,
        )
    assert program is not None
    model = program.model_proto
    forget_origin(model)
    onnx.save(model, file)


def forget_origin(model: onnx.ModelProto) -> None:
    """Drop the exporter's notes on each node: they hold source lines and paths of this machine."""
    graph = model.graph
    for part in (model, graph, *graph.node, *graph.value_info, *graph.input, *graph.output):
        del part.metadata_props[:]
    for node in graph.node:
        node.doc_string = ''


def compare(graph: Graph, file: Path) -> None:
    """Raise `BundleError` unless onnxruntime and torch agree on a graph's example."""
    with torch.inference_mode():
        expected = graph.block(*graph.inputs)
    session = ort.InferenceSession(file, providers=['CPUExecutionProvider'])
    tensors = [x for item in graph.inputs for x in (item if isinstance(item, list) else [item])]
    feed = {n: x.numpy() for n, x in zip(graph.input_names, tensors, strict=True)}
    for name, ours, theirs in zip(
        graph.output_names, expected, session.run(graph.output_names, feed), strict=True
    ):
        scale = max(1.0, float(ours.abs().max()))
        error = float(np.abs(theirs - ours.numpy()).max()) / scale
        if not error <= TOLERANCE:
            raise BundleError(
                f'{file}: {name} differs from torch by {error:.1e} of its scale, '
                f'{TOLERANCE:.0e} is allowed'
            )
