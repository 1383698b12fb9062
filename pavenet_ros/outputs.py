"""The topics that one camera's answers go to; what nobody listens to is not made."""

from collections.abc import Callable
from dataclasses import dataclass
from importlib import import_module
from time import monotonic
from types import ModuleType
from typing import Any

from rclpy.lifecycle import LifecycleNode
from rclpy.publisher import Publisher
from rclpy.qos import QoSProfile
from sensor_msgs.msg import Image
from std_msgs.msg import Float64
from visualization_msgs.msg import MarkerArray

from pavenet_core.bundle import BundleMetadata
from pavenet_ros.conversions import stamp_ns, to_pose_array
from pavenet_ros.hri import HriBodies
from pavenet_ros.msg import PersonPoseArray
from pavenet_ros.pipeline import Answer
from pavenet_ros.visualisation import to_annotated_image, to_annotations, to_markers

RESULT_QOS = QoSProfile(depth=10)  # reliable, volatile
VIEW_QOS = QoSProfile(depth=1)  # as above, the newest only


@dataclass(frozen=True)
class _Output:
    """One topic and how its messages are made."""

    publisher: Publisher
    to_message: Callable[[Answer], Any]

    @property
    def is_wanted(self) -> bool:
        return bool(self.publisher.get_subscription_count())


class CameraOutputs:
    """
    The publishers of one camera.

    prefix  '' or 'NAME/': goes before poses, and after the ~/ of the others
    hri     msgs of `hri_msgs`, or None
    """

    def __init__(
        self, node: LifecycleNode, prefix: str, metadata: BundleMetadata, hri: ModuleType | None
    ) -> None:
        self._node = node
        self._prefix = prefix
        self._metadata = metadata
        self._outputs = [
            self._output(PersonPoseArray, f'{prefix}poses', self._to_pose_array, RESULT_QOS),
            self._view(Image, 'image_annotated', self._to_annotated_image),
            self._view(MarkerArray, 'markers', self._to_markers),
            *self._foxglove_outputs(),
            # Last, so that the time holds what is published before.
            self._view(Float64, 'debug/processing_time_ms', self._to_processing_time),
            self._view(Float64, 'debug/pipeline_latency_ms', self._to_latency),
        ]
        self._hri = HriBodies(node, hri, metadata.skeleton) if hri else None

    @property
    def is_wanted(self) -> bool:
        """Say whether somebody listens to any of them."""
        return any(output.is_wanted for output in self._outputs) or (
            self._hri is not None and self._hri.is_wanted
        )

    def publish(self, answer: Answer) -> None:
        """Publish the answer wherever somebody listens."""
        for output in self._outputs:
            if output.is_wanted:
                output.publisher.publish(output.to_message(answer))
        if self._hri is not None:
            self._hri.publish(answer.poses, answer.header, answer.size)

    def publish_nobody(self) -> None:
        """Tell those who keep a list of bodies that it is empty now."""
        if self._hri is not None:
            self._hri.publish_nobody()

    def destroy(self) -> None:
        """Take the publishers down."""
        for output in self._outputs:
            self._node.destroy_lifecycle_publisher(output.publisher)
        if self._hri is not None:
            self._hri.destroy()

    def latency_ms(self, answer: Answer) -> float:
        """Return the age of an answer: now minus its image's stamp, by the node's clock."""
        now_ns = int(self._node.get_clock().now().nanoseconds)
        return (now_ns - stamp_ns(answer.header)) / 1e6

    def _view(self, kind: type, name: str, to_message: Callable[[Answer], Any]) -> _Output:
        return self._output(kind, f'~/{self._prefix}{name}', to_message, VIEW_QOS)

    def _output(
        self, kind: type, topic: str, to_message: Callable[[Answer], Any], qos: QoSProfile
    ) -> _Output:
        publisher = self._node.create_lifecycle_publisher(kind, topic, qos)
        return _Output(publisher, to_message)

    def _foxglove_outputs(self) -> list[_Output]:
        try:
            msgs = import_module('foxglove_msgs.msg')
        except ImportError:
            return []

        def annotate(answer: Answer) -> Any:
            return to_annotations(answer.poses, self._metadata.skeleton, answer.header, msgs)

        return [self._view(msgs.ImageAnnotations, 'annotations', annotate)]

    def _to_pose_array(self, answer: Answer) -> PersonPoseArray:
        return to_pose_array(
            answer.poses,
            header=answer.header,
            size=answer.size,
            model=self._metadata.name,
            skeleton=self._metadata.skeleton.name,
        )

    def _to_annotated_image(self, answer: Answer) -> Image:
        return to_annotated_image(
            answer.image, answer.poses, self._metadata.skeleton, answer.header
        )

    def _to_markers(self, answer: Answer) -> MarkerArray:
        return to_markers(answer.poses, self._metadata.skeleton, answer.header, answer.size)

    def _to_processing_time(self, answer: Answer) -> Float64:
        return Float64(data=1e3 * (monotonic() - answer.taken_s))

    def _to_latency(self, answer: Answer) -> Float64:
        return Float64(data=self.latency_ms(answer))
