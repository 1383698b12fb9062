"""The node: newest images in, `PersonPoseArray` out."""

import os
import re
import sys
from collections.abc import Callable, Sequence
from contextlib import suppress
from functools import partial, wraps
from pathlib import Path
from traceback import format_exc
from types import ModuleType
from typing import Any

import rclpy
from rcl_interfaces.msg import SetParametersResult
from rclpy.exceptions import InvalidParameterTypeException, InvalidParameterValueException
from rclpy.lifecycle import LifecycleNode, LifecycleState, TransitionCallbackReturn
from rclpy.parameter import Parameter
from rclpy.publisher import Publisher
from rclpy.qos import DurabilityPolicy, QoSProfile
from std_srvs.srv import SetBool, Trigger

from pavenet_core.runtime import PoseModel
from pavenet_ros.camera import Camera
from pavenet_ros.conversions import to_skeleton_info
from pavenet_ros.health import HealthReporter
from pavenet_ros.hri import load_hri_msgs
from pavenet_ros.memory import give_back
from pavenet_ros.misspelt import misspelt
from pavenet_ros.msg import SkeletonInfo
from pavenet_ros.parameters import (
    ROWS,
    NodeParameters,
    change_live,
    check_parameters,
    check_words,
    declare_parameters,
    read_parameters,
)
from pavenet_ros.worker import PoseWorker

LATCHED_QOS = QoSProfile(depth=1, durability=DurabilityPolicy.TRANSIENT_LOCAL)

Transition = Callable[['PoseNode', LifecycleState], TransitionCallbackReturn]


def logged(transition: Transition) -> Transition:
    """Log what a transition raises, since rclpy drops it and goes to the error state."""

    @wraps(transition)
    def run(node: 'PoseNode', state: LifecycleState) -> TransitionCallbackReturn:
        try:
            return transition(node, state)
        except Exception:
            if node.context.ok():  # else it is Ctrl-C or SIGTERM that took the middleware away
                node.get_logger().fatal(f'{transition.__name__} failed:\n{format_exc()}')
            raise

    return run


class PoseNode(LifecycleNode):
    """
    Find people in the images of one camera or several.

    unconfigured --configure--> inactive --activate--> active
    (parameters)                (model loaded)         (subscribed, one worker thread)

    Images are received only while active: an inactive node costs no time. `options` are those of
    `rclpy.lifecycle.LifecycleNode`, such as context, namespace or parameter_overrides.
    """

    def __init__(self, **options: Any) -> None:
        # First of all, since `destroy_node` needs them also when one of the next lines fails.
        self._is_enabled = True
        self._settings: NodeParameters | None = None
        self._model: PoseModel | None = None
        self._cameras: list[Camera] = []
        self._skeleton_publisher: Publisher | None = None
        self._health: HealthReporter | None = None
        self._worker: PoseWorker | None = None
        super().__init__('pose_node', **options)
        declare_parameters(self)
        # ROS drops what is not declared without a word, and rclpy has it nowhere else.
        given = getattr(self, '_parameter_overrides', ())
        for sentence in misspelt(given, [*ROWS, 'use_sim_time']):
            self.get_logger().warning(sentence)
        self.add_on_set_parameters_callback(self._on_set_parameters)
        self.create_service(SetBool, '~/enable', self._on_enable)
        self.create_service(Trigger, '~/reset', self._on_reset)

    @logged
    def on_configure(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Load the model; FAILURE leaves the node unconfigured, alive, with the reason logged."""
        try:
            settings = read_parameters(self)
            check_parameters(settings)
            hri = load_hri_msgs() if settings.publish_hri else None
            model = load_model(settings)
            check_parameters(settings, model.metadata.num_frames)
            model.warm_up(settings.image_size)  # last: it may take minutes, see TensorRT
        except ValueError as error:
            self.get_logger().error(f'cannot configure: {error}')
            return TransitionCallbackReturn.FAILURE
        self._set_up(settings, model, hri)
        return super().on_configure(state)

    @logged
    def on_activate(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Start the worker, then the images; SUCCESS leads to active."""
        assert self._health
        result = super().on_activate(state)
        self._worker = PoseWorker([camera.pipeline for camera in self._cameras])
        self._worker.start()
        for i, camera in enumerate(self._cameras):
            camera.subscribe(partial(self._worker.put, i))
        self._health.start_watching()
        topics = ', '.join(c.subscription.topic for c in self._cameras if c.subscription)
        self.get_logger().info(f'waiting for images on {topics}')
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

    @logged
    def on_shutdown(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Stop and release whatever there is; SUCCESS leads to finalized."""
        self._stop()
        self._release()
        return super().on_shutdown(state)

    @logged
    def on_error(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Stop and release whatever there is; SUCCESS leads to unconfigured."""
        self._stop()
        self._release()
        return super().on_error(state)

    def destroy_node(self) -> None:
        """End the worker before what it publishes with."""
        self._stop()
        super().destroy_node()

    def _set_up(self, settings: NodeParameters, model: PoseModel, hri: ModuleType | None) -> None:
        metadata = model.metadata
        self._settings, self._model = settings, model
        for name in settings.cameras:  # one by one, so that an error takes the first ones down too
            self._cameras.append(Camera(self, name, model, settings, hri))
        self._enable(self._is_enabled)
        self._health = HealthReporter(self, self._cameras, model)
        self._skeleton_publisher = self.create_publisher(SkeletonInfo, '~/skeleton', LATCHED_QOS)
        self._skeleton_publisher.publish(to_skeleton_info(metadata.skeleton))
        self.get_logger().info(
            f'model {metadata.name} {metadata.version}: {metadata.num_frames} frames, skeleton '
            f'{metadata.skeleton.name}, on {", ".join(model.providers)}'
        )
        if model.fallback:
            self.get_logger().warning(model.fallback)

    def _stop(self) -> None:
        for camera in self._cameras:
            camera.unsubscribe()
        if self._worker is not None:
            self._worker.stop()
            self._worker = None
            if self.context.ok():  # after Ctrl-C nothing can be logged
                for camera in self._cameras:
                    camera.tell_totals()
        if self._health is not None:
            self._health.stop_watching()
        if self.context.ok():
            for camera in self._cameras:
                camera.publish_nobody()

    def _release(self) -> None:
        for camera in self._cameras:
            camera.destroy()
        if self._health is not None:
            self._health.destroy()
        if self._skeleton_publisher is not None:
            self.destroy_publisher(self._skeleton_publisher)
        self._skeleton_publisher = self._health = self._model = self._settings = None
        self._cameras = []
        give_back()

    def _on_set_parameters(self, changes: Sequence[Parameter]) -> SetParametersResult:
        try:
            check_words(changes)
            if self._settings is not None and self._model is not None:
                state = 'active' if self._worker else 'inactive'
                settings = change_live(self._settings, changes, state)
                check_parameters(settings, self._model.metadata.num_frames)
                self._change(settings)
        except ValueError as error:
            return SetParametersResult(successful=False, reason=str(error))
        return SetParametersResult(successful=True)

    def _change(self, settings: NodeParameters) -> None:
        self._settings = settings
        for camera in self._cameras:
            camera.change(settings)

    def _on_enable(self, request: SetBool.Request, response: SetBool.Response) -> SetBool.Response:
        self._enable(request.data)
        response.success = True
        response.message = 'enabled' if request.data else 'disabled: images are not looked at'
        if self._worker is None:
            response.message += '; the node is not active'
        return response

    def _enable(self, is_enabled: bool) -> None:
        self._is_enabled = is_enabled
        for camera in self._cameras:
            camera.is_enabled = is_enabled

    def _on_reset(self, request: Trigger.Request, response: Trigger.Response) -> Trigger.Response:
        for camera in self._cameras:
            camera.pipeline.start_anew()
        response.success = bool(self._cameras)
        response.message = (
            'the next image starts a new video'
            if self._cameras
            else 'nothing to reset: the node is not configured'
        )
        return response


def load_model(settings: NodeParameters) -> PoseModel:
    """Open the model; raise `ValueError` in one sentence if that can't be."""
    return PoseModel(
        os.path.expanduser(settings.model),  # the shell leaves model:=~/mine as it is
        device=settings.device,
        num_threads=settings.num_threads,
        tensorrt_cache=Path(settings.tensorrt_cache) if settings.tensorrt_cache else None,
        tensorrt_fp16=settings.tensorrt_fp16,
    )


def build_engines(node: PoseNode) -> str:
    """Leave TensorRT's engines in their cache; return why that can't be, or nothing."""
    try:
        settings = read_parameters(node)
        check_parameters(settings)
        load_model(settings).build_engines([settings.image_size])
    except ValueError as error:
        return f'cannot build engines: {error}'
    node.get_logger().info(f'the engines are in {settings.tensorrt_cache}')
    return ''


def run() -> str:
    """Do what the parameters say until told to stop; return what stood in the way, or nothing."""
    try:
        node = PoseNode()
    except (InvalidParameterTypeException, InvalidParameterValueException) as error:
        return str(error)
    try:
        if node.get_parameter('build_only').value:
            return build_engines(node)
        node.get_logger().info(
            'not configured yet; pose.launch.py does it, or: ros2 lifecycle set '
            f'{node.get_fully_qualified_name()} configure'
        )
        with suppress(KeyboardInterrupt):
            rclpy.spin(node)
    finally:
        node.destroy_node()
    return ''


def main() -> None:
    """Run the node; exit with 1 and a sentence if that can't be."""
    try:
        rclpy.init()
    except RuntimeError as error:  # what rclpy's C++ says of --ros-args that it can't read
        reason = re.sub(r', at /\S+:\d+', '', str(error))
        sys.exit(f'pose_node: it can not start with these arguments: {reason}')
    failure = ''
    try:
        failure = run()
    except Exception:
        if rclpy.ok():
            raise  # else SIGTERM took the middleware away from what ran just then
    finally:
        rclpy.try_shutdown()
    if failure:
        sys.exit(f'pose_node: {failure}')
