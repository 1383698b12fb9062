"""
Publish pictures on `image`, each after the answer to the one before.

    publish_video.py VIDEO reliable|best_effort

The pictures are those of the video with a black one after them. Their stamps, which the reader
knows, are FIRST_NS and on, STEP_NS apart. What is sent best effort may get lost, so it is sent
again, with the same stamp, while no answer comes.
"""

import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import rclpy
from numpy.typing import NDArray
from rclpy.qos import QoSProfile, ReliabilityPolicy
from sensor_msgs.msg import Image

from pavenet_core.video import open_sources
from pavenet_ros.conversions import stamp_ns
from pavenet_ros.msg import PersonPoseArray

FIRST_NS, STEP_NS = 1_700_000_000_123_456_789, 33_333_333
TIMEOUT_S = 120.0


def message(image: NDArray[np.uint8], stamp: int, frame_id: str) -> Image:
    height, width = image.shape[:2]
    msg = Image(height=height, width=width, encoding='bgr8', step=3 * width)
    msg.header.frame_id = frame_id
    msg.header.stamp.sec, msg.header.stamp.nanosec = divmod(stamp, 10**9)
    msg.data.frombytes(np.ascontiguousarray(image))
    return msg


def main() -> None:
    images = [frame.image for frame in open_sources(Path(sys.argv[1]))[0].frames()]
    images.append(np.zeros_like(images[0]))
    rclpy.init()
    node = rclpy.create_node('camera')
    answered: set[int] = set()
    node.create_subscription(
        PersonPoseArray, 'poses', lambda msg: answered.add(stamp_ns(msg.header)), 10
    )
    resend_s = TIMEOUT_S if sys.argv[2] == 'reliable' else 2.0
    qos = QoSProfile(depth=1, reliability=ReliabilityPolicy[sys.argv[2].upper()])
    publisher = node.create_publisher(Image, 'image', qos)
    end_s = time.monotonic() + TIMEOUT_S

    def wait_for(is_done: Callable[[], bool], timeout_s: float = TIMEOUT_S) -> bool:
        until_s = time.monotonic() + timeout_s
        while not is_done() and time.monotonic() < until_s:
            if time.monotonic() > end_s:
                sys.exit(f'timed out after {len(answered)} answers')
            rclpy.spin_once(node, timeout_sec=0.05)
        return is_done()

    # Test pictures go first until one is answered: then the node and this one know each other.
    while not answered:
        publisher.publish(message(images[0][:2, :2], node.get_clock().now().nanoseconds, 'test'))
        wait_for(lambda: bool(answered), 0.5)
    for i, image in enumerate(images):
        stamp = FIRST_NS + i * STEP_NS
        msg = message(image, stamp, 'camera_optical')
        publisher.publish(msg)
        while not wait_for(lambda stamp=stamp: stamp in answered, resend_s):
            publisher.publish(msg)


main()
