"""The image subscription with the transport and the reliability that fit the camera."""

from collections.abc import Callable

from rclpy.node import Node
from rclpy.qos import QoSProfile, ReliabilityPolicy
from rclpy.topic_endpoint_info import TopicEndpointInfo
from sensor_msgs.msg import CompressedImage, Image

from pavenet_ros.conversions import ImageMessage
from pavenet_ros.qos_events import QoSRequestedIncompatibleQoSInfo, SubscriptionEventCallbacks

RELIABLE, BEST_EFFORT = ReliabilityPolicy.RELIABLE, ReliabilityPolicy.BEST_EFFORT


class ImageSubscription:
    """
    Hand every image to the callback; at most one waits.

    topic       as before remapping
    transport   raw, or compressed: then the topic is that of the raw images, after remapping,
                with /compressed behind
    image_qos   reliable, best_effort, or auto: best effort while a publisher offers no more, from
                which a reliable subscription would get nothing; else reliable, which loses no part
                of a large image
    """

    def __init__(
        self,
        node: Node,
        topic: str,
        callback: Callable[[ImageMessage], None],
        *,
        transport: str,
        image_qos: str,
    ) -> None:
        self._node = node
        self._callback = callback
        is_compressed = transport == 'compressed'
        # Raw, the name stays as it is: one that is resolved here would be remapped twice.
        self._name = f'{node.resolve_topic_name(topic)}/compressed' if is_compressed else topic
        self._type = CompressedImage if is_compressed else Image
        self._events = SubscriptionEventCallbacks(incompatible_qos=self._on_incompatible)
        self._image_qos = image_qos
        self._subscribe(BEST_EFFORT if image_qos == 'best_effort' else RELIABLE)

    @property
    def topic(self) -> str:
        """Return the topic that is really subscribed to."""
        return str(self._subscription.topic_name)

    def destroy(self) -> None:
        """Stop receiving."""
        self._node.destroy_subscription(self._subscription)

    def follow_publishers(self) -> None:
        """With auto, take the reliability that fits the publishers there are now."""
        publishers = [info for info in self._publishers() if info.topic_type == self._type_name]
        if self._image_qos != 'auto' or not publishers:
            return
        is_reliable = all(info.qos_profile.reliability == RELIABLE for info in publishers)
        wanted = RELIABLE if is_reliable else BEST_EFFORT
        if wanted != self._reliability:
            self._resubscribe(wanted)

    def describe_publishers(self) -> str:
        """Say who publishes, what, and how reliably: for the one who wonders where images stay."""
        own = f'this node subscribes to {self._type_name} {_word(self._reliability)}'
        publishers = [
            f'{_node_name(info)} publishes {info.topic_type} {_word(info.qos_profile.reliability)}'
            for info in self._publishers()
        ]
        return '; '.join([own, *(publishers or ['nobody publishes: check its name, or remap it'])])

    def _publishers(self) -> list[TopicEndpointInfo]:
        return list(self._node.get_publishers_info_by_topic(self._name))

    @property
    def _type_name(self) -> str:
        return f'sensor_msgs/msg/{self._type.__name__}'

    def _subscribe(self, reliability: ReliabilityPolicy) -> None:
        self._reliability = reliability
        self._subscription = self._node.create_subscription(
            self._type,
            self._name,
            self._callback,
            QoSProfile(depth=1, reliability=reliability),
            event_callbacks=self._events,
        )

    def _resubscribe(self, reliability: ReliabilityPolicy) -> None:
        self._node.get_logger().info(
            f'subscribing to {self.topic} {_word(reliability)}, as its publishers are'
        )
        self.destroy()
        self._subscribe(reliability)

    def _on_incompatible(self, event: QoSRequestedIncompatibleQoSInfo) -> None:
        if self._image_qos == 'auto' and self._reliability == RELIABLE:
            self._resubscribe(BEST_EFFORT)
            return
        self._node.get_logger().warning(
            f'a publisher of {self.topic} offers less than image_qos asks for, no images come '
            f'from it: {self.describe_publishers()}; set image_qos to auto'
        )


def _word(reliability: ReliabilityPolicy) -> str:
    return str(reliability.name).lower().replace('_', ' ')


def _node_name(info: TopicEndpointInfo) -> str:
    return f'{info.node_namespace.rstrip("/")}/{info.node_name}'
