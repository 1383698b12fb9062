"""
A camera of its own process: a video over and over, stamped with the time, until it is stopped.

python benchmarks/ros_camera.py --rate 30 --size 640x480 --topic /image
"""

import argparse
import time
from collections.abc import Iterator
from itertools import cycle
from pathlib import Path

import cv2
import numpy as np
import rclpy
from rclpy.executors import ExternalShutdownException
from rclpy.qos import QoSProfile, ReliabilityPolicy
from sensor_msgs.msg import Image

from pavenet_core.video import open_sources

VIDEO = Path(__file__).parents[1] / 'test' / 'ros' / 'data' / 'walk.mp4'


def main() -> None:
    """Publish until Ctrl-C, or the number of images that is asked for."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('--rate', type=float, default=30.0, help='images a second (30)')
    parser.add_argument('--size', default='640x480', help='width x height in pixels (640x480)')
    parser.add_argument('--topic', default='/image')
    parser.add_argument('--reliability', choices=['reliable', 'best_effort'], default='reliable')
    parser.add_argument('--video', type=Path, default=VIDEO)
    args = parser.parse_args()
    rclpy.init()
    node = rclpy.create_node('camera')
    qos = QoSProfile(depth=1, reliability=ReliabilityPolicy[args.reliability.upper()])
    publisher = node.create_publisher(Image, args.topic, qos)
    width, height = (int(number) for number in args.size.split('x'))
    messages = cycle(list(pictures(args.video, width, height)))
    due_s = time.monotonic()
    try:
        while rclpy.ok():
            msg = next(messages)
            msg.header.stamp = node.get_clock().now().to_msg()
            publisher.publish(msg)
            due_s = max(due_s + 1 / args.rate, time.monotonic() - 1 / args.rate)
            time.sleep(max(0.0, due_s - time.monotonic()))
    except (KeyboardInterrupt, ExternalShutdownException):
        pass
    rclpy.try_shutdown()


def pictures(video: Path, width: int, height: int) -> Iterator[Image]:
    """Yield the video's pictures as messages of one size."""
    for frame in open_sources(video)[0].frames():
        msg = Image(height=height, width=width, encoding='bgr8', step=3 * width)
        msg.header.frame_id = 'camera_optical'
        msg.data.frombytes(np.ascontiguousarray(cv2.resize(frame.image, (width, height))))
        yield msg


if __name__ == '__main__':
    main()
