"""A bundle in fewer bits: int8 for CPUs, fp16 for GPUs, the heads and all geometry in float32."""

import shutil
from collections.abc import Callable, Iterable
from dataclasses import replace
from pathlib import Path
from typing import Any

import onnx
from numpy.typing import NDArray
from onnxruntime.quantization import CalibrationDataReader, QuantType, quantize_static

from pavenet_core.bundle import Bundle, BundleMetadata, save_metadata
from pavenet_core.export.halve import halve
from pavenet_core.export.quiet import quiet
from pavenet_core.runtime.preprocess import ImageFitter

# What is worth it; in int8 linear layers were not (docs/quantisation.md).
INT8_SEEDS = frozenset({'Conv'})
FP16_SEEDS = frozenset({'Conv', 'Gemm', 'MatMul'})
# What joins or cuts off their results. Without the clips, ranges would be those of before them.
JOINING = frozenset({'Add', 'Clip', 'MaxPool', 'Relu'})

Image = NDArray[Any]


def quantise_to_int8(
    bundle: Bundle, images: Iterable[Image], path: Path, on_image: Callable[[], object]
) -> BundleMetadata:
    """
    Write the bundle anew, the convolutions of its spatial encoder in int8.

    Of a pyramid only those of the trunk: its narrow maps of stride 4 lose much and gain nothing.

    images    (h, w, 3) uint8 BGR, of any size: what the robot will see
    on_image  called after each

    Raise `ValueError` if it is not of float32, has no convolution, or the path lies in it.
    """
    _check(bundle, path)
    source = bundle.graph('spatial_encoder')
    within = 'backbone' if bundle.metadata.pyramid else ''
    nodes = nodes_to_shrink(onnx.load(source).graph, INT8_SEEDS, within)
    if not nodes:
        raise ValueError(f'{source} has no convolution, so int8 would change nothing')
    path.mkdir(parents=True, exist_ok=True)
    with quiet():  # of its advice to prepare the graph, which torch has done
        quantize_static(
            source,
            path / source.name,
            _Calibration(bundle.metadata, images, on_image),
            op_types_to_quantize=[*INT8_SEEDS, *JOINING],
            nodes_to_quantize=nodes,
            per_channel=True,
            activation_type=QuantType.QUInt8,
            weight_type=QuantType.QInt8,
        )
    spare_pooling(path / source.name)
    return _complete(bundle, path, 'int8', [source.name])


def convert_to_fp16(bundle: Bundle, path: Path) -> BundleMetadata:
    """
    Write the bundle anew, convolutions and linear layers in fp16.

    Inputs and outputs stay float32, and so do coordinates and scores: close to 1 the steps of
    fp16 are 1/2048 of the picture.
    """
    _check(bundle, path)
    path.mkdir(parents=True, exist_ok=True)
    for name in bundle.metadata.graphs:
        model = onnx.load(bundle.graph(name))
        halve(model.graph, nodes_to_shrink(model.graph, FP16_SEEDS))
        onnx.save(model, path / f'{name}.onnx')
    return _complete(bundle, path, 'fp16', [f'{name}.onnx' for name in bundle.metadata.graphs])


def nodes_to_shrink(graph: onnx.GraphProto, seeds: frozenset[str], within: str = '') -> list[str]:
    """
    Return the nodes of these kinds, and those that only join or cut off what they give.

    within  only seeds with a tensor of which this is in the name
    """
    constants = {tensor.name for tensor in graph.initializer}
    results = {output.name for output in graph.output}  # keep their type
    names, made = [], set[str]()
    for node in graph.node:
        inputs = {name for name in node.input if name and name not in constants}
        joins = node.op_type in JOINING and inputs and inputs <= made
        seed = node.op_type in seeds and any(within in name for name in node.input)
        if (seed or joins) and results.isdisjoint(node.output):
            names.append(node.name)
            made.update(node.output)
    return names


def spare_pooling(file: Path) -> None:
    """Let average pooling read what it read before: in int8 it takes several times as long."""
    model = onnx.load(file)
    made = {output: node for node in model.graph.node for output in node.output}
    for node in model.graph.node:
        widened = made.get(node.input[0]) if node.op_type == 'AveragePool' else None
        if widened is not None and widened.op_type == 'DequantizeLinear':
            node.input[0] = made[widened.input[0]].input[0]
    onnx.save(model, file)


class _Calibration(CalibrationDataReader):  # type: ignore[misc]  # onnxruntime is untyped
    """Pictures as the encoder's inputs, in the form that onnxruntime reads."""

    def __init__(
        self, metadata: BundleMetadata, images: Iterable[Image], on_image: Callable[[], object]
    ) -> None:
        self._fit = ImageFitter(metadata.input_long_side, metadata.input_alignment)
        self._images = iter(images)
        self._on_image = on_image

    def get_next(self) -> dict[str, NDArray[Any]] | None:
        image = next(self._images, None)
        if image is None:
            return None
        fitted = self._fit(image)
        self._on_image()
        return {'image': fitted.pixels, 'valid_size': fitted.valid_size}


def _check(bundle: Bundle, path: Path) -> None:
    """Refuse a source that is no longer float, and a target that is or lies in the source."""
    if bundle.metadata.precision != 'float32':
        raise ValueError(
            f'{bundle.path} is {bundle.metadata.precision} already; '
            'give the float32 bundle that it was made of'
        )
    if path.resolve().is_relative_to(bundle.path.resolve()):
        raise ValueError(
            f'{path} is the bundle itself, or in it; write the new one into another folder'
        )


def _complete(bundle: Bundle, path: Path, precision: str, graphs: list[str]) -> BundleMetadata:
    """Copy all but the new graphs; state the precision, but no accuracy, as none is measured."""
    rest = shutil.ignore_patterns(*graphs)
    shutil.copytree(bundle.path, path, ignore=rest, dirs_exist_ok=True)
    metadata = replace(bundle.metadata, precision=precision, accuracy={})
    save_metadata(path, metadata)
    card = path / 'model_card.md'
    if card.is_file():
        with card.open('a', encoding='utf-8') as file:
            file.write(
                f'\n## Precision\nThis bundle is {precision}, made by `pavenet quantise`. '
                'All figures above are those of the float32 bundle.\n'
            )
    return metadata
