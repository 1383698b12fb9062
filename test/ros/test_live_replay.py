"""A bag played live to a real node, in a loop and in simulated time, against the same bag read."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip('rclpy', reason='needs ROS 2')
pytest.importorskip('rosbags', reason='needs rosbags')

import numpy as np
from rclpy.serialization import deserialize_message, serialize_message
from rosbags.rosbag2 import Reader as BagReader
from rosbags.rosbag2 import StoragePlugin, Writer
from rosgraph_msgs.msg import Clock
from sensor_msgs.msg import Image

from benchmarks.ros_robot import PoseNode, Reader
from pavenet_core.bag.messages import POSES, message_types
from pavenet_core.cli import main
from pavenet_core.video import open_sources
from pavenet_ros.conversions import stamp_ns

VIDEO = Path(__file__).parent / 'data' / 'walk.mp4'
FIRST_NS, STEP_NS = 1_700_000_000_000_000_000, 40_000_000
IMAGES = 12


@pytest.fixture(scope='module')
def bag(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Give a bag of a video's images, as `ros2 bag record` writes it."""
    path = tmp_path_factory.mktemp('recorded') / 'walk'
    [video] = open_sources(VIDEO)
    with Writer(path, version=8, storage_plugin=StoragePlugin.MCAP) as writer:
        connection = writer.add_connection(
            '/image', 'sensor_msgs/msg/Image', typestore=message_types()
        )
        for index, frame in enumerate(video.frames()):
            height, width = frame.image.shape[:2]
            msg = Image(height=height, width=width, encoding='bgr8', step=3 * width)
            msg.header.frame_id = 'camera'
            stamp = FIRST_NS + index * STEP_NS
            msg.header.stamp.sec, msg.header.stamp.nanosec = divmod(stamp, 10**9)
            msg.data.frombytes(np.ascontiguousarray(frame.image))
            writer.write(connection, stamp, serialize_message(msg))
    return path


class Replay:
    """The player of a bag with its clock, and the recorder of `/poses`, beside a node."""

    def __init__(self, bag: Path) -> None:
        self.reader = Reader('replay')
        with BagReader(bag) as recorded:
            self._images = [deserialize_message(row[2], Image) for row in recorded.messages()]
        self._clock = self.reader.node.create_publisher(Clock, '/clock', 10)
        self._camera = self.reader.node.create_publisher(Image, '/image', 10)
        self._answers = self.reader.listen('/poses')

    def wait_for_node(self) -> None:
        self.reader.wait_for(self._camera.get_subscription_count, 'the subscription')
        self.reader.wait_for(
            lambda: self.reader.node.count_publishers('/poses'), 'the publisher of poses'
        )

    def play(self, passes: int, burst: int) -> None:
        """Send all images so many times, in bursts, each once the last one's end is answered."""
        self._answers.clear()
        for number, msg in enumerate(self._images * passes, 1):
            self._clock.publish(Clock(clock=msg.header.stamp))
            self._camera.publish(msg)
            self.reader.spin(0.001)
            if number % burst == 0:
                wanted = stamp_ns(msg.header)
                self.reader.wait_for(lambda w=wanted: self.stamps()[-1:] == [w], 'an answer')

    def record(self, path: Path) -> Path:
        """Write what came on `/poses` into a bag."""
        with Writer(path, version=8) as writer:
            connection = writer.add_connection('/poses', POSES, typestore=message_types())
            for arrival_s, msg in self._answers:
                writer.write(connection, int(arrival_s * 1e9), serialize_message(msg))
        return path

    def stamps(self) -> list[int]:
        return [stamp_ns(msg.header) for _, msg in self._answers]


@pytest.fixture
def replay(bag: Path) -> Iterator[Replay]:
    """Give a replay beside a node with the shipped model, in simulated time."""
    node = PoseNode(parameters={'model': 'compact', 'num_threads': 1, 'use_sim_time': True})
    replay = Replay(bag)
    try:
        replay.reader.activate(node.name)
        replay.wait_for_node()
        yield replay
    finally:
        replay.reader.destroy()
        node.kill()


def against(bag: Path, live: Path, tmp_path: Path, capsys: Any) -> list[str]:
    words = ['predict', bag, '--out', tmp_path / 'a.json', '--threads', 1, '--against', live]
    assert main(list(map(str, words))) == 0
    return list(capsys.readouterr().out.splitlines())


def test_a_loop_that_is_not_hurried_is_answered_whole_and_the_same(
    bag: Path, replay: Replay, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Time jumps back twice, and the node's answers are those of the bag read as a file."""
    replay.play(passes=3, burst=1)
    assert replay.stamps() == [FIRST_NS + i * STEP_NS for i in range(IMAGES)] * 3
    lines = against(bag, replay.record(tmp_path / 'live'), tmp_path, capsys)
    assert 'answered 36 images in 3 passes over this bag, and dropped 0 of 36' in lines[1]
    here, live, same = (int(word) for word in lines[3].replace(',', '').split() if word.isdigit())
    assert here == live == same > 36
    assert lines[4].endswith('0.00 px (median), 0.00 px (95 %), 0.00 px (at most)')


def test_what_the_node_drops_under_load_is_said(
    bag: Path, replay: Replay, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Four images come at once, so that the node takes the last and not all of the others."""
    replay.play(passes=3, burst=4)
    stamps = replay.stamps()
    before = (stamps[0] - FIRST_NS) // STEP_NS
    dropped = 3 * IMAGES - before - len(stamps)
    assert dropped > 0
    lines = against(bag, replay.record(tmp_path / 'live'), tmp_path, capsys)
    assert f'answered {len(stamps)} images in 3 passes over this bag' in lines[1]
    assert f'dropped {dropped} of {3 * IMAGES - before} between' in lines[1]
    assert lines[2] == f'  before the first: {before} images; after the last: 0'
    assert float(lines[4].split(' px (at most)')[0].split()[-1]) > 0  # it saw other neighbours
