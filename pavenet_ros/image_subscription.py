"""The image subscription with the reliability that fits the camera."""

from collections.abc import Callable

from rclpy.node import Node
from rclpy.qos import QoSProfile, ReliabilityPolicy
from sensor_msgs.msg import Image

try:
    from rclpy.event_handler import QoSRequestedIncompatibleQoSInfo, SubscriptionEventCallbacks
except ImportError:  # Humble
    from rclpy.qos_event import QoSRequestedIncompatibleQoSInfo, SubscriptionEventCallbacks


class ImageSubscription:
    """
    Hand every image to the callback; at most one waits.

    `auto` begins reliable, which loses no part of a large image, and turns best effort when a
    publisher shows up that offers no more: a reliable subscription gets nothing from that one.
    """

    def __init__(
        self, node: Node, topic: str, callback: Callable[[Image], None], image_qos: str
    ) -> None:
        self._node = node
        self._callback = callback
        self._topic = topic
        self._events = SubscriptionEventCallbacks(incompatible_qos=self._on_incompatible)
        self._is_auto = image_qos == 'auto'
        best_effort = image_qos == 'best_effort'
        self._subscribe(
            ReliabilityPolicy.BEST_EFFORT if best_effort else ReliabilityPolicy.RELIABLE
        )

    @property
    def topic(self) -> str:
        """Return the name after remapping."""
        return str(self._node.resolve_topic_name(self._topic))

    def destroy(self) -> None:
        """Stop receiving."""
        self._node.destroy_subscription(self._subscription)

    def _subscribe(self, reliability: ReliabilityPolicy) -> None:
        self._reliability = reliability
        self._subscription = self._node.create_subscription(
            Image,
            self._topic,
            self._callback,
            QoSProfile(depth=1, reliability=reliability),
            event_callbacks=self._events,
        )

    def _on_incompatible(self, event: QoSRequestedIncompatibleQoSInfo) -> None:
        if self._is_auto and self._reliability == ReliabilityPolicy.RELIABLE:
            self._node.get_logger().info(f'{self.topic} is best effort: subscribing likewise')
            self.destroy()
            self._subscribe(ReliabilityPolicy.BEST_EFFORT)
            return
        self._node.get_logger().warning(
            f'a publisher of {self.topic} offers another reliability than image_qos asks for: '
            'no images from it; set image_qos to auto'
        )
