"""
Publish a video on `image`, as a camera driver would.

A file is played at its own rate, but a frame waits until the one before it was answered on `poses`
and confirmed on `recorded`, so that none is lost. A camera is played live: a frame that comes
while another is being worked on goes unanswered.
"""

import argparse
import statistics
import sys
import time
from pathlib import Path

import cv2
import numpy as np
import rclpy
from rclpy.executors import ExternalShutdownException
from rclpy.node import Node
from rclpy.qos import QoSProfile
from sensor_msgs.msg import Image
from std_msgs.msg import Header

from pavenet_core.video import Source, open_sources
from pavenet_ros.conversions import stamp_ns
from pavenet_ros.msg import PersonPoseArray

READY_S = 120.0  # for the node to load its model and for everybody to find each other
ANSWER_S = 60.0
REPORT_FRAMES = 50
TEST_PICTURE = 'test_picture'  # frame_id of what the recorder confirms but does not record


class Player(Node):
    """Publish frames and know which are answered."""

    def __init__(self) -> None:
        super().__init__('player')
        self._recorded_ns = -1
        self._sent_s: dict[int, float] = {}
        self.seconds: list[float] = []  # from image out to poses in
        self._images = self.create_publisher(Image, 'image', QoSProfile(depth=2))
        self.create_subscription(PersonPoseArray, 'poses', self._on_poses, QoSProfile(depth=10))
        self.create_subscription(Header, 'recorded', self._on_recorded, QoSProfile(depth=10))

    def wait_for_listeners(self) -> None:
        """Send a test picture round until it comes back: then everybody has found each other."""
        end_s = time.monotonic() + READY_S
        picture = np.full((64, 64, 3), 128, np.uint8)
        while self._recorded_ns < 0:
            if time.monotonic() > end_s:
                raise TimeoutError(f'the pose node does not answer after {READY_S:.0f} s')
            self.publish(picture, self.get_clock().now().nanoseconds, TEST_PICTURE)
            self.pause_until(time.monotonic() + 0.5)

    def play_file(self, source: Source) -> None:
        """Publish each frame when it is due and the one before it is recorded."""
        start_s, start_ns = time.monotonic(), self.get_clock().now().nanoseconds
        for index, frame in enumerate(source.frames()):
            if index % REPORT_FRAMES == 0:
                print(f'[demo] frame {index} of {source.num_frames}', flush=True)
            self.pause_until(start_s + frame.stamp_ns / 1e9)
            stamp = start_ns + frame.stamp_ns
            self.publish(frame.image, stamp)
            end_s = time.monotonic() + ANSWER_S
            while self._recorded_ns < stamp:
                if time.monotonic() > end_s:
                    raise TimeoutError(f'no answer to a frame within {ANSWER_S:.0f} s')
                rclpy.spin_once(self, timeout_sec=0.1)

    def play_camera(self, capture: cv2.VideoCapture, seconds: float) -> None:
        """Publish what the camera gives as it comes."""
        end_s = time.monotonic() + seconds
        while time.monotonic() < end_s:
            was_read, image = capture.read()
            if not was_read:
                raise ValueError('the camera stopped giving frames')
            self.publish(image, self.get_clock().now().nanoseconds)
            self.pause_until(time.monotonic())
        self.pause_until(time.monotonic() + 1)

    def publish(self, image: np.ndarray, stamp: int, frame_id: str = 'camera') -> None:
        """Send one frame; its stamp comes back with the answer."""
        height, width = image.shape[:2]
        msg = Image(height=height, width=width, encoding='bgr8', step=3 * width)
        msg.header.frame_id = frame_id
        msg.header.stamp.sec, msg.header.stamp.nanosec = divmod(stamp, 1_000_000_000)
        msg.data.frombytes(np.ascontiguousarray(image))
        self._sent_s[stamp] = time.monotonic()
        self._images.publish(msg)

    def pause_until(self, moment_s: float) -> None:
        """Work off messages until then."""
        while (left_s := moment_s - time.monotonic()) > 0:
            rclpy.spin_once(self, timeout_sec=left_s)

    def _on_poses(self, msg: PersonPoseArray) -> None:
        sent_s = self._sent_s.pop(stamp_ns(msg.header), None)
        if sent_s is not None and msg.header.frame_id != TEST_PICTURE:
            self.seconds.append(time.monotonic() - sent_s)

    def _on_recorded(self, msg: Header) -> None:
        self._recorded_ns = stamp_ns(msg)


def main() -> None:
    """Play the video of the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('video', type=Path)
    parser.add_argument('--seconds', type=float, default=20.0, help='of a camera (20)')
    args = parser.parse_args()
    rclpy.init()
    player = Player()
    try:
        player.wait_for_listeners()
        if args.video.is_char_device():
            player.play_camera(cv2.VideoCapture(str(args.video)), args.seconds)
        else:
            player.play_file(open_sources(args.video)[0])
    except (TimeoutError, ValueError) as error:
        sys.exit(f'[player] {error}')
    except (KeyboardInterrupt, ExternalShutdownException):
        sys.exit(130)
    milliseconds = 1e3 * statistics.median(player.seconds)
    print(f'image out to poses in:  {milliseconds:.0f} ms per frame (median)')


main()
