"""What the middleware tells about publishers and subscriptions, from where each ROS 2 keeps it."""

try:
    from rclpy.event_handler import (
        PublisherEventCallbacks,
        QoSRequestedIncompatibleQoSInfo,
        SubscriptionEventCallbacks,
    )
except ImportError:  # Humble
    from rclpy.qos_event import (
        PublisherEventCallbacks,
        QoSRequestedIncompatibleQoSInfo,
        SubscriptionEventCallbacks,
    )

__all__ = [
    'PublisherEventCallbacks',
    'QoSRequestedIncompatibleQoSInfo',
    'SubscriptionEventCallbacks',
]
