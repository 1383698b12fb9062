"""Every parameter of the node, once: name, default, range, meaning and when it may change."""

import re
from collections.abc import Iterable
from dataclasses import dataclass, fields, replace
from typing import Any

from rcl_interfaces.msg import FloatingPointRange, IntegerRange, ParameterDescriptor
from rclpy.node import Node
from rclpy.parameter import Parameter as RosParameter

from pavenet_core.image_codec import MAX_PIXELS
from pavenet_core.machine import TENSORRT_CACHE

Value = bool | int | float | str | list[str] | list[int]


@dataclass(frozen=True)
class NodeParameters:
    """What the node was told; the meaning of each is in `TABLE`."""

    model: str
    device: str
    tensorrt_cache: str
    tensorrt_fp16: bool
    build_only: bool
    image_size: tuple[int, int]
    num_threads: int
    cameras: tuple[str, ...]
    publish_hri: bool
    image_transport: str
    image_qos: str
    always_infer: bool
    score_threshold: float
    max_people: int
    lookahead: int
    frame_interval: float
    max_gap: float
    identities: bool


@dataclass(frozen=True)
class Parameter:
    """
    One row of the table.

    low, high   bounds of a number
    choices     of a word
    is_live     may change at any time, from the next image on; others only while unconfigured
    """

    name: str
    default: Value
    meaning: str
    low: float | None = None
    high: float | None = None
    choices: tuple[str, ...] = ()
    is_live: bool = True

    def descriptor(self) -> ParameterDescriptor:
        """Return it in ROS's words; rclpy then refuses what is out of range."""
        descriptor = ParameterDescriptor(name=self.name, description=self.meaning)
        constraints = [f'one of: {", ".join(self.choices)}'] if self.choices else []
        if not self.is_live:
            constraints.append('changes only while the node is unconfigured')
        descriptor.additional_constraints = '; '.join(constraints)
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

    def check(self, value: Any) -> None:
        """Raise `ValueError` in one sentence for a word or name that is not allowed."""
        if self.choices and value not in self.choices:
            raise ValueError(
                f'parameter {self.name} must be one of {", ".join(self.choices)}, got {value!r}'
            )
        if self.name == 'cameras':
            _check_cameras(tuple(value))
        if self.name == 'image_size':
            _check_image_size(tuple(value))


TABLE = (
    Parameter(
        'model',
        'compact',
        'Name of a shipped model, or path of a bundle folder.',
        is_live=False,
    ),
    Parameter(
        'device',
        'auto',
        'Where the model runs; auto takes the best that this onnxruntime offers and starts.',
        choices=('auto', 'cpu', 'cuda', 'tensorrt'),
        is_live=False,
    ),
    Parameter(
        'tensorrt_cache',
        TENSORRT_CACHE,
        'Folder that keeps the engines of TensorRT; empty builds them at every start.',
        is_live=False,
    ),
    Parameter(
        'tensorrt_fp16',
        False,
        'Let TensorRT compute in half precision.',
        is_live=False,
    ),
    Parameter(
        'build_only',
        False,
        'Build the engines of TensorRT for image_size, then end the process.',
        is_live=False,
    ),
    Parameter(
        'image_size',
        [640, 480],
        'Width and height of the images to be ready for: configure runs the model on such a one.',
        is_live=False,
    ),
    Parameter(
        'num_threads',
        0,
        'CPU threads of the model; 0 lets onnxruntime decide.',
        0,
        256,
        is_live=False,
    ),
    Parameter(
        'cameras',
        [''],
        'Names of the cameras that share this node and its model: NAME/image in, NAME/poses out. '
        'One empty name is one camera on image and poses.',
        is_live=False,
    ),
    Parameter(
        'publish_hri',
        False,
        'Publish the bodies on /humans/bodies too (REP-155); needs hri_msgs, and one camera.',
        is_live=False,
    ),
    Parameter(
        'image_transport',
        'raw',
        'raw takes sensor_msgs/Image from the image topic, compressed takes '
        'sensor_msgs/CompressedImage from the topic of that name with /compressed.',
        choices=('raw', 'compressed'),
    ),
    Parameter(
        'image_qos',
        'auto',
        'Reliability of the image subscription; auto is best effort while a publisher is, else '
        'reliable.',
        choices=('auto', 'reliable', 'best_effort'),
    ),
    Parameter(
        'always_infer',
        False,
        'Run the model also while nobody listens to a result; false saves that time.',
    ),
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
        'Seconds between the images that are seen together, at most max_gap; 0 takes the images '
        'as they come, if they are near enough in time.',
        0.0,
        10.0,
    ),
    Parameter(
        'max_gap', 1.0, 'Seconds without an image after which a new video starts.', 0.01, 60.0
    ),
    Parameter(
        'identities',
        True,
        'Give people ids that follow them from image to image; of two answers for one person the '
        'second has none.',
    ),
)
ROWS = {row.name: row for row in TABLE}
# What ROS allows between the slashes of a topic; front and robot1/front are such names.
CAMERA_NAME = re.compile(r'[A-Za-z_][A-Za-z0-9_]*(/[A-Za-z_][A-Za-z0-9_]*)*')
LONGEST_CAMERA_NAME = 100  # a topic has 247 characters at most, with namespace, node and the rest


def declare_parameters(node: Node) -> None:
    """Declare the whole table on the node."""
    for row in TABLE:
        node.declare_parameter(row.name, row.default, row.descriptor())


def read_parameters(node: Node) -> NodeParameters:
    """Return the present values, unchecked."""
    values = {field.name: node.get_parameter(field.name).value for field in fields(NodeParameters)}
    lists = {name: tuple(values[name]) for name in ('cameras', 'image_size')}
    return NodeParameters(**values | lists)


def check_words(changes: Iterable[RosParameter]) -> None:
    """Raise `ValueError` for a new word or name that is not allowed."""
    for change in changes:
        if change.name in ROWS:
            ROWS[change.name].check(change.value)


def change_live(
    parameters: NodeParameters, changes: Iterable[RosParameter], state: str
) -> NodeParameters:
    """Return the values after a change; `ValueError` if one may not change in this state."""
    live = {}
    remedy = 'deactivate and clean it up first' if state == 'active' else 'clean it up first'
    for change in changes:
        row = ROWS.get(change.name)
        if row is not None and not row.is_live:
            raise ValueError(
                f'parameter {row.name} changes only while the node is unconfigured, and it is '
                f'{state}: {remedy}'
            )
        if row is not None:
            live[row.name] = change.value
    return replace(parameters, **live)


def check_parameters(parameters: NodeParameters, num_frames: int | None = None) -> None:
    """Raise `ValueError` in one sentence; `num_frames` are those of the model, where known."""
    for row in TABLE:
        row.check(getattr(parameters, row.name))
    if parameters.frame_interval > parameters.max_gap:
        raise ValueError(
            f'parameter frame_interval must be at most max_gap ({parameters.max_gap}), '
            f'got {parameters.frame_interval}'
        )
    if parameters.publish_hri and len(parameters.cameras) > 1:
        raise ValueError(
            f'parameter publish_hri needs one camera, cameras has {len(parameters.cameras)}: '
            'REP-155 knows one list of bodies'
        )
    if num_frames is not None and parameters.lookahead > num_frames // 2:
        raise ValueError(
            f'parameter lookahead must be at most {num_frames // 2} with a model of {num_frames} '
            f'frames, got {parameters.lookahead}'
        )


def _check_image_size(size: tuple[int, ...]) -> None:
    if not (len(size) == 2 and min(size) > 0 and size[0] * size[1] <= MAX_PIXELS):
        raise ValueError(
            f'parameter image_size must be a width and a height in pixels, got {list(size)}; at '
            f'most {MAX_PIXELS // 10**6} megapixels are allowed'
        )


def _check_cameras(names: tuple[str, ...]) -> None:
    if not names:
        raise ValueError("parameter cameras is empty; one camera without a name is ['']")
    wrong = [name for name in names if not CAMERA_NAME.fullmatch(name)]
    if wrong and names != ('',):
        raise ValueError(
            f'parameter cameras has {wrong[0]!r}, which can not be part of a topic name; use '
            'letters, digits and underscores'
        )
    longest = max(names, key=len)
    if len(longest) > LONGEST_CAMERA_NAME:
        raise ValueError(
            f'parameter cameras has a name of {len(longest)} characters, which is too long for a '
            f'topic; use at most {LONGEST_CAMERA_NAME}: {longest[:20]}...'
        )
    if len(set(names)) < len(names):
        raise ValueError(f'parameter cameras names one camera twice: {", ".join(names)}')
