"""
What goes wrong on a robot, done to real processes: bad images, sudden deaths, late joiners.

FUZZ_EXAMPLES=500 pytest test/ros/test_faults.py -k bad    more images of each kind, at random
"""

import os
import runpy
import sys
import time
from array import array
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache, partial
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

rclpy = pytest.importorskip('rclpy', reason='needs ROS 2')
pytest.importorskip('hypothesis', reason='needs hypothesis')

from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from rclpy.qos import DurabilityPolicy, QoSProfile
from sensor_msgs.msg import CompressedImage, Image

from benchmarks.ros_robot import Camera, PoseNode, Process, Reader, age_s
from pavenet_ros.conversions import stamp_ns
from pavenet_ros.msg import SkeletonInfo

KINDS = runpy.run_path(str(Path(__file__).with_name('bad_images.py')))
RAW = KINDS['RAW'] | KINDS['EITHER']
COMPRESSED = KINDS['COMPRESSED'] | KINDS['EITHER']
FUZZ = settings(
    max_examples=int(os.environ.get('FUZZ_EXAMPLES', '6')),
    derandomize='FUZZ_EXAMPLES' not in os.environ,
    phases=[Phase.generate],  # a dead node can't be killed more simply
    deadline=None,
    database=None,
    suppress_health_check=list(HealthCheck),
)
FIRST_NS, STEP_NS = 1_700_000_000_000_000_000, 33_333_333
WIDTH, HEIGHT = 60, 40
OLD_S = 1.0  # an answer that is older comes from a queue
ONE_READER = """
import sys, rclpy
from pavenet_ros.msg import PersonPoseArray
rclpy.init()
node = rclpy.create_node('doomed')
node.create_subscription(PersonPoseArray, sys.argv[1], lambda msg: None, 10)
rclpy.spin(node)
"""


class Feeder:
    """Sends a node bad images, and after each a good one that must be answered."""

    def __init__(self, reader: Reader, node: PoseNode, kind: type, topic: str) -> None:
        self._reader, self._node = reader, node
        self._kind = kind
        self._time_ns = FIRST_NS
        self._answers = reader.listen(node.name.replace('pose_node', 'poses'))
        self._reports: list[DiagnosticStatus] = []
        reader.node.create_subscription(DiagnosticArray, '/diagnostics', self._on_reports, 10)
        self._topic = topic
        self._publisher = reader.node.create_publisher(kind, topic, 10)
        reader.wait_for(self._publisher.get_subscription_count, 'the subscription')
        self.expect_answer()

    def good(self) -> Any:
        """Return the next image of the video."""
        self._time_ns += STEP_NS
        picture = np.full((HEIGHT, WIDTH, 3), 100, np.uint8)
        if self._kind is Image:
            msg = Image(height=HEIGHT, width=WIDTH, encoding='bgr8', step=3 * WIDTH)
            msg.data = array('B', picture.tobytes())
        else:
            msg = CompressedImage(format='jpeg')
            msg.data = array('B', cv2.imencode('.jpg', picture)[1].tobytes())
        msg.header.frame_id = 'camera'
        msg.header.stamp.sec, msg.header.stamp.nanosec = divmod(self._time_ns, 10**9)
        return msg

    def feed(self, msg: Any) -> None:
        self._publisher.publish(msg)
        self._reader.spin(0.01)  # else the good one may replace it before it is looked at

    def expect_answer(self) -> None:
        self._answers.clear()
        self._publisher.publish(self.good())
        self._reader.wait_for(self._is_answered, 'the answer to a good image', 10.0)

    def _is_answered(self) -> bool:
        assert self._node.is_alive, 'the node is dead'
        return any(stamp_ns(msg.header) == self._time_ns for _, msg in self._answers)

    def _on_reports(self, msg: DiagnosticArray) -> None:
        self._reports += [each for each in msg.status if each.hardware_id == self._topic]

    def counts(self) -> dict[str, int]:
        """Return the whole numbers of the next but one /diagnostics: it has seen all images."""
        self._reports.clear()
        self._reader.wait_for(lambda: len(self._reports) > 1, '/diagnostics')
        values = self._reports[1].values
        return {each.key: int(each.value) for each in values if each.value.isdigit()}


@contextmanager
def starter(stand_in: Path) -> Iterator[Callable[..., Any]]:
    """Give the starter of nodes, cameras and readers, which end with the context."""
    started: list[Any] = []

    def run(kind: Callable[..., Any], *arguments: Any, **options: Any) -> Any:
        if kind is PoseNode:
            model = {'model': str(stand_in), 'num_threads': 1}
            options['parameters'] = model | options.get('parameters', {})
        started.append(kind(*arguments, **options))
        return started[-1]

    try:
        yield run
    finally:
        for each in reversed(started):
            (each.destroy if isinstance(each, Reader) else each.kill)()


@pytest.fixture
def start(stand_in: Path) -> Iterator[Callable[..., Any]]:
    with starter(stand_in) as run:
        yield run


@pytest.fixture(scope='module')
def feeders(stand_in: Path) -> Iterator[Callable[[str], Feeder]]:
    """Give the feeder of a node for raw and of one for compressed images, each made once."""
    with starter(stand_in) as start:
        yield cache(partial(make_feeder, start))


def make_feeder(start: Callable[..., Any], transport: str) -> Feeder:
    node = start(
        PoseNode,
        *('-r', f'image:=/{transport}'),
        namespace=f'/{transport}_eater',
        parameters={'image_transport': transport},
    )
    reader = start(Reader, f'feeder_{transport}')
    reader.activate(node.name)
    kind, ending = (Image, '') if transport == 'raw' else (CompressedImage, '/compressed')
    return Feeder(reader, node, kind, f'/{transport}{ending}')


@pytest.mark.parametrize(
    ('transport', 'name'),
    [*(('raw', name) for name in RAW), *(('compressed', name) for name in COMPRESSED)],
)
def test_a_bad_image_does_not_stop_the_node(
    feeders: Callable[[str], Feeder], transport: str, name: str
) -> None:
    feeder = feeders(transport)
    kind = (RAW if transport == 'raw' else COMPRESSED)[name]

    @FUZZ
    @given(st.data())
    def feed(data: st.DataObject) -> None:
        msg = feeder.good()
        feeder.feed(kind(data.draw, msg) or msg)
        feeder.expect_answer()

    feed()


@pytest.mark.parametrize('transport', ['raw', 'compressed'])
def test_bad_images_are_counted_by_cause(feeders: Callable[[str], Feeder], transport: str) -> None:
    feeder = feeders(transport)
    before = feeder.counts()
    for _ in range(20):
        bad = feeder.good()
        bad.data = array('B')
        feeder.feed(bad)
        feeder.expect_answer()
    after = feeder.counts()
    cause = 'dropped: unreadable: ' + ('data' if transport == 'raw' else 'corrupt')
    assert after[cause] - before.get(cause, 0) >= 15  # few may have been replaced on the way
    assert after['images'] - before['images'] >= 35


def test_sudden_deaths_around_the_node(start: Callable[..., Any]) -> None:
    """Kill -9 a reader and the camera; others get their answers, and the next camera too."""
    topics = '-r', 'image:=/mortal', '-r', 'poses:=/mortal_poses'
    node, reader = start(PoseNode, *topics), start(Reader)
    answers = reader.listen('/mortal_poses')
    reader.activate(node.name)
    doomed = start(Process, sys.executable, '-c', ONE_READER, '/mortal_poses')
    camera = start(Camera, size='320x240', topic='/mortal')
    reader.wait_for(lambda: reader.node.count_subscribers('/mortal_poses') == 2, 'two readers')
    expect_fresh(reader, answers, 20)

    doomed.kill()
    expect_fresh(reader, answers, 30)
    camera.kill()
    reader.spin(0.5)
    answers.clear()
    reader.spin(1.0)
    assert not answers
    assert reader.state(node.name) == 'active'
    start(Camera, size='320x240', topic='/mortal')
    expect_fresh(reader, answers, 30)


def test_a_node_that_is_killed_under_load_comes_back(start: Callable[..., Any]) -> None:
    """The camera runs on; a new node answers at once, and one who joins late knows all."""
    camera, node = start(Camera, size='320x240', topic='/busy'), None
    reader = start(Reader)
    answers = reader.listen('/busy_poses')
    for _ in range(2):
        if node:
            node.kill()
            answers.clear()
        node = start(
            PoseNode, *('-r', 'image:=/busy', '-r', 'poses:=/busy_poses'), namespace='/busy'
        )
        reader.activate(node.name)
        expect_fresh(reader, answers, 20)
    late = start(Reader, 'late')
    skeletons: list[SkeletonInfo] = []
    latched = QoSProfile(depth=1, durability=DurabilityPolicy.TRANSIENT_LOCAL)
    late.node.create_subscription(SkeletonInfo, f'{node.name}/skeleton', skeletons.append, latched)
    late_answers = late.listen('/busy_poses')
    late.wait_for(lambda: skeletons, 'the skeleton')
    expect_fresh(late, late_answers, 20)
    camera.kill()


def test_two_nodes_share_a_camera(start: Callable[..., Any]) -> None:
    """Both answer; one that dies does not hold up the other."""
    reader = start(Reader)
    sides = {side: reader.listen(f'/{side}/poses') for side in ('left', 'right')}
    nodes = {side: start(PoseNode, '-r', 'image:=/both', namespace=f'/{side}') for side in sides}
    for node in nodes.values():
        reader.activate(node.name)
    start(Camera, size='320x240', topic='/both')
    for answers in sides.values():
        expect_fresh(reader, answers, 20)
    nodes['left'].kill()
    sides['right'].clear()
    expect_fresh(reader, sides['right'], 20)
    assert nodes['right'].stop() == 0


def expect_fresh(reader: Reader, answers: list[Any], number: int) -> None:
    """Wait for so many more answers, in order of time, and all but the first few fresh."""
    before = len(answers)
    reader.wait_for(lambda: len(answers) >= before + number, f'{number} answers')
    new = answers[before:]
    stamps = [stamp_ns(msg.header) for _, msg in new]
    assert stamps == sorted(set(stamps))
    assert max(map(age_s, new[5:])) < OLD_S, [round(age_s(answer), 2) for answer in new]
    assert time.time() - new[-1][0] < OLD_S
