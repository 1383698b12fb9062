"""One camera: its subscription, its video, its publishers and its counters."""

from collections.abc import Callable
from time import monotonic, monotonic_ns
from types import ModuleType

from rclpy.lifecycle import LifecycleNode

from pavenet_core.runtime import PoseModel
from pavenet_ros import camera_stats
from pavenet_ros.camera_stats import CameraStats
from pavenet_ros.conversions import ImageMessage
from pavenet_ros.image_subscription import ImageSubscription
from pavenet_ros.outputs import CameraOutputs
from pavenet_ros.parameters import NodeParameters
from pavenet_ros.pipeline import Answer, ImagePipeline, Received

WARNING_PERIOD_S = 5.0
# Leaves an image for the worker; says whether it replaced one that was waiting.
Put = Callable[[Received], bool]


class Camera:
    """
    Everything that is there once per camera.

        subscription -> put (to the worker) ... pipeline (in the worker) -> outputs

    name  '' or the camera's name, which then stands before its topics
    hri   msgs of `hri_msgs`, or None
    """

    def __init__(
        self,
        node: LifecycleNode,
        name: str,
        model: PoseModel,
        settings: NodeParameters,
        hri: ModuleType | None,
    ) -> None:
        self.name = name
        self.stats = CameraStats()
        self.is_enabled = True
        self.subscription: ImageSubscription | None = None
        self._node = node
        self._put: Put | None = None
        self._told_s: dict[str, float] = {}  # by kind of message
        self._prefix = f'{name}/' if name else ''
        self._outputs = CameraOutputs(node, self._prefix, model.metadata, hri)
        self.pipeline = ImagePipeline(
            model,
            settings,
            self.stats,
            publish=self._publish,
            warn=self._warn,
            error=self._error,
        )

    @property
    def settings(self) -> NodeParameters:
        """Return the parameters in force."""
        return self.pipeline.settings

    def subscribe(self, put: Put) -> None:
        """Begin to receive images, and leave those that are wanted with `put`."""
        self._put = put
        self.subscription = ImageSubscription(
            self._node,
            f'{self._prefix}image',
            self._on_image,
            transport=self.settings.image_transport,
            image_qos=self.settings.image_qos,
        )

    def unsubscribe(self) -> None:
        """Stop receiving."""
        if self.subscription is not None:
            self.subscription.destroy()
            self.subscription = self._put = None

    def change(self, settings: NodeParameters) -> None:
        """Follow new values of the live parameters, from the next image on."""
        before, self.pipeline.settings = self.settings, settings
        source = settings.image_transport, settings.image_qos
        if self.subscription is not None and source != (before.image_transport, before.image_qos):
            put = self._put
            assert put
            self.unsubscribe()
            self.subscribe(put)

    def tell_totals(self) -> None:
        """Log what became of the images since the node was configured."""
        counts = self.stats.counts()
        drops = [f'{number} {cause}' for cause, number in sorted(counts.drops.items())]
        if counts.received:
            self._node.get_logger().info(
                f'{self._prefix}image: {counts.received} came, {counts.answered} were answered; '
                f'dropped: {", ".join(drops) or "none"}'
            )

    def publish_nobody(self) -> None:
        """Tell those who keep a list of bodies that it is empty now."""
        self._outputs.publish_nobody()

    def destroy(self) -> None:
        """Take the publishers down, and let go of the model."""
        self._outputs.destroy()
        del self.pipeline  # rclpy may hold the subscription, and with it this camera, for longer

    def _on_image(self, msg: ImageMessage) -> None:
        if self._put is None:  # rclpy took it just before the subscription went
            return
        self.stats.count_received(monotonic())
        cause = self._unwanted()
        if cause:
            self.stats.count_drop(cause)
            self.pipeline.pause()  # what comes after a pause is not seen with what was before
        elif self._put(Received(msg, monotonic_ns())):
            self.stats.count_drop(camera_stats.REPLACED)

    def _unwanted(self) -> str:
        """Say why the model need not see an image now; empty if it must."""
        if not self.is_enabled:
            return camera_stats.DISABLED
        is_wanted = self.settings.always_infer or self._outputs.is_wanted
        return '' if is_wanted else camera_stats.UNWANTED

    def _publish(self, answer: Answer) -> None:
        try:
            self._outputs.publish(answer)
        except Exception:
            if self._node.context.ok():  # else it is Ctrl-C that took the publishers away
                raise
        processing_ms = 1e3 * (monotonic() - answer.taken_s)
        self.stats.count_answer(self._outputs.latency_ms(answer), processing_ms)

    def _warn(self, kind: str, message: str) -> None:
        if self._is_due(kind):
            self._node.get_logger().warning(self._prefix + message)

    def _error(self, kind: str, message: str) -> None:
        if self._is_due(kind):
            self._node.get_logger().error(self._prefix + message)

    def _is_due(self, kind: str) -> bool:
        """Say whether the last message of this kind is long enough ago."""
        # rclpy's own throttle goes by the line of code: one camera's fault would hide another's.
        now_s = monotonic()
        if now_s - self._told_s.get(kind, -WARNING_PERIOD_S) < WARNING_PERIOD_S:
            return False
        self._told_s[kind] = now_s
        return True
