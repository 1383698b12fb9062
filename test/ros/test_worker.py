"""The worker on the stand-in model: right headers, one answer per image, bad images skipped."""

import time
from array import array
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip('rclpy', reason='needs ROS 2')

from sensor_msgs.msg import Image

from pavenet_core.runtime import VideoPoseEstimator
from pavenet_ros.msg import PersonPoseArray
from pavenet_ros.worker import PoseWorker

SECOND_NS = 1_000_000_000
WIDTH, HEIGHT = 60, 40


def image(stamp_ns: int, brightness: int = 100, frame_id: str = 'left') -> Image:
    msg = Image(height=HEIGHT, width=WIDTH, encoding='bgr8', step=3 * WIDTH)
    msg.header.frame_id = frame_id
    msg.header.stamp.sec, msg.header.stamp.nanosec = divmod(stamp_ns, SECOND_NS)
    msg.data = array('B', np.full(3 * WIDTH * HEIGHT, brightness, np.uint8).tobytes())
    return msg


class Bench:
    """A worker whose images are handed over one by one, and what it said."""

    def __init__(self, model: Path, lookahead: int) -> None:
        self.estimator = VideoPoseEstimator(model, lookahead=lookahead, num_threads=1)
        self.answers: list[PersonPoseArray] = []
        self.warnings: list[str] = []
        self.worker = PoseWorker(self.estimator, self.answers.append, self.warnings.append)
        self.worker.start()

    def feed(self, msg: Image) -> None:
        """Hand over an image and wait until it is done."""
        handled = self.worker.handled
        self.worker.put(msg)
        wait_for(lambda: self.worker.handled == handled + 1)

    def stop(self) -> list[tuple[int, str]]:
        """Return stamp and frame of all answers."""
        self.worker.stop()
        return [
            (a.header.stamp.sec * SECOND_NS + a.header.stamp.nanosec, a.header.frame_id)
            for a in self.answers
        ]


def wait_for(is_done: Callable[[], bool], timeout_s: float = 20.0) -> None:
    end = time.monotonic() + timeout_s
    while not is_done():
        assert time.monotonic() < end, 'timed out'
        time.sleep(0.002)


@pytest.mark.parametrize('lookahead', [0, 1])
def test_every_image_is_answered_once_with_its_header(stand_in: Path, lookahead: int) -> None:
    bench = Bench(stand_in, lookahead)
    stamps = [10 * SECOND_NS + i * 40_000_000 for i in range(6)]
    for i, stamp in enumerate(stamps):
        bench.feed(image(stamp))
        assert len(bench.answers) == max(0, i + 1 - lookahead)
    assert bench.stop() == [(stamp, 'left') for stamp in stamps]
    assert {len(a.poses) for a in bench.answers} == {3}
    assert {(a.image_width, a.image_height) for a in bench.answers} == {(WIDTH, HEIGHT)}


def test_an_image_without_people_is_answered_too(stand_in: Path) -> None:
    bench = Bench(stand_in, 0)
    bench.feed(image(1, brightness=100))
    bench.feed(image(2, brightness=0))
    bench.stop()
    assert [len(a.poses) for a in bench.answers] == [3, 0]


def test_a_repeated_stamp_is_answered_once(stand_in: Path) -> None:
    bench = Bench(stand_in, 1)
    for stamp in (1, 1, 2, 2, 3):
        bench.feed(image(stamp))
    assert [stamp for stamp, _ in bench.stop()] == [1, 2, 3]


def test_another_frame_id_is_another_video(stand_in: Path) -> None:
    bench = Bench(stand_in, 1)
    for stamp, frame_id in ((1, 'left'), (2, 'left'), (3, 'right')):
        bench.feed(image(stamp, frame_id=frame_id))
    assert [(a.header.stamp.nanosec, a.header.frame_id) for a in bench.answers] == [
        (1, 'left'),
        (2, 'left'),
    ]
    assert bench.stop()[2:] == [(3, 'right')]


def test_time_that_jumps_back_loses_nothing(stand_in: Path) -> None:
    bench = Bench(stand_in, 1)
    stamps = [5 * SECOND_NS, 5 * SECOND_NS + 1, 2, 3, 4]
    for stamp in stamps:
        bench.feed(image(stamp))
    assert [stamp for stamp, _ in bench.stop()] == stamps


def test_a_bad_image_is_skipped_with_a_sentence(stand_in: Path) -> None:
    bench = Bench(stand_in, 0)
    bad = image(2)
    bad.encoding = 'jpeg?'
    for msg in (image(1), bad, image(3)):
        bench.feed(msg)
    assert [stamp for stamp, _ in bench.stop()] == [1, 3]
    assert len(bench.warnings) == 1
    assert "'jpeg?'" in bench.warnings[0]
