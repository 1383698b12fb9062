"""Processes of a robot, and this process as the one who reads, asks and measures."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import rclpy
from ament_index_python.packages import get_package_prefix
from lifecycle_msgs.msg import Transition
from lifecycle_msgs.srv import ChangeState, GetState
from rclpy.executors import SingleThreadedExecutor
from rclpy.node import Node

from pavenet_ros.conversions import stamp_ns
from pavenet_ros.msg import PersonPoseArray

CAMERA = Path(__file__).with_name('ros_camera.py')
TIMEOUT_S = 60.0


def end_on_sigterm() -> None:
    """Leave by an exception when told to end, so that no process started here is left behind."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))


class Process:
    """A program that is started here and looked at through /proc."""

    def __init__(self, *command: str, **environment: str) -> None:
        self._process = subprocess.Popen(
            command, env=os.environ | environment, start_new_session=True
        )

    @property
    def is_alive(self) -> bool:
        """Say whether it still runs."""
        return self._process.poll() is None

    def kill(self) -> None:
        """End it at once, as `kill -9` or a failing battery does."""
        self._process.kill()
        self._process.wait()

    def stop(self) -> int:
        """Ask it to end, as Ctrl-C does; return its exit code."""
        if self.is_alive:
            self._process.send_signal(signal.SIGINT)
        try:
            return self._process.wait(20)
        except subprocess.TimeoutExpired:
            self.kill()
            raise

    def memory_mib(self, kind: str = 'VmRSS') -> float:
        """Return its resident memory."""
        status = Path(f'/proc/{self._process.pid}/status').read_text()
        return next(
            int(line.split()[1]) / 1024 for line in status.splitlines() if line.startswith(kind)
        )

    def cpu_s(self) -> float:
        """Return the processor time that it has taken."""
        stat = Path(f'/proc/{self._process.pid}/stat').read_text()
        user, system = stat.rsplit(')', 1)[1].split()[11:13]
        return (int(user) + int(system)) / os.sysconf('SC_CLK_TCK')


class PoseNode(Process):
    """The node; `parameters` by name, `arguments` as after --ros-args."""

    def __init__(
        self, *arguments: str, namespace: str = '', parameters: dict[str, Any] | None = None
    ) -> None:
        self.name = f'{namespace}/pose_node'
        executable = Path(get_package_prefix('pavenet_ros')) / 'lib' / 'pavenet_ros' / 'pose_node'
        given = [f'{name}:={value}' for name, value in (parameters or {}).items()]
        super().__init__(
            *(sys.executable, str(executable), '--ros-args', '-r', f'__ns:={namespace or "/"}'),
            *(word for value in given for word in ('-p', value)),
            *arguments,
        )


class Camera(Process):
    """A camera that plays a video over and over."""

    def __init__(self, **options: Any) -> None:
        words = (word for name, value in options.items() for word in (f'--{name}', str(value)))
        super().__init__(sys.executable, str(CAMERA), *words)


class Reader:
    """A node of this process; its answers are (arrival in seconds, message)."""

    def __init__(self, name: str = 'reader') -> None:
        self._context = rclpy.Context()
        rclpy.init(context=self._context)
        self.node = Node(name, context=self._context)
        self._executor = SingleThreadedExecutor(context=self._context)
        self._executor.add_node(self.node)

    def listen(self, topic: str = '/poses') -> list[tuple[float, PersonPoseArray]]:
        """Return a list that the answers will be appended to."""
        answers: list[tuple[float, PersonPoseArray]] = []
        self.node.create_subscription(
            PersonPoseArray, topic, lambda msg: answers.append((time.time(), msg)), 10
        )
        return answers

    def spin(self, seconds: float) -> None:
        """Take what comes for so long."""
        end_s = time.monotonic() + seconds
        while (left_s := end_s - time.monotonic()) > 0:
            self._executor.spin_once(timeout_sec=left_s)

    def wait_for(
        self, is_done: Callable[[], Any], what: str, timeout_s: float = TIMEOUT_S
    ) -> None:
        """Take what comes until it is done; `TimeoutError` if that does not happen."""
        end_s = time.monotonic() + timeout_s
        while not is_done():
            if time.monotonic() > end_s:
                raise TimeoutError(f'waited {timeout_s:.0f} s for {what}')
            self._executor.spin_once(timeout_sec=0.02)

    def call(self, kind: type, service: str, request: Any, is_harmless: bool = False) -> Any:
        """
        Return the answer of a service.

        The first answer of a node that has just started may get lost, as it is sent before the way
        back is known: so harmless requests are repeated, and go before the others.
        """
        client = self.node.create_client(kind, service)
        self.wait_for(client.service_is_ready, service)
        futures, asked_s = [client.call_async(request)], time.monotonic()

        def is_answered() -> bool:
            nonlocal asked_s
            if is_harmless and time.monotonic() - asked_s > 2.0:
                asked_s = time.monotonic()
                futures.append(client.call_async(request))
            return any(future.done() for future in futures)

        self.wait_for(is_answered, f'the answer of {service}')
        self.node.destroy_client(client)
        return next(future.result() for future in futures if future.done())

    def state(self, name: str) -> str:
        """Return the lifecycle state of a node."""
        answer = self.call(GetState, f'{name}/get_state', GetState.Request(), is_harmless=True)
        return str(answer.current_state.label)

    def activate(self, name: str) -> None:
        """Configure and activate a node that has just started."""
        for transition, wanted in (
            (Transition.TRANSITION_CONFIGURE, 'inactive'),
            (Transition.TRANSITION_ACTIVATE, 'active'),
        ):
            self._change_state(name, transition, wanted)

    def _change_state(self, name: str, transition: int, wanted: str) -> None:
        # After a crash the dead node's service is known for longer than the new one: a request may
        # go there. So the state says what happened, and whether to ask again.
        client = self.node.create_client(ChangeState, f'{name}/change_state')
        request = ChangeState.Request(transition=Transition(id=transition))
        while (before := self.state(name)) != wanted:
            future = client.call_async(request)
            end_s = time.monotonic() + 5.0
            while not future.done() and time.monotonic() < end_s:
                self._executor.spin_once(timeout_sec=0.02)
            if future.done() and not future.result().success:
                raise RuntimeError(f'{name} does not go from {before} to {wanted}')
        self.node.destroy_client(client)

    def destroy(self) -> None:
        """End it."""
        self._executor.shutdown()
        self.node.destroy_node()
        rclpy.shutdown(context=self._context)


def age_s(answer: tuple[float, PersonPoseArray]) -> float:
    """Return how old an answer's image was when the answer came."""
    arrival_s, msg = answer
    return arrival_s - stamp_ns(msg.header) / 1e9
