"""
What the node costs beside the model: time from callback to publish, and processor while idle.

python benchmarks/ros_overhead.py --seconds 20
"""

import argparse
import statistics
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from functools import wraps
from threading import Thread
from typing import Any

import rclpy
from rclpy.parameter import Parameter
from ros_robot import Camera, PoseNode, Process, Reader, end_on_sigterm

from pavenet_core.runtime import VideoPoseEstimator
from pavenet_ros import pipeline
from pavenet_ros.node import PoseNode as NodeOfThisProcess
from pavenet_ros.outputs import CameraOutputs

BARE_SUBSCRIBER = """
import rclpy
from rclpy.qos import QoSProfile
from sensor_msgs.msg import Image
rclpy.init()
node = rclpy.create_node('bare')
node.create_subscription(Image, '/image', lambda msg: None, QoSProfile(depth=1))
rclpy.spin(node)
"""
OVERHEAD_AIM_MS, IDLE_AIM = 3.0, 2.0


def main() -> None:
    """Measure both and print them."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('--seconds', type=float, default=20.0, help='of each measurement (20)')
    parser.add_argument('--model', default='compact')
    parser.add_argument('--size', default='640x480')
    parser.add_argument('--rate', type=float, default=4.0, help='images a second, answered (4)')
    args = parser.parse_args()
    end_on_sigterm()
    print_overhead(measure_overhead(args), args)
    print_idle(args.seconds, args.size)


def measure_overhead(args: argparse.Namespace) -> dict[str, list[float]]:
    """Return milliseconds of each image: in all, and of its parts."""
    times: dict[str, list[float]] = {'model': [], 'publish': [], 'wait': [], 'in all': []}
    with ExitStack() as stack:
        stack.enter_context(timed(VideoPoseEstimator, 'push', times['model']))
        node = stack.enter_context(running_node(args.model))
        reader = Reader()
        stack.callback(reader.destroy)
        reader.listen()
        stack.enter_context(timed(CameraOutputs, 'publish', times['publish']))
        stack.enter_context(timed_images(times))
        camera = Camera(rate=args.rate, size=args.size)
        stack.callback(camera.stop)
        reader.wait_for(lambda: len(times['in all']) > 10, 'answers')
        for each in times.values():
            each.clear()
        reader.spin(args.seconds)
        assert node.context.ok()
    return times


@contextmanager
def running_node(model: str) -> Iterator[NodeOfThisProcess]:
    """Run an active node in a thread of this process."""
    context = rclpy.Context()
    rclpy.init(context=context)
    node = NodeOfThisProcess(
        context=context, parameter_overrides=[Parameter('model', value=model)]
    )
    node.trigger_configure()
    node.trigger_activate()
    executor = rclpy.executors.SingleThreadedExecutor(context=context)
    executor.add_node(node)
    thread = Thread(target=executor.spin, daemon=True)
    thread.start()
    yield node
    executor.shutdown()
    thread.join(5.0)
    node.destroy_node()
    rclpy.shutdown(context=context)


@contextmanager
def timed(owner: type, name: str, times_ms: list[float]) -> Iterator[None]:
    """Measure every call of a method."""
    method: Callable[..., Any] = getattr(owner, name)

    @wraps(method)
    def run(*arguments: Any) -> Any:
        began_s = time.monotonic()
        result = method(*arguments)
        times_ms.append(1e3 * (time.monotonic() - began_s))
        return result

    setattr(owner, name, run)
    yield
    setattr(owner, name, method)


@contextmanager
def timed_images(times: dict[str, list[float]]) -> Iterator[None]:
    """Measure every image from its callback until its answer is published."""
    process = pipeline.ImagePipeline.process

    def run(self: pipeline.ImagePipeline, received: pipeline.Received) -> None:
        taken_ns = time.monotonic_ns()
        process(self, received)
        times['wait'].append((taken_ns - received.arrival_ns) / 1e6)
        times['in all'].append((time.monotonic_ns() - received.arrival_ns) / 1e6)

    pipeline.ImagePipeline.process = run
    yield
    pipeline.ImagePipeline.process = process


def print_overhead(times: dict[str, list[float]], args: argparse.Namespace) -> None:
    """Print medians and 95 %, and the verdict."""
    beside = [whole - model for whole, model in zip(times['in all'], times['model'], strict=False)]
    print(f'{len(beside)} images of {args.size} at {args.rate:g} Hz, model {args.model}; ms:')
    print(f'{"":34}{"median":>8}{"95 %":>8}')
    for meaning, values in (
        ('callback to published', times['in all']),
        ('model (resize to people)', times['model']),
        ('overhead: all but the model', beside),
        ('  of it: wait for the worker', times['wait']),
        ('  of it: message and publish', times['publish']),
    ):
        high = statistics.quantiles(values, n=20)[-1]
        print(f'{meaning:34}{statistics.median(values):8.2f}{high:8.2f}')
    is_met = statistics.median(beside) < OVERHEAD_AIM_MS
    print(f'aim: overhead < {OVERHEAD_AIM_MS} ms: {"met" if is_met else "MISSED"}\n')


def print_idle(seconds: float, size: str) -> None:
    """Print the processor share of an active node that nobody listens to, beside a bare one."""
    with ExitStack() as stack:
        reader = Reader()
        stack.callback(reader.destroy)
        processes: dict[str, Process] = {
            'pose_node': PoseNode(),
            'bare rclpy subscriber': Process(sys.executable, '-c', BARE_SUBSCRIBER),
        }
        for process in processes.values():
            stack.callback(process.kill)
        reader.activate('/pose_node')
        reader.wait_for(lambda: reader.node.count_subscribers('/image') == 2, 'two subscribers')
        print(f'processor, % of a core, nobody listens to the results, {seconds:g} s each:')
        without = measure_cpu(processes, reader, seconds)
        camera = Camera(rate=30, size=size)
        stack.callback(camera.stop)
        reader.spin(5.0)
        with_images = measure_cpu(processes, reader, seconds)
    print(f'{"":34}{"no camera":>10}{f"{size} at 30 Hz":>20}')
    for name in processes:
        print(f'{name:34}{without[name]:10.1f}{with_images[name]:20.1f}')
    is_met = without['pose_node'] < IDLE_AIM
    print(f'aim: idle < {IDLE_AIM} % of a core: {"met" if is_met else "MISSED"}')


def measure_cpu(processes: dict[str, Process], reader: Reader, seconds: float) -> dict[str, float]:
    """Return the percentage of a core that each takes."""
    before = {name: process.cpu_s() for name, process in processes.items()}
    began_s = time.monotonic()
    reader.spin(seconds)
    elapsed_s = time.monotonic() - began_s
    return {name: 100 * (p.cpu_s() - before[name]) / elapsed_s for name, p in processes.items()}


if __name__ == '__main__':
    main()
