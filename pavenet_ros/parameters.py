"""Every parameter of the node, once: name, default, range and meaning."""

from dataclasses import dataclass, fields
from typing import Any

from rcl_interfaces.msg import FloatingPointRange, IntegerRange, ParameterDescriptor
from rclpy.node import Node

Value = bool | int | float | str


@dataclass(frozen=True)
class NodeParameters:
    """What the node was told; the meaning of each is in `TABLE`."""

    model: str
    device: str
    num_threads: int
    score_threshold: float
    max_people: int
    lookahead: int
    frame_interval: float
    max_gap: float
    image_qos: str


@dataclass(frozen=True)
class Parameter:
    """One row of the table; `low` and `high` bound a number, `choices` a word."""

    name: str
    default: Value
    meaning: str
    low: float | None = None
    high: float | None = None
    choices: tuple[str, ...] = ()

    def descriptor(self) -> ParameterDescriptor:
        """Return it in ROS's words; rclpy then refuses what is out of range."""
        descriptor = ParameterDescriptor(name=self.name, description=self.meaning)
        if self.choices:
            descriptor.additional_constraints = f'one of: {", ".join(self.choices)}'
        if self.low is None or self.high is None:
            return descriptor
        if isinstance(self.default, float):
            descriptor.floating_point_range = [
                FloatingPointRange(from_value=self.low, to_value=self.high)
            ]
        else:
            descriptor.integer_range = [
                IntegerRange(from_value=int(self.low), to_value=int(self.high), step=1)
            ]
        return descriptor


IMAGE_QOS = ('auto', 'reliable', 'best_effort')
TABLE = (
    Parameter('model', 'compact', 'Name of a shipped model, or path of a bundle folder.'),
    Parameter(
        'device',
        'auto',
        'Where the model runs; auto takes the best that this onnxruntime offers.',
        choices=('auto', 'cpu', 'cuda', 'tensorrt'),
    ),
    Parameter('num_threads', 0, 'CPU threads of the model; 0 lets onnxruntime decide.', 0, 256),
    Parameter('score_threshold', 0.3, 'People with a lower score are left out.', 0.0, 1.0),
    Parameter('max_people', 20, 'At most so many people per image, the best ones.', 1, 1000),
    Parameter(
        'lookahead',
        0,
        'Images to wait for before one is answered: 0 answers at once, 1 sees one image of the '
        'future and answers one image later. At most half the frames of the model.',
        0,
        8,
    ),
    Parameter(
        'frame_interval',
        0.0,
        'Seconds between the images that are seen together; 0 takes the images as they come.',
        0.0,
        10.0,
    ),
    Parameter(
        'max_gap', 1.0, 'Seconds without an image after which a new video starts.', 0.01, 60.0
    ),
    Parameter(
        'image_qos',
        'auto',
        'Reliability of the image subscription; auto is reliable where the camera is, else best '
        'effort.',
        choices=IMAGE_QOS,
    ),
)


def declare_parameters(node: Node) -> None:
    """Declare the whole table on the node."""
    for parameter in TABLE:
        node.declare_parameter(parameter.name, parameter.default, parameter.descriptor())


def read_parameters(node: Node) -> NodeParameters:
    """Return the present values; raise `ValueError` for a word that is not one of the choices."""
    values: dict[str, Any] = {}
    for parameter in TABLE:
        value = node.get_parameter(parameter.name).value
        if parameter.choices and value not in parameter.choices:
            raise ValueError(
                f'parameter {parameter.name} must be one of {", ".join(parameter.choices)}, '
                f'got {value!r}'
            )
        values[parameter.name] = value
    return NodeParameters(**{field.name: values[field.name] for field in fields(NodeParameters)})
