"""Write the graphs, and prove each against torch."""

import copy
import math
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime as ort
import torch
from numpy.typing import NDArray

from pavenet_core import __version__
from pavenet_core.bundle import BundleError, BundleMetadata, save_metadata
from pavenet_core.config import ModelConfig
from pavenet_core.export.blocks import decoders
from pavenet_core.export.fold import fold_batch_norms
from pavenet_core.export.graphs import Graph, example_graphs
from pavenet_core.export.quiet import quiet
from pavenet_core.model import PaveNet

OPSET = 20
MIN_ALIGNMENT = 32
FACTS = ('licence', 'training', 'accuracy')
QUERIES = ('query', 'reference_poses', 'logits', 'warmth')
SURE = 0.9  # share of the queries that must agree
RANKED = {'poses': 2, 'sigmas': 1}  # of people by rank, and the axis of these
TOLERANCE = 1e-3  # largest difference from torch, relative to the tensor's largest value


def export_bundle(
    model: PaveNet,
    path: Path,
    *,
    frame_interval_s: float = 0.04,
    facts: Mapping[str, Any] | None = None,
) -> BundleMetadata:
    """
    Write a network as a bundle folder.

    facts  further fields of `BundleMetadata`, of `FACTS`

    The network stays as it is; it may be in training, or on a GPU. Every graph is run by
    onnxruntime on pictures of two other sizes and compared with torch; `BundleError` if any number
    is off by more than `TOLERANCE`.
    """
    decoders(model)  # refuses a network that cannot be exported
    model = copy.deepcopy(model).cpu().eval()
    if model.config.scales > 1:
        fold_batch_norms(model.backbone.trunk)
    # Of unaligned sizes the exporter cannot prove that a level's size follows from the picture's.
    alignment = max(model.config.input_alignment, MIN_ALIGNMENT)
    model.config = replace(model.config, input_alignment=alignment)
    metadata = describe(model.config, frame_interval_s, facts or {})
    path.mkdir(parents=True, exist_ok=True)
    (path / 'metadata.json').unlink(missing_ok=True)  # an older bundle's, lest it vouch for these
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
    """Collect what the runtime must know of a network; `ValueError` for facts unknown to it."""
    if unknown := sorted(set(facts) - set(FACTS)):
        raise ValueError(f'facts of a bundle are {", ".join(FACTS)}; got also {unknown}')
    if not 0 < frame_interval_s < math.inf:
        raise ValueError(
            f'the frame interval must be above 0 seconds and finite, got {frame_interval_s}'
        )
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
        pyramid=config.pyramid,
        pose_levels=config.pose_levels,
        joint_levels=config.joint_levels,
        **facts,
    )


def write_graph(graph: Graph, file: Path) -> None:
    """Export one block with torch's own exporter."""
    with quiet():
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
        error = disagreement(name, ours.numpy(), theirs)
        if not error <= TOLERANCE:
            raise BundleError(
                f'{file}: {name} differs from torch by {error:.1e} of its scale, '
                f'{TOLERANCE:.0e} is allowed'
            )


def disagreement(name: str, ours: NDArray[Any], theirs: NDArray[Any]) -> float:
    """Return the largest difference of an output (N, ...), as a share of its largest value."""
    if name in QUERIES:
        # Of tokens, or cells, that are equal but for rounding another may be taken, and all after
        # it change places: each is compared with whoever is nearest.
        difference = np.quantile(to_nearest(ours, theirs), SURE)
    elif name in RANKED:
        # Two that are as good as equal may change places.
        difference = to_nearest(*(np.moveaxis(x, RANKED[name], 1) for x in (ours, theirs))).max()
    else:
        difference = np.abs(theirs - ours).max()
    return float(difference / max(1.0, np.abs(ours).max()))


def to_nearest(ours: NDArray[Any], theirs: NDArray[Any]) -> NDArray[Any]:
    """Return (B, Q) how far each of ours (B, Q, ...) is from the nearest of theirs."""
    pairs = zip(*(x.reshape(*x.shape[:2], -1) for x in (ours, theirs)), strict=True)
    return np.stack([np.abs(a[:, None] - b).max(2).min(1) for a, b in pairs])
