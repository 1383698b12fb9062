"""The once-a-second look after the cameras: /diagnostics, silence, reliability."""

from collections.abc import Sequence
from time import monotonic

from diagnostic_msgs.msg import DiagnosticArray
from rclpy.clock import Clock, ClockType
from rclpy.node import Node
from rclpy.qos import QoSProfile

from pavenet_core.runtime import PoseModel
from pavenet_ros.camera import Camera
from pavenet_ros.diagnostics import OK, SILENCE_S, WARN, CameraMonitor, Report
from pavenet_ros.memory import resident_mib

PERIOD_S = 1.0


class HealthReporter:
    """
    Publish /diagnostics while configured; while active, tell when no images come.

    By a steady clock: simulated time may stand still.
    """

    def __init__(
        self,
        node: Node,
        cameras: Sequence[Camera],
        model: PoseModel,
    ) -> None:
        self._node = node
        self._cameras = cameras
        self._model = {
            'model': f'{model.metadata.name} {model.metadata.version}',
            'execution provider': ', '.join(model.providers),
        }
        self._fallback = model.fallback
        self._monitors: list[CameraMonitor] = []
        self._silent: set[str] = set()  # names of the cameras that were reported
        self._publisher = node.create_publisher(
            DiagnosticArray, '/diagnostics', QoSProfile(depth=1)
        )
        self._timer = node.create_timer(
            PERIOD_S, self._look, clock=Clock(clock_type=ClockType.STEADY_TIME)
        )

    def start_watching(self) -> None:
        """Begin to judge the cameras: the node is active now."""
        self._monitors = [CameraMonitor(monotonic(), c.stats.counts()) for c in self._cameras]
        self._silent.clear()

    def stop_watching(self) -> None:
        """Judge them no more."""
        self._monitors = []

    def destroy(self) -> None:
        """End the reports."""
        self._node.destroy_timer(self._timer)
        self._node.destroy_publisher(self._publisher)

    def _look(self) -> None:
        name = self._node.get_fully_qualified_name().lstrip('/')
        state = 'active' if self._monitors else 'inactive'
        values = self._model | {'memory (MiB)': f'{resident_mib():.0f}', 'state': state}
        level, message = (WARN, f'{state}; {self._fallback}') if self._fallback else (OK, state)
        statuses = [Report(level, message, values).to_status(f'{name}: model', 'none')]
        for camera, monitor in zip(self._cameras, self._monitors, strict=False):
            assert camera.subscription
            report = self._judge(camera, monitor)
            topic = camera.subscription.topic
            statuses.append(report.to_status(f'{name}: images of {topic}', topic))
        array = DiagnosticArray(status=statuses)
        array.header.stamp = self._node.get_clock().now().to_msg()
        self._publisher.publish(array)

    def _judge(self, camera: Camera, monitor: CameraMonitor) -> Report:
        assert camera.subscription
        camera.subscription.follow_publishers()
        counts, now_s = camera.stats.counts(), monotonic()
        publishers = ''
        if monitor.silence_s(counts, now_s) >= SILENCE_S:
            publishers = camera.subscription.describe_publishers()
            self._tell_silence(camera, publishers)
        elif camera.name in self._silent:
            self._silent.remove(camera.name)
            self._node.get_logger().info(f'images come on {camera.subscription.topic}')
        return monitor.report(counts, now_s, publishers)

    def _tell_silence(self, camera: Camera, publishers: str) -> None:
        """Warn once in each silence."""
        if camera.name not in self._silent and camera.subscription:
            self._silent.add(camera.name)
            self._node.get_logger().warning(
                f'no image on {camera.subscription.topic} for {SILENCE_S:.0f} s: {publishers}'
            )
