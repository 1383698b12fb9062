"""Some nodes of a graph in fp16, with casts around them."""

from collections.abc import Container

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper


def halve(graph: onnx.GraphProto, names: Container[str]) -> None:
    """
    Let the nodes of these names compute in fp16 and store their constants so.

    onnxruntime's own converter makes all tensors fp16 and puts casts around the nodes left out,
    which rounds coordinates too.
    """
    constants = {tensor.name: tensor for tensor in graph.initializer}
    made = {name for node in graph.node if node.name in names for name in node.output}
    nodes, cast = [], set[str]()
    for node in graph.node:
        half = node.name in names
        for index, name in enumerate(node.input):
            if not name or half == (name in made):
                continue
            node.input[index] = other = f'{name}.fp16' if half else f'{name}.fp32'
            if other in cast:
                continue
            cast.add(other)
            if name in constants:
                graph.initializer.append(_half_constant(constants[name], other))
            else:
                nodes.append(_cast(name, other, half))
        nodes.append(node)
    del graph.node[:]
    graph.node.extend(nodes)
    _forget_floats(graph)


def _half_constant(tensor: onnx.TensorProto, name: str) -> onnx.TensorProto:
    return numpy_helper.from_array(numpy_helper.to_array(tensor).astype(np.float16), name)


def _cast(name: str, other: str, half: bool) -> onnx.NodeProto:
    kind = TensorProto.FLOAT16 if half else TensorProto.FLOAT
    return helper.make_node('Cast', [name], [other], other, to=kind)


def _forget_floats(graph: onnx.GraphProto) -> None:
    """Drop constants that nobody reads any more, and the types noted for tensors between."""
    used = {name for node in graph.node for name in node.input}
    constants = [tensor for tensor in graph.initializer if tensor.name in used]
    del graph.initializer[:]
    graph.initializer.extend(constants)
    del graph.value_info[:]
