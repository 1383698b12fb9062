"""The node: newest image in, `PersonPoseArray` out."""

from collections.abc import Callable
from functools import wraps
from traceback import format_exc

import rclpy
from rclpy.executors import ExternalShutdownException
from rclpy.lifecycle import LifecycleNode, LifecycleState, TransitionCallbackReturn
from rclpy.publisher import Publisher
from rclpy.qos import DurabilityPolicy, QoSProfile

from pavenet_core.runtime import VideoPoseEstimator
from pavenet_ros.conversions import to_skeleton_info
from pavenet_ros.image_subscription import ImageSubscription
from pavenet_ros.msg import PersonPoseArray, SkeletonInfo
from pavenet_ros.parameters import NodeParameters, declare_parameters, read_parameters
from pavenet_ros.worker import PoseWorker

RESULT_QOS = QoSProfile(depth=10)  # reliable, volatile
LATCHED_QOS = QoSProfile(depth=1, durability=DurabilityPolicy.TRANSIENT_LOCAL)


Transition = Callable[['PoseNode', LifecycleState], TransitionCallbackReturn]


def logged(transition: Transition) -> Transition:
    """Log what a transition raises, since rclpy drops it and goes to the error state."""

    @wraps(transition)
    def run(node: 'PoseNode', state: LifecycleState) -> TransitionCallbackReturn:
        try:
            return transition(node, state)
        except Exception:
            node.get_logger().fatal(f'{transition.__name__} failed:\n{format_exc()}')
            raise

    return run


class PoseNode(LifecycleNode):
    """
    Find people in the images of one camera.

    unconfigured --configure--> inactive --activate--> active
    (parameters)                (model loaded)         (subscribed, one worker thread)

    Images are received only while active: an inactive node costs no time.
    """

    def __init__(self) -> None:
        super().__init__('pose_node')
        declare_parameters(self)
        self._settings: NodeParameters | None = None
        self._estimator: VideoPoseEstimator | None = None
        self._poses_publisher: Publisher | None = None
        self._skeleton_publisher: Publisher | None = None
        self._subscription: ImageSubscription | None = None
        self._worker: PoseWorker | None = None

    @logged
    def on_configure(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Load the model; FAILURE leaves the node unconfigured, alive, with the reason logged."""
        try:
            self._settings = read_parameters(self)
            self._estimator = make_estimator(self._settings)
        except ValueError as error:
            self.get_logger().error(f'cannot configure: {error}')
            return TransitionCallbackReturn.FAILURE
        self._poses_publisher = self.create_lifecycle_publisher(
            PersonPoseArray, 'poses', RESULT_QOS
        )
        self._skeleton_publisher = self.create_publisher(SkeletonInfo, '~/skeleton', LATCHED_QOS)
        metadata = self._estimator.metadata
        self._skeleton_publisher.publish(to_skeleton_info(metadata.skeleton))
        self.get_logger().info(
            f'model {metadata.name} {metadata.version}: {metadata.num_frames} frames, skeleton '
            f'{metadata.skeleton.name}, on {", ".join(self._estimator.providers)}'
        )
        return super().on_configure(state)

    @logged
    def on_activate(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Start the worker, then the images; SUCCESS leads to active."""
        assert self._estimator and self._settings and self._poses_publisher
        result = super().on_activate(state)
        self._worker = PoseWorker(self._estimator, self._publish, self._warn)
        self._worker.start()
        self._subscription = ImageSubscription(
            self, 'image', self._worker.put, self._settings.image_qos
        )
        self.get_logger().info(f'waiting for images on {self._subscription.topic}')
        return result

    @logged
    def on_deactivate(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Stop the images, answer the last ones, stop the worker; SUCCESS leads to inactive."""
        self._stop()
        return super().on_deactivate(state)

    @logged
    def on_cleanup(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Release the model; SUCCESS leads to unconfigured."""
        self._release()
        return super().on_cleanup(state)

    def on_shutdown(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Stop and release whatever there is; SUCCESS leads to finalized."""
        self._stop()
        self._release()
        return super().on_shutdown(state)

    def on_error(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Stop and release whatever there is; SUCCESS leads to unconfigured."""
        self._stop()
        self._release()
        return super().on_error(state)

    def destroy_node(self) -> None:
        """End the worker before what it publishes with."""
        self._stop()
        super().destroy_node()

    def _stop(self) -> None:
        if self._subscription is not None:
            self._subscription.destroy()
            self._subscription = None
        if self._worker is not None:
            self._worker.stop()
            if self._worker.dropped:
                self.get_logger().info(
                    f'{self._worker.dropped} images were replaced by newer ones before their turn'
                )
            self._worker = None

    def _release(self) -> None:
        for publisher in (self._poses_publisher, self._skeleton_publisher):
            if publisher is not None:
                self.destroy_publisher(publisher)
        self._poses_publisher = self._skeleton_publisher = self._estimator = None

    def _publish(self, msg: PersonPoseArray) -> None:
        if self._poses_publisher is not None and self.context.ok():  # not after Ctrl-C
            self._poses_publisher.publish(msg)

    def _warn(self, message: str) -> None:
        self.get_logger().warning(message, throttle_duration_sec=5.0)


def make_estimator(parameters: NodeParameters) -> VideoPoseEstimator:
    """Open the model as told; raise `ValueError` in one sentence if that can't be."""
    return VideoPoseEstimator(
        parameters.model,
        score_threshold=parameters.score_threshold,
        max_people=parameters.max_people,
        lookahead=parameters.lookahead,
        frame_interval_s=parameters.frame_interval or None,
        max_gap_s=parameters.max_gap,
        device=parameters.device,
        num_threads=parameters.num_threads,
    )


def main() -> None:
    """Run the node until it is told to stop."""
    rclpy.init()
    node = PoseNode()
    node.get_logger().info(
        'not configured yet; pose.launch.py does it, or: ros2 lifecycle set '
        f'{node.get_fully_qualified_name()} configure'
    )
    try:
        rclpy.spin(node)
    except (KeyboardInterrupt, ExternalShutdownException):
        pass
    finally:
        node.destroy_node()
        rclpy.try_shutdown()
