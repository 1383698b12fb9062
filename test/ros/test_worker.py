"""The worker thread: cameras in turns, late answers given, nothing lost at the end."""

import threading
import time
from collections.abc import Callable
from typing import Any

import pytest

pytest.importorskip('rclpy', reason='needs ROS 2')

from pavenet_ros.pipeline import Received
from pavenet_ros.worker import PoseWorker


class FakePipeline:
    """Notes what it is given; each image takes a while, and waits for one more."""

    def __init__(self, log: list[str], name: str, work_s: float = 0.0) -> None:
        self.log, self.name, self.work_s = log, name, work_s
        self.due_s: float | None = None

    def process(self, received: Received) -> None:
        time.sleep(self.work_s)
        self.log.append(f'{self.name} {received.msg}')

    def seconds_until_due(self) -> float | None:
        return None if self.due_s is None else max(0.0, self.due_s - time.monotonic())

    def finish(self) -> None:
        self.due_s = None
        self.log.append(f'{self.name} finished')


def wait_for(is_done: Callable[[], Any], timeout_s: float = 10.0) -> None:
    end = time.monotonic() + timeout_s
    while not is_done():
        assert time.monotonic() < end, 'timed out'
        time.sleep(0.002)


def received(msg: Any) -> Received:
    return Received(msg, 0)


def test_a_fast_camera_leaves_a_slow_one_its_turn() -> None:
    log: list[str] = []
    pipelines = [FakePipeline(log, 'fast', 0.01), FakePipeline(log, 'slow', 0.01)]
    worker = PoseWorker(pipelines)  # type: ignore[arg-type]
    worker.start()
    for i in range(60):
        worker.put(0, received(i))
        if i % 10 == 0:
            worker.put(1, received(i))
        time.sleep(0.005)
    worker.stop()
    turns = [line.split()[0] for line in log if not line.endswith('finished')]
    # 6 images of the slow one came; most of the 60 of the fast one were replaced.
    assert turns.count('slow') >= 4
    assert turns.count('fast') >= 10


def test_stopping_answers_the_images_at_hand_and_ends_the_thread() -> None:
    log: list[str] = []
    pipelines = [FakePipeline(log, 'a', 0.05), FakePipeline(log, 'b')]
    worker = PoseWorker(pipelines)  # type: ignore[arg-type]
    worker.start()
    worker.put(0, received(1))
    worker.put(1, received(1))
    worker.stop()
    assert log == ['a 1', 'b 1', 'a finished', 'b finished']
    assert 'pose_worker' not in {thread.name for thread in threading.enumerate()}


def test_a_camera_that_falls_silent_gets_its_last_answers() -> None:
    log: list[str] = []
    pipeline = FakePipeline(log, 'a')
    worker = PoseWorker([pipeline])  # type: ignore[list-item]
    pipeline.due_s = time.monotonic() + 0.1
    worker.start()
    wait_for(lambda: log)
    assert log == ['a finished']
    worker.stop()


def test_an_idle_worker_sleeps() -> None:
    worker = PoseWorker([FakePipeline([], 'a')])  # type: ignore[list-item]
    worker.start()
    before_s = time.process_time()
    time.sleep(0.5)
    assert time.process_time() - before_s < 0.05
    worker.stop()
