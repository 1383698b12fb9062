"""What the ROS tests share: a model, images, and a ROS domain of their own."""

import math
import os
import runpy
import time
from array import array
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

CORE_FIXTURES = Path(__file__).parents[1] / 'core' / 'conftest.py'
SECOND_NS = 1_000_000_000
WIDTH, HEIGHT = 60, 40

# Before anything starts ROS: nobody else's nodes, and nobody beyond this computer.
os.environ['ROS_DOMAIN_ID'] = str(os.getpid() % 100 + 1)
os.environ['ROS_AUTOMATIC_DISCOVERY_RANGE'] = 'LOCALHOST'


@pytest.fixture(scope='session')
def stand_in(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Give the stand-in model of the core tests; not to be changed."""
    write_stand_in = runpy.run_path(str(CORE_FIXTURES))['write_stand_in']
    return write_stand_in(tmp_path_factory.mktemp('stand_in'), 3)


@pytest.fixture
def broken_gpus(monkeypatch: pytest.MonkeyPatch) -> Callable[[bool], None]:
    """Give what makes onnxruntime offer GPUs that do not start, as to the core tests."""
    break_gpus = runpy.run_path(str(CORE_FIXTURES))['break_gpus']
    return lambda is_silent: break_gpus(monkeypatch, is_silent)


@pytest.fixture
def pretended_gpus(monkeypatch: pytest.MonkeyPatch) -> list[dict[str, Any]]:
    """Give what each graph was opened with, on GPUs that are none."""
    return runpy.run_path(str(CORE_FIXTURES))['pretend_gpus'](monkeypatch)


def gray_image(
    stamp_ns: int,
    brightness: int = 100,
    frame_id: str = 'left',
    size: tuple[int, int] = (WIDTH, HEIGHT),
) -> Any:
    from sensor_msgs.msg import Image

    width, height = size
    msg = Image(height=height, width=width, encoding='bgr8', step=3 * width)
    msg.header.frame_id = frame_id
    msg.header.stamp.sec, msg.header.stamp.nanosec = divmod(stamp_ns, SECOND_NS)
    msg.data = array('B', np.full(3 * width * height, brightness, np.uint8).tobytes())
    return msg


@pytest.fixture(scope='session')
def make_image() -> Callable[..., Any]:
    """Give the maker of image messages of one brightness; the stand-in sees nobody on black."""
    return gray_image


class Robot:
    """
    A pose node on the stand-in model, and a second node that is everything around it.

    Both are in this process and talk through the middleware. Each image goes out on its own
    publisher, reliable unless told otherwise.
    """

    def __init__(self, stand_in: Path, parameters: dict[str, Any], arguments: list[str]) -> None:
        import rclpy
        from rclpy.executors import SingleThreadedExecutor
        from rclpy.node import Node
        from rclpy.parameter import Parameter

        from pavenet_ros.node import PoseNode

        values = {'model': str(stand_in), 'num_threads': 1} | parameters
        self.context = rclpy.Context()
        rclpy.init(context=self.context)
        self.node = PoseNode(
            context=self.context,
            parameter_overrides=[Parameter(name, value=value) for name, value in values.items()],
            cli_args=['--ros-args', *arguments] if arguments else None,
        )
        self.world = Node('world', context=self.context)
        self.executor = SingleThreadedExecutor(context=self.context)
        self.executor.add_node(self.node)
        self.executor.add_node(self.world)

    def activate(self) -> 'Robot':
        from rclpy.lifecycle import TransitionCallbackReturn

        assert self.node.trigger_configure() == TransitionCallbackReturn.SUCCESS
        assert self.node.trigger_activate() == TransitionCallbackReturn.SUCCESS
        return self

    def listen(self, kind: type, topic: str, qos: Any = 10) -> list[Any]:
        """Return a list that messages will be appended to, once node and list are connected."""
        messages: list[Any] = []
        self.world.create_subscription(kind, topic, messages.append, qos)
        publishers = [each for each in self.node.publishers if each.topic_name == topic]
        assert publishers, f'the node has no {topic}'
        self.wait_for(lambda: publishers[0].get_subscription_count())
        return messages

    def camera(self, topic: str = '/image', kind: type | None = None, qos: Any = 10) -> Any:
        """Return a publisher of images, once somebody subscribes to it."""
        from sensor_msgs.msg import Image

        publisher = self.world.create_publisher(kind or Image, topic, qos)
        self.wait_for(publisher.get_subscription_count)
        return publisher

    def set(self, **parameters: Any) -> list[str]:
        """Set parameters one by one and return the reasons of those refused."""
        from rclpy.parameter import Parameter

        changes = [Parameter(name, value=value) for name, value in parameters.items()]
        results = self.node.set_parameters(changes)
        return [result.reason for result in results if not result.successful]

    def call(self, kind: type, service: str, **fields: Any) -> Any:
        """Return a service's answer; asked again if it gets lost, as the first one may."""
        client = self.world.create_client(kind, service)
        self.wait_for(client.service_is_ready)
        futures: list[Any] = []
        asked_s = -math.inf

        def is_answered() -> bool:
            nonlocal asked_s
            if time.monotonic() - asked_s > 2.0:
                asked_s = time.monotonic()
                futures.append(client.call_async(kind.Request(**fields)))
            return any(future.done() for future in futures)

        self.wait_for(is_answered)
        self.world.destroy_client(client)
        return next(future.result() for future in futures if future.done())

    def spin(self, seconds: float) -> None:
        end = time.monotonic() + seconds
        while (left := end - time.monotonic()) > 0:
            self.executor.spin_once(timeout_sec=left)

    def wait_for(self, is_done: Callable[[], Any], timeout_s: float = 20.0) -> None:
        end = time.monotonic() + timeout_s
        while not is_done():
            assert time.monotonic() < end, 'timed out'
            self.executor.spin_once(timeout_sec=0.01)

    def counts(self, camera: int = 0) -> Any:
        return self.node._cameras[camera].stats.counts()

    def destroy(self) -> None:
        import rclpy

        self.executor.shutdown()
        self.node.destroy_node()
        self.world.destroy_node()
        rclpy.try_shutdown(context=self.context)


@pytest.fixture
def make_robot(stand_in: Path) -> Iterator[Callable[..., Robot]]:
    """Give the maker of robots: parameters of the node by name, arguments after --ros-args."""
    robots: list[Robot] = []

    def make(*arguments: str, **parameters: Any) -> Robot:
        robots.append(Robot(stand_in, parameters, list(arguments)))
        return robots[-1]

    yield make
    for robot in robots:
        robot.destroy()
