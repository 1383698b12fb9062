"""The real thing: a camera process, the node process, and this process as the reader."""

import math
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

rclpy = pytest.importorskip('rclpy', reason='needs ROS 2')

from ament_index_python.packages import get_package_prefix
from lifecycle_msgs.msg import Transition
from lifecycle_msgs.srv import ChangeState, GetState
from rcl_interfaces.srv import SetParameters
from rclpy.executors import SingleThreadedExecutor
from rclpy.node import Node
from rclpy.parameter import Parameter
from rclpy.qos import DurabilityPolicy, QoSProfile

from pavenet_core.skeleton import COCO17
from pavenet_ros.conversions import from_skeleton_info, stamp_ns
from pavenet_ros.msg import PersonPoseArray, SkeletonInfo

HERE = Path(__file__).parent
VIDEO, NUM_IMAGES = HERE / 'data' / 'walk.mp4', 12 + 1  # and a black one
FIRST_NS, STEP_NS = 1_700_000_000_123_456_789, 33_333_333  # of publish_video.py
TIMEOUT_S = 120.0
SERVICES = {
    'change_state': ChangeState,
    'get_state': GetState,
    'set_parameters': SetParameters,
}


class Reader:
    """A node of this process that keeps what comes on /poses and can drive the pose node."""

    def __init__(self, context: Any) -> None:
        self.node = Node('reader', context=context)
        self.executor = SingleThreadedExecutor(context=context)
        self.executor.add_node(self.node)
        self.answers: list[PersonPoseArray] = []
        self.skeletons: list[SkeletonInfo] = []
        self.node.create_subscription(PersonPoseArray, '/poses', self._on_poses, 10)
        latched = QoSProfile(depth=1, durability=DurabilityPolicy.TRANSIENT_LOCAL)
        self.node.create_subscription(
            SkeletonInfo, '/pose_node/skeleton', self.skeletons.append, latched
        )

        self.clients = {
            service: self.node.create_client(kind, f'/pose_node/{service}')
            for service, kind in SERVICES.items()
        }

    def _on_poses(self, msg: PersonPoseArray) -> None:
        if msg.header.frame_id != 'test':  # what publish_video.py sends first
            self.answers.append(msg)

    def wait_for(self, is_done: Callable[[], Any], what: str) -> None:
        end = time.monotonic() + TIMEOUT_S
        while not is_done():
            assert time.monotonic() < end, f'waited {TIMEOUT_S} s for {what}'
            self.executor.spin_once(timeout_sec=0.05)

    def call(self, service: str, request: Any, retry_s: float) -> Any:
        """
        Return the answer.

        The first answer of a node that has just started may get lost: it is sent before the way
        back is known. So harmless requests are repeated, and go before the others.
        """
        client = self.clients[service]
        self.wait_for(client.service_is_ready, service)
        futures, asked_s = [client.call_async(request)], time.monotonic()
        end = asked_s + TIMEOUT_S
        while not any(future.done() for future in futures):
            assert time.monotonic() < end, f'waited {TIMEOUT_S} s for the answer of {service}'
            if time.monotonic() - asked_s > retry_s:
                futures.append(client.call_async(request))
                asked_s = time.monotonic()
            self.executor.spin_once(timeout_sec=0.05)
        return next(future.result() for future in futures if future.done())

    def change_state(self, transition: int) -> bool:
        request = ChangeState.Request(transition=Transition(id=transition))
        return bool(self.call('change_state', request, retry_s=math.inf).success)

    def set_parameter(self, name: str, value: object) -> None:
        parameter = Parameter(name, value=value).to_parameter_msg()
        request = SetParameters.Request(parameters=[parameter])
        results = self.call('set_parameters', request, retry_s=5.0).results
        assert results[0].successful, results[0].reason

    def state(self) -> str:
        return str(self.call('get_state', GetState.Request(), retry_s=5.0).current_state.label)

    def destroy(self) -> None:
        self.executor.shutdown()
        self.node.destroy_node()


@pytest.fixture
def reader() -> Iterator[Reader]:
    context = rclpy.Context()
    rclpy.init(context=context)
    reader = Reader(context)
    yield reader
    reader.destroy()
    rclpy.shutdown(context=context)


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Callable[..., 'subprocess.Popen[str]']]:
    """Give a starter of processes that are stopped after the test, their words kept in a file."""
    processes: list[subprocess.Popen[str]] = []

    def run(*command: str) -> 'subprocess.Popen[str]':
        with (tmp_path / f'{len(processes)}.log').open('w') as log:
            process = subprocess.Popen(
                command, stdout=log, stderr=subprocess.STDOUT, text=True, start_new_session=True
            )
        processes.append(process)
        return process

    yield run
    for i, process in enumerate(processes):
        if process.poll() is None:
            process.send_signal(signal.SIGINT)
        try:
            process.wait(20)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()
        print((tmp_path / f'{i}.log').read_text())


def parameters_file(tmp_path: Path, **parameters: object) -> str:
    lines = '\n'.join(f'    {name}: {value}' for name, value in parameters.items())
    path = tmp_path / 'pose.yaml'
    path.write_text(f'/**:\n  ros__parameters:\n    num_threads: 1\n{lines}\n')
    return str(path)


def launch_command(parameters: str) -> tuple[str, ...]:
    """Start the node as `make demo` does: by the launch file where there is a `ros2`."""
    if shutil.which('ros2'):
        return 'ros2', 'launch', 'pavenet_ros', 'pose.launch.py', f'params_file:={parameters}'
    script = HERE.parents[1] / 'scripts' / 'start_pose_node.py'
    return sys.executable, str(script), '--params-file', parameters


def camera(reliability: str) -> tuple[str, ...]:
    return sys.executable, str(HERE / 'publish_video.py'), str(VIDEO), reliability


def stamps(answers: list[PersonPoseArray]) -> list[int]:
    return [stamp_ns(answer.header) for answer in answers]


@pytest.mark.parametrize('reliability', ['reliable', 'best_effort'])
def test_every_image_of_the_camera_is_answered(
    reader: Reader, start: Callable[..., Any], tmp_path: Path, reliability: str
) -> None:
    """The shipped model and real frames: every stamp comes back, people where they are."""
    start(*launch_command(parameters_file(tmp_path, model='compact')))
    reader.wait_for(lambda: reader.skeletons, 'the skeleton')
    start(*camera(reliability))
    reader.wait_for(lambda: len(reader.answers) == NUM_IMAGES, f'{NUM_IMAGES} answers')

    assert stamps(reader.answers) == [FIRST_NS + i * STEP_NS for i in range(NUM_IMAGES)]
    assert {answer.header.frame_id for answer in reader.answers} == {'camera_optical'}
    assert {(a.image_width, a.image_height) for a in reader.answers} == {(640, 360)}
    assert {(a.model, a.skeleton) for a in reader.answers} == {('compact', 'coco17')}
    assert all(answer.poses for answer in reader.answers[:-1])
    for person in reader.answers[0].poses:
        assert len(person.keypoints) == len(COCO17)
        assert 0 <= person.score <= 1
    assert from_skeleton_info(reader.skeletons[0]).names == COCO17.names


def test_the_node_survives_a_missing_model_and_goes_through_its_states(
    reader: Reader, start: Callable[..., Any], stand_in: Path, tmp_path: Path
) -> None:
    executable = Path(get_package_prefix('pavenet_ros')) / 'lib' / 'pavenet_ros' / 'pose_node'
    node = start(sys.executable, str(executable), '--ros-args', '-p', 'model:=/no/such/model')
    assert reader.state() == 'unconfigured'
    assert not reader.change_state(Transition.TRANSITION_CONFIGURE)
    assert reader.state() == 'unconfigured'
    assert "no model '/no/such/model'" in (tmp_path / '0.log').read_text()

    reader.set_parameter('model', str(stand_in))
    assert reader.change_state(Transition.TRANSITION_CONFIGURE)
    assert reader.node.count_subscribers('/image') == 0
    assert reader.change_state(Transition.TRANSITION_ACTIVATE)
    reader.wait_for(lambda: reader.node.count_subscribers('/image') == 1, 'the subscription')
    start(*camera('reliable'))
    reader.wait_for(lambda: len(reader.answers) == NUM_IMAGES, f'{NUM_IMAGES} answers')
    # The last image is black, and the stand-in model sees nobody there: still a message.
    assert all(answer.poses for answer in reader.answers[:-1])
    assert reader.answers[-1].poses == []
    assert reader.change_state(Transition.TRANSITION_DEACTIVATE)
    reader.wait_for(lambda: reader.node.count_subscribers('/image') == 0, 'the unsubscription')
    assert reader.change_state(Transition.TRANSITION_CLEANUP)
    assert reader.state() == 'unconfigured'
    assert node.poll() is None


def test_the_start_script_serves_a_namespace_and_takes_its_node_along(
    reader: Reader, start: Callable[..., Any], stand_in: Path, tmp_path: Path
) -> None:
    script = HERE.parents[1] / 'scripts' / 'start_pose_node.py'
    parameters = parameters_file(tmp_path, model=stand_in)
    arguments = ('--params-file', parameters, '-r', '__ns:=/front', '-r', '__node:=eyes')
    process = start(sys.executable, str(script), *arguments)
    node = reader.node
    reader.wait_for(lambda: node.count_subscribers('/front/image') == 1, 'the subscription')
    reader.wait_for(lambda: ('eyes', '/front') in node.get_node_names_and_namespaces(), 'its name')
    process.terminate()
    reader.wait_for(lambda: node.count_subscribers('/front/image') == 0, 'the end of the node')


def test_a_parameter_of_the_wrong_type_is_one_sentence(tmp_path: Path) -> None:
    executable = Path(get_package_prefix('pavenet_ros')) / 'lib' / 'pavenet_ros' / 'pose_node'
    arguments = ('--ros-args', '-p', 'score_threshold:=1')
    result = subprocess.run(
        [sys.executable, str(executable), *arguments], capture_output=True, text=True, timeout=60
    )
    assert result.returncode == 1
    assert result.stderr.startswith('pose_node: ')
    assert 'score_threshold' in result.stderr
    assert len(result.stderr.splitlines()) == 1
