"""The launch file for real: launch, the node's process, and this process looking at them."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

rclpy = pytest.importorskip('rclpy', reason='needs ROS 2')
pytest.importorskip('launch_ros', reason='needs launch and launch_ros, not on PyPI')

from lifecycle_msgs.srv import GetState
from rcl_interfaces.srv import GetParameters
from rclpy.executors import SingleThreadedExecutor
from rclpy.node import Node

RUN_LAUNCH = Path(__file__).with_name('run_launch.py')
TIMEOUT_S = 60.0


class Launch:
    """A running launch file and what can be seen of it."""

    def __init__(self, context: Any, log: Path, arguments: tuple[str, ...]) -> None:
        self._log = log
        with log.open('w') as out:
            self.process = subprocess.Popen(
                [sys.executable, str(RUN_LAUNCH), *arguments],
                stdout=out,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        self._node = Node('looker', context=context)
        self._executor = SingleThreadedExecutor(context=context)
        self._executor.add_node(self._node)

    @property
    def said(self) -> str:
        return self._log.read_text()

    def wait_for(self, is_done: Callable[[], Any], what: str) -> None:
        end = time.monotonic() + TIMEOUT_S
        while not is_done():
            assert time.monotonic() < end, f'waited {TIMEOUT_S} s for {what}:\n{self.said}'
            self._executor.spin_once(timeout_sec=0.05)

    def wait_for_words(self, words: str) -> None:
        self.wait_for(lambda: words in self.said, repr(words))

    def call(self, kind: type, service: str, **fields: Any) -> Any:
        """Return the answer of a harmless service; asked again, as the first one may get lost."""
        client = self._node.create_client(kind, service)
        self.wait_for(client.service_is_ready, service)
        futures, asked_s = [client.call_async(kind.Request(**fields))], time.monotonic()

        def is_answered() -> bool:
            nonlocal asked_s
            if time.monotonic() - asked_s > 2.0:
                asked_s = time.monotonic()
                futures.append(client.call_async(kind.Request(**fields)))
            return any(future.done() for future in futures)

        self.wait_for(is_answered, f'the answer of {service}')
        return next(future.result() for future in futures if future.done())

    def state(self, node: str) -> str:
        return str(self.call(GetState, f'{node}/get_state').current_state.label)

    def wait_for_state(self, node: str, wanted: str) -> None:
        self.wait_for(lambda: self.state(node) == wanted, f'{node} to be {wanted}')

    def parameters(self, node: str, *names: str) -> list[Any]:
        answer = self.call(GetParameters, f'{node}/get_parameters', names=names)
        return [rclpy.parameter.parameter_value_to_python(value) for value in answer.values]

    def topics(self, node: str) -> dict[str, list[str]]:
        """Return what the node publishes and subscribes to, once that is known here."""
        namespace, name = node.rsplit('/', 1)
        found: dict[str, list[str]] = {}
        for look in ('publisher', 'subscriber'):
            names_and_types = getattr(self._node, f'get_{look}_names_and_types_by_node')
            found[look] = [topic for topic, _ in names_and_types(name, namespace or '/')]
        return found

    def environment(self) -> dict[str, str]:
        """Return that of the node's process."""
        parent = str(self.process.pid)
        for status in Path('/proc').glob('[0-9]*/status'):
            if f'PPid:\t{parent}\n' in status.read_text():
                variables = status.with_name('environ').read_text().split('\0')
                return dict(each.split('=', 1) for each in variables if '=' in each)
        raise AssertionError('the launch file runs no process')

    def stop(self) -> int:
        """End it as Ctrl-C in its terminal does, which the node gets too; return its exit code."""
        if self.process.poll() is None:
            os.killpg(self.process.pid, signal.SIGINT)
        return self.process.wait(30)

    def destroy(self) -> None:
        try:
            self.stop()
        finally:
            with suppress(ProcessLookupError):
                os.killpg(self.process.pid, signal.SIGKILL)
            self._executor.shutdown()
            self._node.destroy_node()
            print(self.said)


@pytest.fixture
def launch(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., Launch]]:
    """Give a starter of the launch file: arguments as after `ros2 launch`."""
    monkeypatch.setenv('ROS_LOG_DIR', str(tmp_path / 'ros_log'))
    context = rclpy.Context()
    rclpy.init(context=context)
    launches: list[Launch] = []

    def run(*arguments: str) -> Launch:
        launches.append(Launch(context, tmp_path / f'{len(launches)}.log', arguments))
        return launches[-1]

    yield run
    for each in launches:
        each.destroy()
    rclpy.shutdown(context=context)


@pytest.fixture
def params_file(tmp_path: Path, stand_in: Path) -> Path:
    """Give a parameter file unlike the defaults, with the stand-in model."""
    path = tmp_path / 'my.yaml'
    path.write_text(
        '/**:\n  ros__parameters:\n'
        f'    model: {stand_in}\n    device: cpu\n    num_threads: 1\n    score_threshold: 0.7\n'
        '    image_transport: compressed\n    use_sim_time: true\n'
    )
    return path


def test_the_node_gets_its_names_and_becomes_active(
    launch: Callable[..., Launch], stand_in: Path
) -> None:
    running = launch(
        *('namespace:=front', 'image:=/camera/image_raw', 'poses:=people'),
        *(f'model:={stand_in}', 'device:=cpu', 'use_sim_time:=true', 'fastdds_profile:=default'),
    )
    node = '/front/pose_node'
    running.wait_for_state(node, 'active')
    running.wait_for(
        lambda: '/camera/image_raw' in running.topics(node)['subscriber'], 'the subscription'
    )
    assert '/front/people' in running.topics(node)['publisher']
    assert running.parameters(node, 'model', 'device', 'image_transport', 'use_sim_time') == [
        *(str(stand_in), 'cpu', 'raw', True)
    ]
    profiles = [
        Path(value)
        for name, value in running.environment().items()
        if name.endswith('_DEFAULT_PROFILES_FILE')
    ]
    assert [path.name for path in profiles] == ['fastdds_large_images.xml']
    assert profiles[0].is_file()
    assert running.stop() == 0
    assert 'process has finished cleanly' in running.said


def test_arguments_win_over_the_parameter_file_only_when_given(
    launch: Callable[..., Launch], params_file: Path
) -> None:
    running = launch(f'params_file:={params_file}', 'image_transport:=raw', 'image:=cam')
    running.wait_for_state('/pose_node', 'active')
    names = 'score_threshold', 'device', 'use_sim_time', 'image_transport'
    assert running.parameters('/pose_node', *names) == [0.7, 'cpu', True, 'raw']
    running.wait_for(
        lambda: '/cam' in running.topics('/pose_node')['subscriber'], 'the subscription'
    )


def test_without_autostart_a_manager_has_the_node(
    launch: Callable[..., Launch], params_file: Path
) -> None:
    running = launch(f'params_file:={params_file}', 'autostart:=false', 'log_level:=debug')
    running.wait_for_words('not configured yet')
    time.sleep(2.0)
    assert running.state('/pose_node') == 'unconfigured'
    running.wait_for_words('[DEBUG]')


def test_a_node_that_can_not_be_configured_lives_and_says_why(
    launch: Callable[..., Launch],
) -> None:
    running = launch('model:=/no/such/model', 'log_level:=error')
    running.wait_for_words("cannot configure: no model '/no/such/model'")
    assert running.state('/pose_node') == 'unconfigured'
    assert 'waiting' not in running.said  # of level info


def test_to_build_engines_the_node_only_starts_and_ends(
    launch: Callable[..., Launch], stand_in: Path
) -> None:
    running = launch(f'model:={stand_in}', 'device:=cpu', 'build_only:=true')
    running.wait_for_words('pose_node: cannot build engines: there are no engines to build')
    running.wait_for_words('process has died')
    assert running.process.wait(30) == 0


@pytest.mark.parametrize('argument', ['params_file', 'fastdds_profile'])
def test_a_file_that_is_not_there_ends_the_launch_with_a_sentence(
    launch: Callable[..., Launch], argument: str
) -> None:
    running = launch(f'{argument}:=/no/such/file')
    running.wait_for_words(f'{argument}:=/no/such/file is not a file')
    assert running.process.wait(30) == 1
